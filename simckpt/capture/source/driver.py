"""Which file is the driver: the program that the user started."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_RUNNERS = frozenset({"mpi4py", "runpy", "pdb", "cProfile", "trace", "coverage", "kernprof"})


def driver_path(main: ModuleType | None = None, argv: Sequence[str] | None = None) -> Path | None:
    """The driver's file; None in a notebook or an interactive session, or for ``python -c``.

    Under ``python -m mpi4py driver.py`` (and the debugger, the profiler, ...) the module
    ``__main__`` is at first the runner's, and the driver is what the runner put into
    ``sys.argv[0]``.
    """
    if main is None:
        main = sys.modules.get("__main__")
    if argv is None:
        argv = sys.argv
    path = getattr(main, "__file__", None)
    # Read from standard input, a program has the file "<stdin>".
    if isinstance(path, str) and not path.startswith("<") and not _is_runner(main, path):
        return Path(path).absolute()
    if is_interactive(main):
        return None  # the first argument is the server of the notebook
    first = argv[0] if argv else ""
    if first and first not in ("-c", "-m"):
        candidate = Path(first).absolute()
        if candidate.is_file():
            return candidate
    return None


def driver_name(main: ModuleType | None = None) -> str:
    """What to call the module ``__main__``: ``package.module`` under ``-m``, else the stem."""
    if main is None:
        main = sys.modules.get("__main__")
    path = driver_path(main)
    spec: Any = getattr(main, "__spec__", None)
    name = getattr(spec, "name", "")
    if name and name.partition(".")[0] not in _RUNNERS:
        return str(name).removesuffix(".__main__")
    return path.stem if path else "__main__"


def callable_name(function: object) -> str:
    """``module.name`` of a function, with the driver's name in the place of ``__main__``."""
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or ""
    return f"{driver_name() if module == '__main__' else module}.{name}".lstrip(".")


def is_interactive(main: ModuleType | None) -> bool:
    """Whether the module ``__main__`` is that of an IPython session or a notebook."""
    return isinstance(getattr(main, "In", None), list) and hasattr(main, "get_ipython")


def _is_runner(main: object, path: str) -> bool:
    spec: Any = getattr(main, "__spec__", None)
    name = getattr(spec, "name", None) or getattr(main, "__package__", None) or ""
    if str(name).partition(".")[0] in _RUNNERS:
        return True
    parts = path.replace(os.sep, "/").split("/")
    return parts[-1] == "run.py" and "mpi4py" in parts[-2:]
