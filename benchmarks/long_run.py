"""A million samples and a hundred thousand checkpoints in one bundle.

The run does nothing but record, as fast as it can.
Set ``TMPDIR`` to the file system to be measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from simckpt.bundle import BundleWriter, WriterOptions
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

SAMPLES = 1_000_000
EVERY = 10
COLUMNS = 6

OPENED = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
EDGES = ((0, 32, 64), (0, 32, 64))

READING = """
import json, sys, time
from pathlib import Path
from simckpt.bundle import open_bundle
began = time.perf_counter()
bundle = open_bundle(sys.argv[1])
steps = len(bundle.series().step)
opened = time.perf_counter() - began
print(json.dumps([steps, len(bundle.checkpoints), opened]))
"""


def ratios() -> list[Ratio]:
    """What a checkpoint costs as the run grows, the longest stall, the memory, the opening."""
    # In a process of its own, whose memory is nobody else's.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        told = json.loads(_python("-m", __spec__.name, str(path)))
        samples, checkpoints, opened = json.loads(_python("-c", READING, str(path)))
    assert (samples, checkpoints) == (SAMPLES, SAMPLES // EVERY)
    what = f"{SAMPLES:.0e} samples, {SAMPLES // EVERY:.0e} checkpoints"
    return [
        Ratio(
            "checkpoint with its samples: last fifth / first fifth",
            told["last"] / told["first"],
            at_most=2.0,
            detail=f"{told['first'] * 1e6:.0f} us, {told['last'] * 1e6:.0f} us; {what}",
        ),
        Ratio(
            "the longest stall of the run, s",
            told["longest"],
            at_most=1.0,
            detail=f"99th percentile {told['p99'] * 1e3:.2f} ms, 99.9th {told['p999'] * 1e3:.1f}",
        ),
        Ratio("peak memory of the writer / 200 MiB", told["peak"] / (200 << 20), at_most=1.0),
        Ratio("opening it, with the steps of all samples, s", opened, at_most=1.0),
        Ratio("closing it, s", told["close"], detail=f"all: {told['all']:.0f} s"),
    ]


def _python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout


def record(path: Path) -> dict[str, float]:
    """Seconds of each ten samples with their checkpoint, as far as they matter."""
    writer = BundleWriter.create(path, OPENED, WriterOptions(durability="flush"))
    schema = SeriesSchema(
        columns=tuple(Column(name=f"c{i}", kind="scalar") for i in range(COLUMNS)),
        tiles=(FieldTiles(field="rho", dtype="<f8", global_shape=(64, 64), edges=EDGES),),
    )
    writer.append(Segment(index=0, started=0.0, ranks=1))
    writer.append(SegmentSchema(segment=0, schema=writer.store(schema)))
    parts = Parts(specification=writer.store(Text(name="s", text="s")))
    rng = np.random.default_rng(0)
    seconds = np.empty(SAMPLES // EVERY)
    for index in range(len(seconds)):
        values = rng.standard_normal((EVERY, COLUMNS))
        steps = range(index * EVERY, (index + 1) * EVERY)
        began = time.perf_counter()
        for step, row in zip(steps, values, strict=True):
            four = row[:4].tobytes()
            writer.append(
                Sample(step=step, t=step / 8, wall=step, values=row.tobytes(), digests=four)
            )
        writer.commit(
            Checkpoint(
                parents=(), segment=0, index=index, label=f"at {step}", reason="schedule",
                step=step, t=1.0, wall=float(step), parts=parts,
                state=StateDescriptor(step=step, t=1.0, values={"c0": float(values[0, 0])}),
            )
        )  # fmt: skip
        seconds[index] = time.perf_counter() - began
    began = time.perf_counter()
    writer.close()
    fifth = len(seconds) // 5
    status = Path("/proc/self/status").read_text()
    return {
        "first": float(seconds[:fifth].mean()),
        "last": float(seconds[-fifth:].mean()),
        "longest": float(seconds.max()),
        "p99": float(np.percentile(seconds, 99)),
        "p999": float(np.percentile(seconds, 99.9)),
        "peak": float(int(status.partition("VmHWM:")[2].split()[0]) << 10),
        "close": time.perf_counter() - began,
        "all": float(seconds.sum()),
    }


if __name__ == "__main__":
    print(json.dumps(record(Path(sys.argv[1]))))
