"""Jobs of four ranks, killed at random moments: what rank 0 was told is there is there.

Every kill is SIGKILL to the whole job or to one rank of a real MPI program, which is then started
again and goes on in the same bundle. Ranks begin at once: see `ready_ranks`.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Lock

import pytest
from click.testing import CliRunner

from simckpt import open as open_bundle
from simckpt.bundle import verify
from simckpt.cli.show import show

pytestmark = pytest.mark.mpi

DRIVER = Path(__file__).with_name("kill_driver.py")
RANKS_PROGRAM = DRIVER.with_name("ready_ranks.py")
RANKS = 4
ENVIRONMENT = {
    "PYTHONPATH": str(DRIVER.parents[2]),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process from which ranks are forked."""
    address = tmp_path_factory.mktemp("nursery") / "socket"
    log = address.with_name("log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, RANKS_PROGRAM, "serve", address],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
        )
    try:
        deadline = time.monotonic() + 120
        while not address.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait()


class Job:
    """One attempt of the driver on four ranks, whose bundle and notes lie in `folder`."""

    def __init__(self, folder: Path, nursery: Path) -> None:
        self.folder = folder
        launcher = Path(sys.executable).parent / "mpiexec"
        if not launcher.exists():
            pytest.skip("no mpiexec: pip install 'simckpt[mpi]'")
        for rank in range(RANKS):
            (folder / f"pid-{rank}").unlink(missing_ok=True)
        self.before = len(told(folder))
        # Every process of the job inherits one end: when the last is dead, the other end says so.
        self.alive, inherited = os.pipe()
        self.program = [sys.executable, "-S", "-E", RANKS_PROGRAM, "rank", nursery, DRIVER, folder]
        with (folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [launcher, "-n", str(RANKS), *self.program],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[inherited],
                env=os.environ | ENVIRONMENT,
            )
        os.close(inherited)

    def wait_for_checkpoints(self, more: int) -> None:
        """Return once `more` checkpoints were told of since the job began."""
        deadline = time.monotonic() + 120
        while len(told(self.folder)) < self.before + more:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                pytest.fail((self.folder / "out").read_text())
            time.sleep(0.005)

    def wait_for_pids(self) -> None:
        deadline = time.monotonic() + 120
        while not all(
            (f := self.folder / f"pid-{r}").exists() and f.read_text() for r in range(RANKS)
        ):
            assert time.monotonic() < deadline, (self.folder / "out").read_text()
            time.sleep(0.005)

    def kill(self, who: str) -> None:
        """SIGKILL the whole job, or one rank of it: the launcher then ends the others."""
        if who == "all":
            os.killpg(self.process.pid, signal.SIGKILL)
            for rank in range(RANKS):
                self._kill_quietly(rank)
        else:
            self.wait_for_pids()
            self._kill_quietly(int(who))
        try:
            assert self.process.wait(timeout=60) != 0
        except subprocess.TimeoutExpired:
            pytest.fail(f"killed {who}, and the job goes on\n{self._alive_still()}")
        deadline = time.monotonic() + 60
        while not select.select([self.alive], [], [], 0.05)[0]:
            assert time.monotonic() < deadline, "a rank outlives its job"
            self._kill_orphans()

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill("all")
        if self.alive >= 0:
            os.close(self.alive)
            self.alive = -1

    def _kill_quietly(self, rank: int) -> None:
        # The launcher puts the ranks in a process group of its own.
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.folder / f"pid-{rank}").read_text()), signal.SIGKILL)

    def _alive_still(self) -> str:
        """What the job said, and what its processes wait for."""
        told = [(self.folder / "out").read_text()]
        mine = os.fsencode(self.folder)
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mine in (entry / "cmdline").read_bytes():
                    status = (entry / "status").read_text().splitlines()
                    facts = [s for s in status if s.startswith(("State", "PPid", "Sig"))]
                    told.append(f"{entry.name} {(entry / 'wchan').read_text()} {facts}")
        return "\n".join(told)

    def _kill_orphans(self) -> None:
        """Ranks that had not said who they are when their launcher was killed."""
        mine = b"\0".join(os.fsencode(part) for part in self.program)
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if (entry / "cmdline").read_bytes().rstrip(b"\0") == mine:
                    os.kill(int(entry.name), signal.SIGKILL)


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
            later = [s for s in bundle.segments if s.segment.index > checkpoint.segment]
            # Who was killed before it could note its last checkpoint went on from the one before.
            if steps and all(checkpoint.step <= segment.start_step for segment in later):
                assert checkpoint.step <= steps[-1] + 1
    if shown and (folder / "run.simckpt.h5").exists():
        alone = folder / "alone"
        alone.mkdir(exist_ok=True)
        shutil.copy(folder / "run.simckpt.h5", alone)
        assert verify(alone / "run") == ()
    if shown:
        result = CliRunner().invoke(show, [str(bundle_path)])
        assert result.exit_code == 0, result.output


def kills(folder: Path, nursery: Path, number: int, seed: int, looking: Lock) -> None:
    """Kill and restart one job again and again; it goes on in one bundle."""
    random_ = random.Random(seed)
    run_ids = set()
    segments = 0
    for kill in range(number):
        job = Job(folder, nursery)
        try:
            who = ("all", "0", "2", "all", "3")[kill % 5]
            if kill % 4 == 3:
                time.sleep(random_.random() * 0.8)  # also while it starts and sets up
            else:
                job.wait_for_checkpoints(1 + random_.randrange(4))
                time.sleep(random_.random() * 0.05)
            job.kill(who)
        finally:
            job.end()
        with looking:
            look(folder, shown=kill % 4 == 0)
            if not (folder / "run.simckpt.journal").exists():
                continue
            with open_bundle(folder / "run") as bundle:
                run_ids.add(bundle.run_id)
                assert segments <= len(bundle.segments) <= segments + 1
                segments = len(bundle.segments)
    assert len(run_ids) == 1
    assert segments >= number - number // 4 - 1


def sweep_shared_memory() -> None:
    """Remove what killed MPI processes left in the node's memory: 4 MiB a job, for ever."""
    left = list(Path("/dev/shm").glob("mpich_shm_*"))
    mapped = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            lines = maps.read_text().splitlines()
            mapped |= {line.split()[-1] for line in lines if "/dev/shm/" in line}
    for path in left:
        with suppress(OSError):
            if str(path) not in mapped and time.time() - path.stat().st_mtime > 60:
                path.unlink()


def many_kills(folder: Path, nursery: Path, chains: int, each: int) -> None:
    """So many jobs one behind the other in each chain, and two chains at a time."""

    def chain(number: int) -> None:
        mine = folder / str(number)
        mine.mkdir()
        kills(mine, nursery, each, seed=number, looking=looking)
        shutil.rmtree(mine)
        with looking:
            sweep_shared_memory()

    looking = Lock()  # the command line's test runner takes hold of the standard output
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(chain, number) for number in range(chains)]
        try:
            for done in as_completed(running):
                done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@pytest.mark.timeout(300)
def test_forty_kills_of_jobs_of_four_ranks_lose_nothing(tmp_path: Path, nursery) -> None:
    many_kills(tmp_path, nursery, chains=2, each=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills_of_jobs_of_four_ranks_lose_nothing(tmp_path: Path, nursery) -> None:
    many_kills(tmp_path, nursery, chains=4, each=50)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_two_thousand_kills_of_jobs_of_four_ranks_lose_nothing(tmp_path: Path, nursery) -> None:
    many_kills(tmp_path, nursery, chains=40, each=50)
