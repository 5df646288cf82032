"""Installed packages, read off the names of their metadata folders."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from ..model.documents import Packages
from ..model.record import Facts
from .artifacts import hash_file
from .driver import driver_path
from .git import head_commit
from .probes import Findings
from .redaction import redact_url
from .values import clean_text

_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info\Z")
_CONDA = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)\.json\Z")

_LONGEST_RECORD = 1 << 15


def capture_packages(folders: Iterable[Path] | None = None, prefix: Path | None = None) -> Packages:
    """Every installed package with its version, and where editable ones come from.

    Parameters
    ----------
    folders : iterable of Path, optional
        Folders to look in, the first one wins; those of ``sys.path`` that are not the
        driver's own by default.
    prefix : Path, optional
        The environment whose conda packages are listed; that of the interpreter by default.

    Notes
    -----
    The metadata folder's name is ``NAME-VERSION.dist-info`` (PyPA, Recording installed
    projects); listing a folder is a hundred times faster than reading each file in it.
    """
    versions: dict[str, str] = {}
    editable: dict[str, str] = {}
    for folder in installation_folders() if folders is None else folders:
        for name, version, entry in distributions(folder):
            if name in versions:
                continue
            versions[name] = version
            origin = _origin(entry)
            if origin:
                editable[name] = origin
    conda = _conda_packages(Path(sys.prefix) if prefix is None else prefix)
    return Packages(versions=versions, editable=editable, conda=conda)


def loaded_packages(
    modules: Iterable[str] | None = None, folders: Iterable[Path] | None = None
) -> tuple[str, ...]:
    """The installed packages of which a module is loaded, by name, sorted.

    Parameters
    ----------
    modules : iterable of str, optional
        Names of modules; those of ``sys.modules`` by default.
    folders : iterable of Path, optional
        As for `capture_packages`.
    """
    names = {name.partition(".")[0] for name in (sys.modules if modules is None else modules)}
    module_names = {_normal_name(name) for name in names}
    packages = set()
    for folder in installation_folders() if folders is None else folders:
        for name, _, entry in distributions(folder):
            # Most packages have the name of their module; only the others are looked into.
            if name in module_names or not names.isdisjoint(top_level(entry)):
                packages.add(name)
    return tuple(sorted(packages))


def version_of(package: str) -> str:
    """The installed version of one package; "" if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def installation_folders() -> Iterator[Path]:
    """The folders of ``sys.path`` that are not the driver's own."""
    driver = driver_path()
    own = {"", str(Path.cwd()), str(driver.parent) if driver else ""}
    for entry in dict.fromkeys(sys.path):
        if entry not in own:
            yield Path(entry)


def distributions(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Name, version and metadata of each distribution in a folder.

    The metadata that a build leaves beside the sources has no version in its name, and is none.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        match = _DISTRIBUTION.match(name) if name.endswith("-info") else None
        if match:
            yield _normal_name(match["name"]), clean_text(match["version"]), folder / name


def _normal_name(name: str) -> str:
    return clean_text(re.sub(r"[-_.]+", "-", name).lower())


def top_level(entry: Path) -> set[str]:
    """The modules that an installed package brings."""
    try:
        return set((entry / "top_level.txt").read_text("utf-8", "replace").split())
    except OSError:
        pass
    try:
        with (entry / "RECORD").open(encoding="utf-8", errors="replace") as lines:
            places = lines.read(_LONGEST_RECORD).splitlines()
    except OSError:
        return set()
    tops = (place.partition(",")[0].partition("/")[0] for place in places)
    return {top.partition(".")[0] for top in tops if not top.endswith(("-info", ".data"))}


def brought_files(entry: Path) -> set[str]:
    """The files of an installed package, from its folder; empty if they are not told.

    An egg's list is of its sources, or of places that are counted from elsewhere: it is not read.
    """
    try:
        with (entry / "RECORD").open(encoding="utf-8", errors="replace", newline="") as lines:
            return {row[0] for row in csv.reader(lines) if row}
    except (OSError, csv.Error):
        return set()


def _origin(entry: Path) -> str:
    """Commit or place of a package that was installed from a work tree or a repository."""
    try:
        text = (entry / "direct_url.json").read_bytes()
    except OSError:
        return ""
    try:
        url = msgspec.json.decode(text, type=_DirectUrl)
    except msgspec.MsgspecError:
        return "direct_url.json cannot be read"
    if url.vcs_info.get("commit_id"):
        return clean_text(url.vcs_info["commit_id"])
    if url.dir_info.get("editable") and url.url.startswith("file:"):
        place = Path(unquote(urlsplit(url.url).path))
        return head_commit(place) or "not in a git repository"
    return "" if url.url.startswith("file:") else redact_url(clean_text(url.url))


class _DirectUrl(msgspec.Struct):
    url: str = ""
    dir_info: dict[str, bool] = {}
    vcs_info: dict[str, str] = {}


def _conda_packages(prefix: Path) -> dict[str, str]:
    try:
        names = sorted(os.listdir(prefix / "conda-meta"))  # noqa: PTH208 - names suffice
    except OSError:
        return {}
    matches = (_CONDA.match(name) for name in names)
    return {m["name"]: f"{m['version']} {m['build']}" for m in matches if m}


# The lock file that pins the software environment.


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
            packages = _in_folder(place)
            if packages:
                files = {clean_text(p.name): hash_file(p).hash for p in packages}
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
