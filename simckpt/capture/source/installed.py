"""Which files of modules came with an installation, and are no code of the user's own."""

from __future__ import annotations

import site
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .packages import brought_files, distributions, installation_folders, top_level

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
