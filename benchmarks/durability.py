"""What a committed checkpoint costs beside a bare write and fsync of the same bytes.

The two take turns on the same file system, so that both meet the same disk at the same time.
Set ``TMPDIR`` to the file system to be measured.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simckpt.bundle import BundleWriter, WriterOptions
from simckpt.bundle.files import LocalFiles
from simckpt.model.documents import Text
from simckpt.model.series import (
    Checkpoint,
    Column,
    FieldTiles,
    Parts,
    RunOpened,
    Sample,
    Segment,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
)

from .timing import Ratio

COMMITS = 600
COLUMNS = 20
TILES = 64

OPENED = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
EDGES = (tuple(range(0, TILES * 16 + 1, 16)),)


class CountingFiles(LocalFiles):
    """The real file system, which knows how many bytes were written last."""

    last = 0

    def write(self, handle: int, offset: int, data: bytes) -> None:
        super().write(handle, offset, data)
        self.last = len(data)


def ratios() -> list[Ratio]:
    """Latency with and without the wait for storage, at the median and the 99th percentile."""
    with tempfile.TemporaryDirectory() as folder:
        fsync = _latencies(Path(folder) / "fsync", "fsync")
        flush = _latencies(Path(folder) / "flush", "flush")
    return [
        _ratio("commit / write + fsync, median", fsync, 50, at_most=1.5),
        _ratio("commit / write + fsync, 99th percentile", fsync, 99, at_most=3.0),
        _ratio("durability=flush: commit / write, median", flush, 50),
    ]


def _ratio(what: str, pairs: np.ndarray, percentile: int, at_most: float | None = None) -> Ratio:
    commit, bare = np.percentile(pairs, percentile, axis=0)
    detail = f"{commit * 1e6:.0f} us, {bare * 1e6:.0f} us"
    return Ratio(what, commit / bare, at_most=at_most, detail=detail)


def _latencies(stem: Path, durability: str) -> np.ndarray:
    """Seconds of each commit and of the bare write, ``[commits, 2]``."""
    files = CountingFiles()
    options = WriterOptions(durability=durability, files=files)  # type: ignore[arg-type]
    writer = BundleWriter.create(stem, OPENED, options)
    schema = SeriesSchema(
        columns=tuple(Column(name=f"c{i}", kind="conserved") for i in range(COLUMNS)),
        tiles=(FieldTiles(field="u", dtype="<f8", global_shape=(TILES * 16,), edges=EDGES),),
    )
    writer.append(Segment(index=0, started=0.0, ranks=1))
    writer.append(SegmentSchema(segment=0, schema=writer.store(schema)))
    specification = writer.store(Text(name="s", text="s"))
    bare = os.open(stem.with_suffix(".bare"), os.O_RDWR | os.O_CREAT)
    rng = np.random.default_rng(0)
    pairs = np.empty((COMMITS, 2))
    for step in range(COMMITS):
        values = rng.standard_normal(COLUMNS)
        digests = rng.integers(0, 2**63, TILES, np.uint64).tobytes()
        writer.append(
            Sample(step=step, t=0.1 * step, wall=0.0, values=values.tobytes(), digests=digests)
        )
        made = _checkpoint(step, specification, values)
        # Who comes second finds the disk as the first has left it: they take turns.
        if step % 2:
            pairs[step, 1] = _timed(lambda: _bare(bare, files.last, durability))
        pairs[step, 0] = _timed(lambda made=made: writer.commit(made))  # type: ignore[misc]
        if not step % 2:
            pairs[step, 1] = _timed(lambda: _bare(bare, files.last, durability))
    os.close(bare)
    writer.close()
    return pairs[20:]


def _bare(handle: int, size: int, durability: str) -> None:
    os.write(handle, bytes(size))
    if durability == "fsync":
        os.fsync(handle)


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _checkpoint(step: int, specification: str, values: np.ndarray) -> Checkpoint:
    return Checkpoint(
        parents=(),
        segment=0,
        index=step,
        label=f"step {step}",
        reason="schedule",
        step=step,
        t=0.1 * step,
        wall=0.0,
        parts=Parts(specification=specification),
        state=StateDescriptor(
            step=step, t=0.1 * step, values={f"c{i}": v for i, v in enumerate(values.tolist())}
        ),
    )
