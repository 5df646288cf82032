"""The lock file that pins the software environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ...model.record import Facts
from ..files.hashing import hash_file
from ..probes import Findings
from ..values import clean_text
from .driver import driver_path

LOCK_FILES = (
    "uv.lock",
    "pixi.lock",
    "conda-lock.yml",
    "conda-lock.yaml",
    "poetry.lock",
    "pdm.lock",
    "pylock.toml",
    "Pipfile.lock",
    "spack.lock",
    "requirements.lock",
    "requirements.txt",
    "environment.yml",
    "environment.yaml",
)
"""Names of lock files, the strictest first; ``requirements*.txt`` come after these."""

HIGHEST = 6
"""How many folders upwards are looked at, where no repository begins before."""


def read_lockfile(start: Path | None = None) -> Findings:
    """Name and BLAKE3 of the lock files nearest to the driver.

    Looked for upwards from the driver's folder, else from the working directory, else from
    the folder of the virtual environment; a folder above the top of a git repository or at
    the home directory is not the project's any more.
    """
    for folder in _starts(start):
        for place in _upwards(folder):
            found = _in_folder(place)
            if found:
                files = {clean_text(p.name): hash_file(p).hash for p in found}
                return Findings(stable={"files": files}, volatile=_place(place))
    return Findings()


def _place(folder: Path) -> Facts:
    return {"folder": clean_text(str(folder))}


def _starts(start: Path | None) -> Iterator[Path]:
    if start is not None:
        yield start.absolute()
        return
    driver = driver_path()
    if driver is not None:
        yield driver.parent
    yield Path.cwd()
    if sys.prefix != sys.base_prefix:
        yield Path(sys.prefix).parent


def _upwards(folder: Path) -> Iterator[Path]:
    home = Path.home()
    for i, place in enumerate((folder, *folder.parents)):
        if i >= HIGHEST or place == place.parent or (place == home and i > 0):
            return
        yield place
        if (place / ".git").exists():
            return


def _in_folder(folder: Path) -> list[Path]:
    try:
        names = {p.name: p for p in folder.iterdir() if p.suffix in _SUFFIXES}
    except OSError:
        return []
    exact = [names[n] for n in LOCK_FILES if n in names]
    if exact:
        return exact[:1]
    return [names[n] for n in sorted(names) if n.startswith("requirements") and n.endswith(".txt")]


_SUFFIXES = frozenset({".lock", ".txt", ".yml", ".yaml", ".toml"})
