"""Where a run is written: a new bundle, the next attempt of an unfinished one, or beside it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from .. import __version__
from ..bundle.paths import bundle_paths
from ..bundle.reader import open_bundle
from ..bundle.writer import BundleWriter
from ..errors import BundleError
from ..model.journal import RunOpened

if TYPE_CHECKING:
    from .settings import Exists


def open_writer(path: str, exists: Exists, campaign: str) -> BundleWriter:
    """The writer for a run whose bundle is to be at `path`.

    With ``exists="auto"`` a run that has not finished is continued as a new segment of its
    bundle, and a finished one is kept: the new run gets the next free name beside it
    (``kh.simckpt.h5``, ``kh-2.simckpt.h5``). ``"continue"`` and ``"new"`` ask for one of the
    two, ``"error"`` refuses a path that is taken.

    Raises
    ------
    BundleError
        If the place cannot be written to, is taken by something that is not a bundle, or by
        a bundle while ``exists="error"``.
    """
    taken = _taken(path)
    if taken and exists == "error":
        raise BundleError(path, "exists already", 'Choose another path, or exists="auto".')
    if taken and exists != "new" and (exists == "continue" or not _finished(path)):
        return BundleWriter.resume(path)
    if taken:
        path = _free_name(path)
    run_id = os.urandom(8).hex()
    opened = RunOpened(
        run_id=run_id,
        campaign=campaign or run_id,
        created=time.time(),
        simckpt_version=__version__,
    )
    return BundleWriter.create(path, opened)


def _taken(path: str) -> bool:
    paths = bundle_paths(path)
    return paths.h5.exists() or paths.journal.exists()


def _finished(path: str) -> bool:
    with open_bundle(path) as bundle:
        segments = bundle.segments
        return bool(segments) and segments[-1].ending == "finished"


def _free_name(path: str) -> str:
    n = 2
    while _taken(candidate := beside(path, str(n))):
        n += 1
    return candidate


def beside(path: str, suffix: str) -> str:
    """The path of a bundle beside `path`: ``kh.simckpt.h5`` with ``"2"`` is ``kh-2.simckpt.h5``."""
    return f"{bundle_paths(path).stem}-{suffix}.simckpt.h5"
