"""The user's own modules that this process imported: the code that runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from ...model.manifest import CodeModule, Repository, Text
from ...model.record import content_hash
from ..files.hashing import FileHash, hash_file
from ..secrets.redaction import redact_text
from ..values import clean_text
from .driver import driver_name, driver_path
from .git import STATUS_LIMIT, capture_repository
from .git_head import find_root
from .installed import Installed

MOST_MODULES = 2_000
LARGEST_SOURCE = 256 * 1024
_CLOCK = 1.0
"""Seconds by which the start of the process is known, and clocks of file servers agree."""


def capture_code(
    modules: Mapping[str, ModuleType] | None = None, git_limit: float = STATUS_LIMIT
) -> tuple[tuple[CodeModule, ...], tuple[Repository, ...], tuple[Text, ...]]:
    """The user's modules by name, the git work trees they lie in, and the texts to keep.

    Parameters
    ----------
    modules : mapping, optional
        What to look at; ``sys.modules`` by default.
    git_limit : float
        Seconds for comparing one work tree with its commit.

    Returns
    -------
    tuple of CodeModule
        The driver, and what it imported that is neither the standard library nor an installed
        package nor simckpt itself; compiled modules too.
    tuple of Repository
        One for each work tree.
    tuple of Text
        The diff of each work tree that differs from its commit, and the source of each module
        that is in no repository.
    """
    found = own_modules(sys.modules if modules is None else modules)
    roots: dict[Path, Path | None] = {path: find_root(path.parent) for path in found.values()}
    repositories: list[Repository] = []
    texts: list[Text] = []
    for top in sorted({r for r in roots.values() if r is not None}):
        inside = [path for path, r in roots.items() if r == top]
        repository, diff = capture_repository(top, inside, git_limit)
        repositories.append(repository)
        if diff is not None:
            texts.append(diff)
    started = process_started()
    recorded = []
    for name, path in sorted(found.items()):
        root = roots[path]
        source = _source(name, path) if root is None else None
        if source is not None:
            texts.append(source)
        try:
            told = hash_file(path)
        except OSError:
            told = FileHash(0, 0.0, None)
        recorded.append(
            CodeModule(
                name=clean_text(name),
                path=_shown(path),
                hash=told.hash or "",
                repository=_shown(root) if root else "",
                source=content_hash(source) if source else None,
                edited=told.mtime > started + _CLOCK,
            )
        )
    return tuple(recorded), tuple(repositories), tuple(texts)


def own_modules(modules: Mapping[str, ModuleType]) -> dict[str, Path]:
    """Name and file of the modules that belong to the user, at most `MOST_MODULES`."""
    installed = Installed()
    found: dict[str, Path] = {}
    driver = driver_path(modules.get("__main__"))
    if driver is not None and driver.is_file() and driver not in installed:
        found[driver_name(modules.get("__main__"))] = driver
    for name, module in list(modules.items()):
        if name in ("__main__", "__mp_main__"):
            continue
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = Path(file).absolute()
        if path == driver or name in found or path in installed:
            continue
        if path.is_file():
            found[name] = path
        if len(found) >= MOST_MODULES:
            break
    return found


def process_started(proc: Path = Path("/proc")) -> float:
    """When this process began, seconds since the epoch; infinity where it cannot be told."""
    try:
        # Field 22 of proc(5)'s stat, counted from behind the program's name in brackets.
        ticks = int((proc / "self/stat").read_text().rpartition(")")[2].split()[19])
        lines = (proc / "stat").read_text().splitlines()
        booted = int(next(line for line in lines if line.startswith("btime ")).split()[1])
        return booted + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return float("inf")


def _shown(path: Path) -> str:
    return redact_text(clean_text(str(path)))


def _source(name: str, path: Path) -> Text | None:
    if path.suffix not in (".py", ".pyw", "") or path.stat().st_size > LARGEST_SOURCE:
        return None
    try:
        text = path.read_text("utf-8", "backslashreplace")
    except OSError:
        return None
    return Text(name=f"source of {clean_text(name)}", text=redact_text(text))
