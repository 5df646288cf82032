"""Signals that come at awkward moments, to a program of one process and to four ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import simckpt
from simckpt.bundle import verify

ROOT = Path(simckpt.__file__).parent.parent

DRIVER = """
import os, signal, sys, time
import simckpt
from simckpt.bundle import files
me, moment, name = os.getpid(), sys.argv[1], sys.argv[2]
sent = []

def send():
    if not sent:
        sent.append(name)
        os.kill(me, getattr(signal, name))

class Storage(files.LocalFiles):
    def fsync(self, handle):
        if moment == "checkpoint" and armed:
            send()
        super().fsync(handle)
    def adopt(self, path):
        if moment == "end":
            send()
        return super().adopt(path)

armed = []
from simckpt.bundle.appender import WriterOptions
WriterOptions.__init__.__kwdefaults__["files"] = Storage()
if moment == "handler":
    signal.signal(getattr(signal, name), lambda number, frame: print("mine", number, flush=True))
with simckpt.run(bundle="x") as run:
    run.checkpoint("first")
    armed.append(True)
    if moment == "event":
        writer = run._recorder._writer._writer
        put = writer._put
        def put_and_send(*record):
            send()
            return put(*record)
        writer._put = put_and_send
        run.event("mine", "a signal comes while this is written")
    if moment in ("handler", "twice"):
        send()
    if moment == "twice":
        os.kill(me, getattr(signal, name))
    run.checkpoint("second")
print("left", flush=True)
sys.exit(7)
"""
"""Sends itself a signal in the middle of what is named."""


def run(folder: Path, moment: str, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DRIVER, moment, name],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("moment", ["checkpoint", "event", "end", "twice"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_in_the_middle_of_writing_leaves_a_whole_bundle_and_does_what_it_would(
    tmp_path: Path, moment: str, name: str
) -> None:
    done = run(tmp_path, moment, name)
    # As without simckpt, but for SIGUSR1, whose default would be to end the process.
    expected = {"SIGTERM": -15, "SIGINT": -2, "SIGUSR1": 7}[name]
    assert done.returncode == expected, done.stderr
    assert verify(tmp_path / "x") == ()
    with simckpt.open(tmp_path / "x") as bundle:
        labels = [c.label for c in bundle.checkpoints]
        assert labels[:2] == ["start", "first"]
        if moment != "end":
            assert "signal" in [c.reason for c in bundle.checkpoints]
    if name == "SIGINT":
        assert "KeyboardInterrupt" in done.stderr


def test_a_handler_of_the_driver_is_called_and_its_own_status_kept(tmp_path: Path) -> None:
    done = run(tmp_path, "handler", "SIGTERM")
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == ["mine", "15", "left"]
    with simckpt.open(tmp_path / "x") as bundle:
        assert [c.label for c in bundle.checkpoints][-2:] == ["second", "final"]


RANKS = """
import os, sys, time
from pathlib import Path
import numpy as np, simckpt
from mpi4py import MPI
comm = MPI.COMM_WORLD
u = np.arange(64.0)
grid = simckpt.Grid((64 * comm.size,), start=64 * comm.rank)
asks = sys.argv[1] == "asks"
with simckpt.run(bundle="x") as run:
    for step in range(100_000):
        if asks and simckpt.should_stop():
            break
        run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step)
        comm.allreduce(1)
        if step == 10:
            Path(f"pid-{comm.rank}").write_text(str(os.getpid()))
        time.sleep(0.002)
sys.exit(23)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("who", ["rank 0", "rank 3", "every rank", "the launcher", "twice"])
@pytest.mark.parametrize("asks", ["asks", "never asks"])
def test_sigterm_during_collectives_of_the_driver_ends_the_job_with_a_checkpoint(
    tmp_path: Path, who: str, asks: str
) -> None:
    job = _start(tmp_path, asks.split()[0])
    try:
        pids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(4)]
        targets = {
            "rank 0": [pids[0]],
            "rank 3": [pids[3]],
            "every rank": pids,
            "the launcher": [job.pid],
            "twice": [*pids, *pids],
        }[who]
        for pid in targets:
            os.kill(pid, signal.SIGTERM)
        status = job.wait(timeout=60)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
    assert status != 0
    if asks == "asks" and who not in ("twice", "the launcher"):
        assert status == 23, "the driver's own"
    assert [f for f in verify(tmp_path / "x") if f.severity == "damage"] == []
    with simckpt.open(tmp_path / "x") as bundle:
        assert len(bundle.series().step) > 0
        # A second signal ends a process at once. Who never asks, never hears of rank 3's.
        if who != "twice" and (asks == "asks" or who != "rank 3"):
            assert bundle.checkpoints[-1].reason == "signal"
            assert bundle.checkpoints[-1].step >= 10


def _start(folder: Path, asks: str) -> subprocess.Popen[bytes]:
    launcher = Path(sys.executable).parent / "mpiexec"
    if not launcher.exists():
        pytest.skip("no mpiexec: pip install 'simckpt[mpi]'")
    (folder / "driver.py").write_text(RANKS)
    job = subprocess.Popen(
        [launcher, "-n", "4", sys.executable, "-m", "mpi4py", "driver.py", asks],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not all((f := folder / f"pid-{r}").exists() and f.read_text() for r in range(4)):
        if job.poll() is not None or time.monotonic() > deadline:
            job.kill()
            job.wait()
            pytest.fail("it did not begin")
        time.sleep(0.02)
    return job
