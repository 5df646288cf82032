"""Any number of bundles as if all were open, of which only a few are.

Thousands of runs are compared under a limit of 256 open files. A bundle is opened when it is
asked for something, and closed when others have been asked since.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bundle.reader import Bundle, open_bundle
from ..bundle.views import TileStatistics
from ..compare.run_view import Floats, Ints, Words
from ..model.record import Hash
from ..model.series import Checkpoint, Event, FieldTiles, SeriesSchema

MOST_OPEN = 24


class Shelf:
    """The bundles that are open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Bundle] = OrderedDict()

    def run(self, path: str) -> ShelvedRun:
        """The run at `path`, which is opened when it is asked for something."""
        return ShelvedRun(self, path)

    def open(self, paths: Sequence[str]) -> None:
        """Open some bundles at the same time: what takes long is to test their checksums.

        Raises
        ------
        BundleError
            That of the first which cannot be opened.
        """
        wanted = [path for path in dict.fromkeys(paths) if path not in self._open]
        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            opening = {path: pool.submit(open_bundle, path) for path in wanted}
        self._open |= {p: done.result() for p, done in opening.items() if not done.exception()}
        for done in opening.values():
            done.result()

    def bundle(self, path: str) -> Bundle:
        """The bundle at `path`, opened if it is not."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        self._open[path] = bundle = open_bundle(path)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return bundle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()


class ShelvedRun:
    """A run whose bundle may have been closed since it was last asked."""

    def __init__(self, shelf: Shelf, path: str) -> None:
        self._shelf = shelf
        self._place = path

    @cached_property
    def path(self) -> os.PathLike[str]:
        return self.bundle().path

    @cached_property
    def run_id(self) -> str:
        return self.bundle().run_id

    def bundle(self) -> Bundle:
        """Its bundle, open at this moment."""
        return self._shelf.bundle(self._place)

    @property
    def fields(self) -> tuple[str, ...]:
        return self.bundle().fields

    @property
    def checkpoints(self) -> Sequence[Checkpoint]:
        return tuple(self.bundle().checkpoints)

    @property
    def segments(self) -> Sequence[Any]:
        return tuple(self.bundle().segments)

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self.bundle().events)

    @property
    def uncommitted(self) -> int:
        return self.bundle().uncommitted

    def series(self) -> ShelvedSeries:
        return ShelvedSeries(self)

    def digests(self, field: str, /) -> ShelvedDigests:
        return ShelvedDigests(self, field)

    def tiles(self, field: str, /) -> TileStatistics:
        return self.bundle().tiles(field)

    def document(self, reference: Hash, /) -> Any:
        return self.bundle().document(reference)


class ShelvedSeries:
    """Its samples."""

    def __init__(self, run: ShelvedRun) -> None:
        self._run = run

    @property
    def schema(self) -> SeriesSchema:
        return self._run.bundle().series().schema

    @property
    def step(self) -> Ints:
        return self._run.bundle().series().step

    @property
    def t(self) -> Floats:
        return self._run.bundle().series().t

    @property
    def segment(self) -> NDArray[np.integer]:
        return self._run.bundle().series().segment

    @property
    def faults(self) -> NDArray[np.integer]:
        return self._run.bundle().series().faults

    def __getitem__(self, name: str, /) -> Floats:
        return self._run.bundle().series()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.bundle().series())


class ShelvedDigests:
    """The tile digests of one field."""

    def __init__(self, run: ShelvedRun, field: str) -> None:
        self._run = run
        self._field = field
        self._bundle = run.bundle()
        self._digests = self._bundle.digests(field)
        self.step: Ints = self._digests.step
        self.tiles: FieldTiles = self._digests.tiles

    def rows(self, start: int, stop: int) -> Words:
        """The digests of the samples `start` to `stop`."""
        bundle = self._run.bundle()
        if bundle is not self._bundle:
            self._bundle, self._digests = bundle, bundle.digests(self._field)
        return self._digests.rows(start, stop)
