"""Storage that refuses, for real: a full tmpfs, an ext4 that the kernel turns read-only, and a
layer under the program that fails.

Linux turns no mount read-only while a journal on it is open, unless the disk fails: ext4 is told
that it did.

The run goes on, holds what it can, and says on the terminal and in the bundle what was late or
lost, and from when.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import simckpt
from simckpt.bundle import verify

pytestmark = pytest.mark.mpi

LIMIT = 90.0

FILL = "dd if=/dev/zero of={0} bs=4k 2>/dev/null; test -s {0}"

PROGRAM = """
import os, subprocess, sys
from pathlib import Path
import numpy as np, simckpt
from mpi4py import MPI
from verdict import tell
comm = MPI.COMM_WORLD
bundle, start, stop = sys.argv[1:4]
u = np.arange(512.0)
grid = simckpt.Grid((512 * comm.size,), start=512 * comm.rank)
with simckpt.run(bundle=bundle) as run:
    for step in range(30):
        run.sample(grid=grid, fields={"u": u}, conserved={"total": "u"}, step=step)
        u += 1.0
        comm.Barrier()
        if comm.rank == 0:
            if step == 10:
                subprocess.run(start, shell=True, check=True)
            if step == 20:
                subprocess.run(stop, shell=True, check=True)
        if step % 4 == 0:
            run.checkpoint(f"at {step}")
tell(comm.rank, done=True)
"""


@pytest.fixture(scope="session")
def faulty_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the faulty layer")
    library = tmp_path_factory.mktemp("layer") / "faulty.so"
    source = Path(__file__).with_name("faulty_storage.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An ext4 of its own, and the command by which its driver meets an error."""
    place, image = tmp_path / "disk", tmp_path / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    script = (
        f"mkfs.ext4 -q {image} && mount -o loop,errors=remount-ro {image} {place}"
        f" && findmnt -n -o SOURCE {place}"
    )
    made = subprocess.run(script, shell=True, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"cannot mount: {made.stderr.strip()}")
    trigger = Path("/sys/fs/ext4") / Path(made.stdout.strip()).name / "trigger_fs_error"
    try:
        if not os.access(trigger, os.W_OK):
            pytest.skip("this ext4 cannot be told to fail")
        yield place, f"echo failed > {trigger}"
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def check_outage(path: Path, stderr: str, reason: str) -> None:
    """All is there in the end, and the bundle and the terminal tell of the outage."""
    assert verify(path) == ()
    with simckpt.open(path) as bundle:
        assert list(bundle.series().step) == list(range(30))
        labels = [c.label for c in bundle.checkpoints]
        assert labels == ["start", *(f"at {s}" for s in range(0, 30, 4)), "final"]
        (event,) = [e for e in bundle.events if e.name == "storage_back"]
        assert event.facts["since_step"] == 12
        assert event.facts["late_checkpoints"] == 2
        assert event.facts["lost"] == 0
        assert event.step == 20
        assert reason in event.text
        assert bundle.segments[-1].ending == "finished"
    assert stderr.count("is not on storage yet") == 1
    assert stderr.count("storage refused from step 12") == 1


@pytest.mark.parametrize(
    "fault", ["ENOSPC", "EIO", "EDQUOT", "EROFS", "ESTALE", "ENOSPC short"], ids=str.lower
)
def test_writes_that_fail_make_checkpoints_late_and_lose_nothing(
    mpiexec, tmp_path: Path, faulty_layer: Path, fault: str
) -> None:
    name, *torn = fault.split()
    number = getattr(errno, name)
    control = tmp_path / "fault"
    done = mpiexec(
        PROGRAM, str(tmp_path / "x"), f"echo '{number} {' '.join(torn)}' > {control}",
        f"rm {control}", ranks=4, timeout=LIMIT,
        env={"LD_PRELOAD": str(faulty_layer), "FAULTY_STORAGE": str(control)},
    ).check()  # fmt: skip
    assert len(done.verdicts) == 4
    check_outage(tmp_path / "x", done.stderr, os.strerror(number))


def test_a_disk_that_is_full_for_a_while_makes_checkpoints_late_and_loses_nothing(
    mpiexec, tmp_path: Path, small_disk: Path
) -> None:
    hog = small_disk / "hog"
    done = mpiexec(
        PROGRAM, str(small_disk / "x"), FILL.format(hog),
        f"rm {hog}", ranks=4, timeout=LIMIT,
    ).check()  # fmt: skip
    check_outage(small_disk / "x", done.stderr, os.strerror(errno.ENOSPC))


def test_a_disk_that_stays_full_loses_what_came_after_and_says_from_when(
    mpiexec, tmp_path: Path, small_disk: Path
) -> None:
    hog = small_disk / "hog"
    done = mpiexec(
        PROGRAM, str(small_disk / "x"), FILL.format(hog),
        "true", ranks=4, timeout=LIMIT,
    ).check()  # fmt: skip
    assert "storage refused from step 12 to the end of the run" in done.stderr
    assert [f for f in verify(small_disk / "x") if f.severity == "damage"] == []
    with simckpt.open(small_disk / "x") as bundle:
        assert [c.label for c in bundle.checkpoints][:4] == ["start", "at 0", "at 4", "at 8"]
        steps = list(bundle.series().step)
        assert steps == list(range(len(steps)))
        assert len(steps) > 8


def test_a_disk_that_the_kernel_turns_read_only_loses_what_came_after_and_says_from_when(
    mpiexec, tmp_path: Path, failing_disk: tuple[Path, str]
) -> None:
    place, fail = failing_disk
    done = mpiexec(PROGRAM, str(place / "x"), fail, "true", ranks=4, timeout=LIMIT).check()
    assert len(done.verdicts) == 4
    assert "storage refused from step 12 to the end of the run" in done.stderr
    assert os.strerror(errno.EROFS) in done.stderr
    with simckpt.open(place / "x") as bundle:
        assert [c.label for c in bundle.checkpoints] == ["start", "at 0", "at 4", "at 8"]


@pytest.mark.parametrize(
    "what",
    ["rm {0}/x.simckpt.*", "rm -r {0}", "mv {0} {0}-elsewhere"],
    ids=["files", "folder", "moved"],
)
def test_a_bundle_removed_under_its_run_is_put_back_whole(
    mpiexec, tmp_path: Path, what: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    done = mpiexec(
        PROGRAM, str(place / "x"), what.format(place), "true", ranks=4, timeout=LIMIT
    ).check()
    assert len(done.verdicts) == 4
    assert verify(place / "x") == ()
    with simckpt.open(place / "x") as bundle:
        assert list(bundle.series().step) == list(range(30))
        assert any(e.name == "journal_renewed" for e in bundle.events)


def test_a_file_in_the_place_of_the_journal_is_kept_and_the_run_writes_on(
    mpiexec, tmp_path: Path
) -> None:
    journal = tmp_path / "x.simckpt.journal"
    done = mpiexec(
        PROGRAM, str(tmp_path / "x"), f"rm {journal}; echo mine > {journal}", "true",
        ranks=4, timeout=LIMIT,
    ).check()  # fmt: skip
    assert (tmp_path / "x.simckpt.journal.damaged1").read_text() == "mine\n"
    assert done.stderr.count("the journal was replaced by something else") == 1
    assert verify(tmp_path / "x") == ()
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series().step) == list(range(30))
