"""Files whose seal fits and whose HDF5 is hostile: nothing is followed, and nobody is harmed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import blake3
import h5py
import numpy as np
import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter
from simckpt.bundle import folded as guard
from simckpt.bundle import hdf5 as hdf5_file
from simckpt.bundle.framing import USER_BLOCK, decode_seal, encode_seal
from simckpt.errors import DamagedBundleError

ROOT = Path(guard.__file__).parents[3]


@pytest.fixture
def bundle(tmp_path: Path, opened, perform, script) -> Path:
    with BundleWriter.create(tmp_path / "run", opened) as writer:
        perform(writer, script)
    return tmp_path / "run.simckpt.h5"


@pytest.fixture
def new_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A child of this test alone."""
    monkeypatch.setattr(guard, "_serving", None)
    yield
    if guard._serving is not None:
        guard._serving.end()


def forge(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Change what is inside, and make the seal fit."""
    seal = decode_seal(path, path.read_bytes()[:USER_BLOCK])
    with h5py.File(path, "r+") as file:
        change(file)
    rest = path.read_bytes()[USER_BLOCK:]
    seal = seal._replace(length=len(rest), hash=blake3.blake3(rest).digest())
    path.write_bytes(encode_seal(seal) + rest)


def read(path: Path) -> None:
    with open_bundle(path) as bundle:
        bundle.series().step.sum()


def outside(path: Path) -> Path:
    """A file elsewhere that has what the bundle should have."""
    with h5py.File(path, "r") as file:
        kinds = file["records/kind"][...]
    elsewhere = path.with_name("elsewhere.h5")
    with h5py.File(elsewhere, "w") as file:
        file["kind"] = kinds
    return elsewhere


def external_link(file: h5py.File, elsewhere: Path) -> None:
    file["records/kind"] = h5py.ExternalLink(str(elsewhere), "/kind")


def virtual(file: h5py.File, elsewhere: Path) -> None:
    n = file["records/chain"].shape[0]
    layout = h5py.VirtualLayout((n,), "u1")
    layout[:] = h5py.VirtualSource(str(elsewhere), "kind", (n,))
    file.create_virtual_dataset("records/kind", layout)


def external_storage(file: h5py.File, elsewhere: Path) -> None:
    n = file["records/chain"].shape[0]
    file.create_dataset("records/kind", (n,), "u1", external=[(str(elsewhere), 0, n)])


def other_filter(file: h5py.File, elsewhere: Path) -> None:
    n = file["records/chain"].shape[0]
    file.create_dataset("records/kind", data=np.ones(n, "u1"), chunks=(n,), compression="lzf")


def soft_link(file: h5py.File, elsewhere: Path) -> None:
    file["other"] = np.ones(file["records/chain"].shape[0], "u1")
    file["records/kind"] = h5py.SoftLink("/other")


def no_end(file: h5py.File, elsewhere: Path) -> None:
    file.create_dataset("records/kind", (10**12,), "u1", chunks=(10**6,))


@pytest.mark.parametrize(
    "put", [external_link, virtual, external_storage, other_filter, soft_link, no_end]
)
def test_what_is_not_in_the_file_itself_is_not_read(bundle: Path, put) -> None:
    elsewhere = outside(bundle)

    def change(file: h5py.File) -> None:
        del file["records/kind"]
        put(file, elsewhere)

    forge(bundle, change)
    with pytest.raises(DamagedBundleError, match="records/kind"):
        read(bundle)


def test_an_array_of_another_length_or_type_is_refused(bundle: Path) -> None:
    def change(file: h5py.File) -> None:
        step = file["series/step"][...]
        del file["series/step"]
        file["series/step"] = step[:-1]

    forge(bundle, change)
    with pytest.raises(DamagedBundleError, match="series/step"):
        read(bundle)


def test_a_seal_that_counts_more_records_than_fit_is_refused_before_anything_is_read(
    bundle: Path,
) -> None:
    data = bundle.read_bytes()
    seal = decode_seal(bundle, data[:USER_BLOCK])._replace(records=2**62)
    bundle.write_bytes(encode_seal(seal) + data[USER_BLOCK:])
    with pytest.raises(DamagedBundleError, match="more than fit"):
        read(bundle)


def test_a_child_that_dies_damages_one_bundle_and_the_next_has_another(
    bundle: Path, new_child
) -> None:
    with open_bundle(bundle) as opened:
        guard._serving._popen.kill()
        with pytest.raises(DamagedBundleError, match=r"SIGKILL|live through"):
            opened.series()["mass"].sum()
    read(bundle)


HOSTILE = """
import sys
sys.path.insert(0, {root!r})
from simckpt.bundle import hdf5 as hdf5_file
class Hostile:
    def __init__(self, path):
        {does}
hdf5_file.Hdf5File = Hostile
hdf5_file.SECONDS = 0
hdf5_file.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's here")
@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("while True: pass", "did not come to an end"),
        ("bytes(4 << 30)", "too much memory"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("sys.stdout.buffer.write(b'x' * 100)", "went astray"),
        ("sys.exit(0)", "live through"),
    ],
    ids=["loop", "memory", "crash", "nonsense", "exit"],
)
def test_hdf5_that_loops_grows_crashes_or_lies_ends_in_an_error(
    bundle: Path, tmp_path: Path, monkeypatch, new_child, does: str, told: str
) -> None:
    program = tmp_path / "hostile.py"
    program.write_text(HOSTILE.format(root=str(ROOT), does=does))
    monkeypatch.setattr(hdf5_file, "__file__", str(program))
    with pytest.raises(DamagedBundleError, match=told):
        read(bundle)


def test_inside_an_mpi_program_no_process_is_started(bundle: Path, monkeypatch, new_child) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", sys)
    read(bundle)
    assert guard._serving is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_reader_does_not_speak_with_the_child_of_its_parent(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        child = os.fork()
        if not child:
            try:
                opened.series()["mass"].sum()
            except DamagedBundleError:
                read(bundle)  # opened anew, it has a child of its own
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        opened.series()["mass"].sum()
