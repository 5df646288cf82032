"""How long a comparison takes from the shell, start-up included, and how much memory.

Two bundles of 10,000 samples with 5 fields of 64 tiles; two of a million samples; a listing of
10,000 bundles, for the first time and again; and `simckpt --help`. The bundles are written record
by record, as a run writes them, with digests drawn at random: nothing in them can be packed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simckpt.bundle.appender import WriterOptions
from simckpt.bundle.writer import BundleWriter
from simckpt.model.series import (
    Column,
    ColumnKind,
    FieldTiles,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
)

from .timing import Ratio

FIELDS = ("rho", "mx", "my", "mz", "E")
TILES = 64
SAMPLES, MANY_SAMPLES = 10_000, 1_000_000
LISTED = 10_000
REPEATS = 7
ROOM = 16 << 30
"""Free bytes that two bundles of a million samples with tiles need, and their journals."""
MIB = 2**20
STARTED = 1.7e9


def ratios() -> list[Ratio]:
    """Seconds and bytes as parts of what is promised."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [*_help(), *_compared(place), *_long(place), *_listed(place)]


def _help() -> list[Ratio]:
    seconds, _ = _run(("--help",), REPEATS)
    return [Ratio("simckpt --help / 150 ms", seconds / 0.15, 1, None, f"{1e3 * seconds:.0f} ms")]


def _compared(place: Path) -> list[Ratio]:
    one, two = write(place / "one", SAMPLES), write(place / "two", SAMPLES, part=SAMPLES // 2)
    again = write(place / "again", SAMPLES)
    found = []
    for what, other in (("that part half-way", two), ("that are the same", again)):
        seconds, memory = _run(("compare", one, other), REPEATS)
        told = f"{seconds:.2f} s, {memory / MIB:.0f} MiB"
        found.append(Ratio(f"10,000 samples of 5 fields, {what} / 1 s", seconds, 1, 0.7, told))
    return found


def _long(place: Path) -> list[Ratio]:
    found = []
    forms = [(0, "without tiles")]
    if shutil.disk_usage(place).free > ROOM:
        forms.append((TILES, f"with {TILES} tiles a field"))
    for tiles, what in forms:
        one = write(place / f"long{tiles}", MANY_SAMPLES, tiles=tiles)
        two = write(place / f"other{tiles}", MANY_SAMPLES, tiles=tiles, part=MANY_SAMPLES // 2)
        # Gigabytes must not wait to be written back while the comparison is timed.
        os.sync()
        seconds, memory = _run(("compare", one, two), 3)
        size = Path(f"{one}.simckpt.h5").stat().st_size / MIB
        told = f"{seconds:.2f} s, {memory / MIB:.0f} MiB; each is {size:.0f} MiB"
        found += [
            Ratio(f"a million samples {what} / 5 s", seconds / 5, 1, None, told),
            Ratio(f"a million samples {what} / 500 MiB", memory / (500 * MIB), 1, None, told),
        ]
        for path in (one, two):
            Path(f"{path}.simckpt.h5").unlink()
    return found


def _listed(place: Path) -> list[Ratio]:
    folder = place / "listed"
    first = Path(f"{write(folder / 'run0', 20)}.simckpt.h5")
    for i in range(1, LISTED):
        shutil.copy(first, folder / f"run{i}.simckpt.h5")
    cache = {"SIMCKPT_CACHE_DIR": str(place / "cache")}
    uncached, _ = _run(("ls", str(folder)), 1, cache)
    cached, _ = _run(("ls", str(folder)), 3, cache)
    return [
        Ratio("listing 10,000 bundles again / 5 s", cached / 5, 1, None, f"{cached:.2f} s"),
        Ratio("listing them for the first time / 5 s", uncached / 5, None, 1, f"{uncached:.2f} s"),
    ]


def _run(
    arguments: Sequence[str], times: int, environment: dict[str, str] | None = None
) -> tuple[float, int]:
    """Seconds of a call from the shell (the median), and the most memory its process took."""
    command = [sys.executable, "-m", "simckpt", *arguments]
    taken, memory = [], 0
    for _ in range(times):
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
        _, _, usage = os.wait4(process.pid, 0)
        taken.append(time.perf_counter() - begin)
        process.returncode = 0
        memory = max(memory, 1024 * usage.ru_maxrss)
    return statistics.median(taken), memory


def write(path: Path, samples: int, *, tiles: int = TILES, part: int | None = None) -> str:
    """Write a bundle of `samples`; from sample `part` on, its numbers are others."""
    path.parent.mkdir(exist_ok=True)
    schema = _schema(tiles)
    opened = RunOpened(run_id=path.name, campaign="c", created=STARTED, simckpt_version="1")
    options = WriterOptions(durability="flush")
    with BundleWriter.create(path, opened, options) as writer:
        writer.append(Segment(index=0, started=STARTED, ranks=4))
        writer.append(SegmentSchema(segment=0, schema=writer.store(schema)))
        draw = np.random.default_rng(1)
        for start in range(0, samples, 4096):
            count = min(4096, samples - start)
            values = 1.0 + 1e-3 * draw.standard_normal((count, len(schema.columns)))
            digests = draw.integers(0, 2**64, (count, schema.digests), np.uint64)
            if part is not None:
                late = np.arange(start, start + count) >= part
                values[late] *= 1 + 1e-9
                digests[late] += np.uint64(1)
            for i in range(count):
                step = start + i
                sample = Sample(
                    step=step,
                    t=0.1 * step,
                    wall=STARTED + step,
                    values=values[i].tobytes(),
                    digests=digests[i].tobytes(),
                )
                writer.append(sample)
        writer.append(
            SegmentEnd(segment=0, ending="finished", ended=STARTED + samples, step=samples - 1)
        )
    return str(path)


def _schema(tiles: int) -> SeriesSchema:
    kinds: tuple[tuple[str, ColumnKind], ...] = (("min", "minimum"), ("max", "maximum"))
    columns = [Column(name=f"total_{name}", kind="conserved", of=name) for name in FIELDS]
    columns += [
        Column(name=f"{name}.{what}", kind=kind, of=name) for name in FIELDS for what, kind in kinds
    ]
    edges = tuple(range(0, 8 * tiles + 1, 8))
    cut = tuple(
        FieldTiles(field=name, dtype="float64", global_shape=(8 * tiles,), edges=(edges,))
        for name in FIELDS
    )
    return SeriesSchema(columns=tuple(columns), tiles=cut if tiles else ())
