"""Many bundles read, by as many processes as there are cores.

A bundle takes some ten milliseconds, mostly of Python, so a folder of thousands that no index
knows yet is read by several processes. Each of them starts one more, which reads HDF5.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ..errors import SimckptError
from ..report.listing import Listed

FEWEST = 100
"""Bundles from which on the start of further processes is earned."""
MOST_PROCESSES = 16
AT_ONCE = 16


class Wanted(NamedTuple):
    """A bundle to read: its stem, the path that opens it, and the path that is shown."""

    stem: str
    path: str
    shown: str


class Read(NamedTuple):
    """What reading it gave: a row, or the problem."""

    wanted: Wanted
    row: Listed | None
    problem: str = ""


Reader: TypeAlias = Callable[[str, str], Listed]


def read_bundle(path: str, shown: str) -> Listed:
    """Open one bundle and sum it up."""
    from ..bundle.reading.reader import open_bundle
    from ..report.listing import listed

    with open_bundle(path) as run:
        return listed(run, shown)


def read_all(wanted: Sequence[Wanted], read: Reader = read_bundle) -> Iterator[Read]:
    """All of them, in no order."""
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    if len(wanted) < FEWEST or processes < 2:
        yield from _read_some(wanted, read)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    # Not forked: a child of this process must not share its reader of HDF5.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        some = [wanted[i : i + AT_ONCE] for i in range(0, len(wanted), AT_ONCE)]
        waiting = [pool.submit(_listed, part, read) for part in some]
        for done in as_completed(waiting):
            yield from done.result()


def _listed(wanted: Iterable[Wanted], read: Reader) -> list[Read]:
    return list(_read_some(wanted, read))


def _read_some(wanted: Iterable[Wanted], read: Reader) -> Iterator[Read]:
    for one in wanted:
        try:
            yield Read(one, read(one.path, one.shown))
        except (SimckptError, OSError) as problem:
            yield Read(one, None, str(problem))
