"""The user's own modules that this process imported: the code that runs."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from ..model.documents import CodeModule, Repository, Text
from ..model.record import content_hash
from .artifacts import FileHash, hash_file
from .driver import driver_name, driver_path
from .git import STATUS_LIMIT, capture_repository, find_root
from .packages import brought_files, distributions, installation_folders, top_level
from .redaction import redact_text
from .values import clean_text

# Which files of modules came with an installation, and are no code of the user's own.


_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_OWN = Path(__file__).resolve().parents[2]


class Installed:
    """What is installed for this process: ask ``path in installed``.

    Installed are the standard library, what lies in the folders of an installation by their names,
    simckpt itself, and, in any other folder of ``sys.path``, the files that a distribution says it
    brought: ``pip install --target`` beside a cluster's modules leaves such folders. What lies
    there and came with no distribution is the user's, as is all that lies beside the driver.

    Parameters
    ----------
    folders : iterable of Path, optional
        Where distributions may be; the folders of ``sys.path`` that are not the driver's own by
        default.
    """

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        places = [sysconfig.get_path(name) for name in names]
        places += [site.getusersitepackages(), sysconfig.get_config_var("DESTSHARED")]
        fixed = {Path(p).absolute() for p in places if p}
        self._fixed = frozenset({*fixed, *(f.resolve() for f in fixed), _OWN})
        listed = installation_folders() if folders is None else folders
        self._listed = frozenset(folder.absolute() for folder in listed)

    def __contains__(self, path: Path) -> bool:
        if not _PACKAGE_FOLDERS.isdisjoint(path.parts):
            return True
        above = path.parents
        return not self._fixed.isdisjoint(above) or any(
            _brought(folder, path) for folder in above if folder in self._listed
        )


def _brought(folder: Path, path: Path) -> bool:
    """Whether a distribution in `folder` brought the file."""
    place = path.relative_to(folder)
    files, tops = _contents(folder)
    return str(place) in files or place.parts[0].partition(".")[0] in tops


@cache
def _contents(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The files that distributions brought; of those that keep no list, the modules."""
    files: set[str] = set()
    tops: set[str] = set()
    for name, _, entry in distributions(folder):
        brought = brought_files(entry)
        files |= brought
        if not brought:
            tops |= top_level(entry) or {name.replace("-", "_")}
    return frozenset(files), frozenset(tops)


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
    paths = own_modules(sys.modules if modules is None else modules)
    roots: dict[Path, Path | None] = {path: find_root(path.parent) for path in paths.values()}
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
    for name, path in sorted(paths.items()):
        root = roots[path]
        source = _source(name, path) if root is None else None
        if source is not None:
            texts.append(source)
        try:
            content = hash_file(path)
        except OSError:
            content = FileHash(0, 0.0, None)
        recorded.append(
            CodeModule(
                name=clean_text(name),
                path=_display_path(path),
                hash=content.hash or "",
                repository=_display_path(root) if root else "",
                source=content_hash(source) if source else None,
                edited=content.mtime > started + _CLOCK,
            )
        )
    return tuple(recorded), tuple(repositories), tuple(texts)


def own_modules(modules: Mapping[str, ModuleType]) -> dict[str, Path]:
    """Name and file of the modules that belong to the user, at most `MOST_MODULES`."""
    installed = Installed()
    paths: dict[str, Path] = {}
    driver = driver_path(modules.get("__main__"))
    if driver is not None and driver.is_file() and driver not in installed:
        paths[driver_name(modules.get("__main__"))] = driver
    for name, module in list(modules.items()):
        if name in ("__main__", "__mp_main__"):
            continue
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = Path(file).absolute()
        if path == driver or name in paths or path in installed:
            continue
        if path.is_file():
            paths[name] = path
        if len(paths) >= MOST_MODULES:
            break
    return paths


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


def _display_path(path: Path) -> str:
    return redact_text(clean_text(str(path)))


def _source(name: str, path: Path) -> Text | None:
    if path.suffix not in (".py", ".pyw", "") or path.stat().st_size > LARGEST_SOURCE:
        return None
    try:
        text = path.read_text("utf-8", "backslashreplace")
    except OSError:
        return None
    return Text(name=f"source of {clean_text(name)}", text=redact_text(text))
