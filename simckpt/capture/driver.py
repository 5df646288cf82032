"""Which file is the driver: the program that the user started."""

from __future__ import annotations

import linecache
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..model.documents import CodeModule, Text
from ..model.record import content_hash, hash_bytes
from .redaction import redact_text
from .values import clean_text

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


# The text of a program that is in no file: cells of a notebook, ``python -c``, standard input.


LARGEST = 256 * 1024
NAME = "__main__"
_STANDARD_INPUT = "/proc/self/fd/0"
_CELLS = ("<ipython-input", "/ipykernel_")


def capture_unfiled(main: ModuleType | None = None) -> tuple[CodeModule, Text] | None:
    """The program as a module with its text; None for one that is a file.

    Raises
    ------
    ValueError
        If its text cannot be had, with the reason.
    """
    if main is None:
        main = sys.modules.get("__main__")
    if driver_path(main) is not None:
        return None
    where, written = _written(main)
    source = redact_text(clean_text(written[:LARGEST]))
    text = Text(name=f"source of {NAME}", text=source, truncated=len(written) > LARGEST)
    module = CodeModule(
        name=NAME,
        path=where,
        hash=hash_bytes(written.encode("utf-8", "backslashreplace")),
        source=content_hash(text),
    )
    return module, text


def _written(main: ModuleType | None) -> tuple[str, str]:
    """Where the program comes from, and its text."""
    if is_interactive(main):
        cells = _cells(main)
        if not cells:
            raise ValueError("the cells of this session are not kept: save them as a program")
        numbered = (f"# cell {n}\n{cell.rstrip()}\n" for n, cell in cells)
        return _notebook(main) or "(cells of a notebook)", "\n".join(numbered)
    command = _command(sys.orig_argv, sys.argv)
    if command is not None:
        return "(python -c)", command
    if sys.argv[:1] in ([""], ["-"]):
        return _standard_input()
    raise ValueError("the program is in no file that can be found")


def _cells(main: ModuleType | None) -> list[tuple[int, str]]:
    """The cells that were run, in their order, with their numbers."""
    entered = getattr(main, "In", None)
    if isinstance(entered, list):
        entries = [(n, cell) for n, cell in enumerate(entered) if isinstance(cell, str) and cell]
        if entries:
            return entries
    lines = [
        "".join(entry[2])
        for name, entry in list(linecache.cache.items())
        if len(entry) > 2 and any(part in name for part in _CELLS)
    ]
    return list(enumerate(lines, start=1))


def _notebook(main: ModuleType | None) -> str:
    """The notebook's file, where its server tells it."""
    for name in ("__session__", "__vsc_ipynb_file__"):
        path = getattr(main, name, None)
        if isinstance(path, str) and path:
            return redact_text(clean_text(path))
    return ""


def _command(started: Sequence[str], arguments: Sequence[str]) -> str | None:
    """What follows ``-c`` in the words by which Python was started."""
    at = len(started) - len(arguments)
    if list(arguments[:1]) != ["-c"] or not 0 < at < len(started):
        return None
    if started[at].startswith("-c"):
        return started[at][2:]
    option = started[at - 1]
    return started[at] if option.startswith("-") and option.endswith("c") else None


def _standard_input() -> tuple[str, str]:
    if sys.stdin is not None and sys.stdin.isatty():
        raise ValueError("the program was typed at a prompt: save it as a file")
    # Opened anew it is read from its beginning, also if it has no name any more.
    kind = os.stat(_STANDARD_INPUT)  # noqa: PTH116 - what is open, and not what the link is
    if not stat.S_ISREG(kind.st_mode):
        raise ValueError("the program was read from a pipe, which cannot be read again")
    with Path(_STANDARD_INPUT).open("rb") as file:
        content = file.read(LARGEST + 1)
    return "(standard input)", content.decode("utf-8", "backslashreplace")


# The code that runs: modules, packages, and the work trees they come from.
