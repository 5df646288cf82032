"""Jobs of four ranks, killed at random moments: what rank 0 was told is there is there.

A kill of a process leaves of its files what the operating system has at that moment. So most
moments are looked at without starting the job anew: rank 0 is stopped in its tracks, its files
are copied as a kill would leave them, and it goes on. The rest are kills, of all ranks or one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from simckpt.bundle import BundleWriter, open_bundle, verify
from simckpt.cli.show import show

pytestmark = pytest.mark.mpi

DRIVER = Path(__file__).with_name("kill_driver.py")
ROOT = DRIVER.parents[2]
RANKS = 4


class Job:
    """One attempt of the driver on four ranks, whose bundle and notes lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        launcher = Path(sys.executable).parent / "mpiexec"
        if not launcher.exists():
            pytest.skip("no mpiexec: pip install 'simckpt[mpi]'")
        for rank in range(RANKS):
            (folder / f"pid-{rank}").unlink(missing_ok=True)
        self.before = len(told(folder))
        self.out = (folder / "out").open("wb")
        self.process = subprocess.Popen(
            [launcher, "-n", str(RANKS), sys.executable, "-m", "mpi4py", DRIVER, folder],
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        )

    def wait_for_checkpoints(self, more: int) -> None:
        """Return once `more` checkpoints were told of since the job began."""
        deadline = time.monotonic() + 120
        while len(told(self.folder)) < self.before + more:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                pytest.fail((self.folder / "out").read_text())
            time.sleep(0.01)

    def pid(self, rank: int) -> int:
        return int((self.folder / f"pid-{rank}").read_text())

    def wait_for_pids(self) -> None:
        deadline = time.monotonic() + 120
        while not all(
            (f := self.folder / f"pid-{r}").exists() and f.read_text() for r in range(RANKS)
        ):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def kill(self, who: str) -> None:
        """SIGKILL the whole job, or one rank of it: the launcher then ends the others."""
        if who == "all":
            os.killpg(self.process.pid, signal.SIGKILL)
            for rank in range(RANKS):
                _kill_quietly(self, rank)
        else:
            self.wait_for_pids()
            _kill_quietly(self, int(who))
        assert self.process.wait(timeout=60) != 0

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill("all")
        self.out.close()


def _kill_quietly(job: Job, rank: int) -> None:
    # The launcher puts the ranks in a process group of its own.
    try:
        os.kill(job.pid(rank), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return


@contextmanager
def frozen(job: Job) -> Iterator[None]:
    """Rank 0 stands still meanwhile, wherever it is."""
    pid = job.pid(0)
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.0002)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def told(folder: Path) -> list[str]:
    """Ids of the checkpoints whose call had returned."""
    try:
        lines = (folder / "told").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [line.split()[0] for line in lines if line.endswith("\n")]


def look(folder: Path, *, shown: bool = True) -> None:
    """What must hold of the files of a killed job."""
    known = told(folder)
    bundle_path = folder / "run"
    if not (folder / "run.simckpt.journal").exists() and not (folder / "run.simckpt.h5").exists():
        assert not known
        return
    damage = [f for f in verify(bundle_path) if f.severity == "damage"]
    assert damage == []
    with open_bundle(bundle_path) as bundle:
        there = {c.id for c in bundle.checkpoints}
        assert [id_ for id_ in known if id_ not in there] == []
        steps = bundle.series().step.tolist()
        assert steps == list(range(steps[0], steps[0] + len(steps))) if steps else not known
        for checkpoint in bundle.checkpoints:
            assert not steps or checkpoint.step <= steps[-1] + 1
    if (folder / "run.simckpt.h5").exists():
        alone = folder / "alone"
        alone.mkdir(exist_ok=True)
        shutil.copy(folder / "run.simckpt.h5", alone)
        assert verify(alone / "run") == ()
    if shown:
        result = CliRunner().invoke(show, [str(bundle_path)])
        assert result.exit_code == 0, result.output


def snapshots(job: Job, folder: Path, moments: int, random_: random.Random) -> Iterator[Path]:
    """The job's files as a kill would leave them, at random moments while it goes on."""
    for number in range(moments):
        time.sleep(random_.random() * 0.02)
        state = folder / f"state-{number}"
        state.mkdir()
        with frozen(job):
            for name in ("told", "run.simckpt.journal", "run.simckpt.h5"):
                if (source := job.folder / name).exists():
                    shutil.copy(source, state)
        yield state


def goes_on(folder: Path) -> None:
    """A restarted writer continues the bundle where it stands."""
    with open_bundle(folder / "run") as bundle:
        before = [c.id for c in bundle.checkpoints]
        run_id = bundle.run_id
    with BundleWriter.resume(folder / "run") as writer:
        assert (writer.past.checkpoint.id if writer.past.checkpoint else None) == (
            before[-1] if before else None
        )
    with open_bundle(folder / "run") as bundle:
        assert bundle.run_id == run_id
        assert [c.id for c in bundle.checkpoints] == before
    assert verify(folder / "run") == ()


def test_two_hundred_moments_at_which_a_job_could_be_killed_lose_nothing(tmp_path: Path) -> None:
    random_ = random.Random(11)
    work = tmp_path / "work"
    work.mkdir()
    job = Job(work)
    try:
        job.wait_for_checkpoints(1)
        for number, state in enumerate(snapshots(job, tmp_path, 190, random_)):
            look(state, shown=number % 8 == 0)
            if number % 8 == 0:
                goes_on(state)
            shutil.rmtree(state)
    finally:
        job.end()
    look(work)


def kills(folder: Path, number: int, seed: int) -> None:
    """Kill and restart one job again and again; it goes on in one bundle."""
    random_ = random.Random(seed)
    run_ids = set()
    segments = 0
    for kill in range(number):
        job = Job(folder)
        try:
            who = ("all", "0", "2", "all", "3")[kill % 5]
            if kill % 4 == 3:
                job.wait_for_pids()
                time.sleep(random_.random() * 1.5)  # also while it starts and sets up
            else:
                job.wait_for_checkpoints(1 + random_.randrange(6))
                time.sleep(random_.random() * 0.05)
            job.kill(who)
        finally:
            job.end()
        look(folder)
        if not (folder / "run.simckpt.journal").exists():
            continue
        with open_bundle(folder / "run") as bundle:
            run_ids.add(bundle.run_id)
            assert segments <= len(bundle.segments) <= segments + 1
            segments = len(bundle.segments)
    assert len(run_ids) == 1
    assert segments >= number - number // 4 - 1


@pytest.mark.timeout(600)
def test_a_job_of_four_ranks_that_is_killed_goes_on_in_the_same_bundle(tmp_path: Path) -> None:
    kills(tmp_path, 8, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_two_thousand_kills_of_jobs_of_four_ranks_lose_nothing(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        kills(folder, 50, seed=number)
        shutil.rmtree(folder)
