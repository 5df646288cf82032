"""A process killed at a random moment, for real: what it was told is there is there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, verify
from simckpt.errors import NotABundleError

PROGRAM = """
import sys
import numpy as np
from simckpt.bundle import BundleWriter, WriterOptions, bundle_paths
from simckpt.errors import NotABundleError
from simckpt.model.series import Checkpoint, Parts
from simckpt.model.series import RunOpened
from simckpt.model.series import Segment, SegmentSchema
from simckpt.model.series import Column, Sample, SeriesSchema

path, options = sys.argv[1], WriterOptions(write_bytes=2_000)
opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
try:
    writer = BundleWriter.resume(path, options)
except NotABundleError:
    writer = BundleWriter.create(path, opened, options)
past = writer.earlier
start = past.checkpoint.step if past.checkpoint else 0
schema = SeriesSchema(columns=(Column(name="x", kind="scalar"),))
writer.append(Segment(index=past.segments, started=0.0, ranks=1, start_step=start))
writer.append(
    SegmentSchema(segment=past.segments, schema=writer.store(schema), start_step=start)
)
for step in range(start + 1, 10**9):
    values = np.array([step / 3]).tobytes()
    writer.append(Sample(step=step, t=step / 8, wall=float(step), values=values))
    if step % 7 == 0:
        made = writer.commit(
            Checkpoint(parents=(), segment=past.segments, index=step // 7, label="", step=step,
                       reason="schedule", t=None, wall=0.0, parts=Parts())
        )
        print(made.id, flush=True)
"""


def kill_and_look(path: Path, seconds: float) -> list[str]:
    """Run the program and kill it after a while: the ids whose commit had returned."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    first = process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    told = [first, *process.stdout.readlines()]
    process.wait()
    process.stdout.close()
    return [line.strip() for line in told if line.endswith("\n")]


def run_kills(path: Path, kills: int, seed: int = 7) -> None:
    random_ = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(kills):
        acknowledged += kill_and_look(path, random_.random() * 0.4)
        assert [f for f in verify(path) if f.severity == "damage"] == []
        with open_bundle(path) as bundle:
            there = [c.id for c in bundle.checkpoints]
            assert [c for c in acknowledged if c not in set(there)] == []
            steps = bundle.series().step.tolist()
            assert steps == list(range(1, len(steps) + 1))
            assert steps[-1] >= bundle.checkpoints[-1].step


def test_every_checkpoint_whose_call_returned_outlives_kill_9(tmp_path):
    run_kills(tmp_path / "run", 6)
    BundleWriter.resume(tmp_path / "run").close()
    assert verify(tmp_path / "run") == ()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing(tmp_path):
    for run in range(8):
        run_kills(tmp_path / str(run), 25, seed=run)


def test_a_bundle_that_is_not_there_stays_so(tmp_path):
    with pytest.raises(NotABundleError):
        BundleWriter.resume(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
