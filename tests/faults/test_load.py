"""Long runs and many ranks: what a checkpoint costs does not grow with the run."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt import open as open_bundle
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
    TileRow,
)

ROOT = Path(__file__).resolve().parents[2]
OPENED = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")


def record(path: Path, samples: int, every: int, options: WriterOptions) -> BundleWriter:
    """A run of so many samples, with a checkpoint at each `every`-th; not closed."""
    writer = BundleWriter.create(path, OPENED, options)
    edges = ((0, 32, 64), (0, 32, 64))
    schema = SeriesSchema(
        columns=tuple(Column(name=f"c{i}", kind="scalar") for i in range(6)),
        tiles=(FieldTiles(field="rho", dtype="<f8", global_shape=(64, 64), edges=edges),),
    )
    writer.append(Segment(index=0, started=0.0, ranks=1))
    writer.append(SegmentSchema(segment=0, schema=writer.store(schema)))
    parts = Parts(specification=writer.store(Text(name="s", text="s")))
    rng = np.random.default_rng(0)
    for step in range(samples):
        values = rng.standard_normal(6)
        four = values[:4].tobytes()
        writer.append(
            Sample(step=step, t=step / 8, wall=float(step), values=values.tobytes(), digests=four)
        )
        if step % every:
            continue
        writer.append(TileRow(step=step, field="rho", minimum=four, maximum=four, mean=four))
        writer.commit(
            Checkpoint(
                parents=(), segment=0, index=step // every, label=f"at {step}", reason="schedule",
                step=step, t=1.0, wall=float(step), parts=parts,
                state=StateDescriptor(step=step, t=1.0, values={"c0": float(values[0])}),
            )
        )  # fmt: skip
    return writer


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_samples_and_a_hundred_thousand_checkpoints_open_at_once(tmp_path: Path) -> None:
    record(tmp_path / "run", 1_000_000, 10, WriterOptions(durability="flush")).close()
    program = (
        "import sys, json, time\n"
        "from pathlib import Path\n"
        "from simckpt.bundle import open_bundle\n"
        "began = time.perf_counter()\n"
        "bundle = open_bundle(sys.argv[1])\n"
        "opened = time.perf_counter() - began\n"
        "n = len(bundle.series().step), len(bundle.checkpoints), bundle.checkpoints[-1].step\n"
        "status = Path('/proc/self/status').read_text()\n"
        "peak = int(status.partition('VmHWM:')[2].split()[0]) >> 10\n"
        "print(json.dumps([*n, opened, peak]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "run"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    samples, checkpoints, last, _, peak = json.loads(done.stdout)
    assert (samples, checkpoints, last) == (1_000_000, 100_000, 999_990)
    assert peak < 200


MANY = """
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
u = np.arange(4.0)
grid = simckpt.Grid((4 * comm.size,), start=4 * comm.rank)
with simckpt.run(bundle="x", checkpoint_every=100) as run:
    for step in range(1000):
        run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step)
        if step % 10 == 0:
            comm.Barrier()
tell(comm.rank, done=True)
"""


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.timeout(1800)
def test_sixty_four_ranks_on_few_cores_take_a_thousand_samples(mpiexec, tmp_path: Path) -> None:
    done = mpiexec(MANY, ranks=64, timeout=1700).check()
    assert len(done.verdicts) == 64
    with open_bundle(tmp_path / "x") as bundle:
        assert list(bundle.series().step) == list(range(1000))
        assert not bundle.series().faults.any()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_minutes_of_recording_leave_memory_and_open_files_flat(tmp_path: Path) -> None:
    def size() -> tuple[int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() >> 20, len(list(Path("/proc/self/fd").iterdir()))

    u = np.arange(4096.0)
    grid = simckpt.Grid(u.shape)
    sizes = []
    with simckpt.run(bundle=tmp_path / "x") as run:
        began = time.monotonic()
        step = 0
        while time.monotonic() - began < 600:
            step += 1
            run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step)
            u += 1.0
            if step % 50 == 0:
                run.checkpoint(f"at {step}")
                time.sleep(0.02)
            if step % 2000 == 0:
                sizes.append(size())
    third = len(sizes) // 3
    assert max(memory for memory, _ in sizes[-third:]) < sizes[third][0] + 100
    assert max(files for _, files in sizes[-third:]) <= max(files for _, files in sizes[:third])
