"""Where a run is written: a new bundle, the next attempt of an unfinished one, or beside it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ... import __version__
from ...bundle.paths import bundle_paths
from ...bundle.reading.reader import open_bundle
from ...bundle.writing.writer import BundleWriter
from ...errors import BundleError
from ...model.changes import Specification
from ...model.journal import RunOpened

if TYPE_CHECKING:
    from ...bundle.reading.reader import Bundle
    from ...bundle.writing.options import WriterOptions
    from ...model.checkpoint import Checkpoint
    from ..settings import Exists


def open_writer(path: str, exists: Exists, campaign: str, options: WriterOptions) -> BundleWriter:
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
    if not bundle_paths(path).exists():
        return _created(path, campaign, options)
    if exists == "error":
        raise BundleError(path, "exists already", 'Choose another path, or exists="auto".')
    if exists != "new":
        with open_bundle(path) as bundle:
            finished = bool(bundle.segments) and bundle.segments[-1].ending == "finished"
        if exists == "continue" or not finished:
            return BundleWriter.resume(path, options)
    return _created(_free_name(path), campaign, options)


def beside(path: str, suffix: str) -> str:
    """The path of a bundle beside `path`: ``kh.simckpt.h5`` with ``"2"`` is ``kh-2.simckpt.h5``."""
    return f"{bundle_paths(path).stem}-{suffix}.simckpt.h5"


def specified_at(bundle: Bundle, checkpoint: Checkpoint | None) -> Specification | None:
    """The specification that `checkpoint` refers to, if it does."""
    if checkpoint is None or checkpoint.parts.specification is None:
        return None
    document = bundle.document(checkpoint.parts.specification)
    return document if isinstance(document, Specification) else None


def _created(path: str, campaign: str, options: WriterOptions) -> BundleWriter:
    run_id = os.urandom(8).hex()
    opened = RunOpened(
        run_id=run_id,
        campaign=campaign or run_id,
        created=time.time(),
        simckpt_version=__version__,
    )
    return BundleWriter.create(path, opened, options)


def _free_name(path: str) -> str:
    n = 2
    while bundle_paths(candidate := beside(path, str(n))).exists():
        n += 1
    return candidate
