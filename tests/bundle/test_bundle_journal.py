"""Damaged journals and folded files: a clear error or a correct read, and nothing else."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from simckpt import BundleError
from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, WriterOptions, verify
from simckpt.bundle.framing import (
    FRAME_MAGIC,
    FRAME_SIZE,
    Origin,
    decode_header,
    encode_frame,
    encode_header,
    peek_frame,
)
from simckpt.errors import DamagedBundleError, NewerFormatError, NotABundleError


@pytest.fixture
def killed(tmp_path, opened, perform, script):
    """A journal of several checkpoints whose run was killed, and the run's play."""
    play = perform(
        BundleWriter.create(tmp_path / "run", opened, WriterOptions(durability="flush")), script
    )
    play.writer.flush()
    play.kill()
    return tmp_path / "run.simckpt.journal", play


def frames_of(data: bytes) -> list[tuple[int, int]]:
    """Offset and length of every frame."""
    at, found = decode_header(data).size, []
    while at < len(data):
        size = FRAME_SIZE + peek_frame(data, at).size
        found.append((at, size))
        at += size
    return found


def test_a_torn_last_frame_is_dropped_and_named(killed, records_of):
    journal, _ = killed
    data = journal.read_bytes()
    whole = records_of(journal)
    offset, size = frames_of(data)[-1]
    for kept in (1, FRAME_SIZE - 1, FRAME_SIZE, size - 1):
        journal.write_bytes(data[: offset + kept])
        assert records_of(journal) == whole[:-1]
        with open_bundle(journal) as bundle:
            assert bundle.broken.offset == offset
            assert bundle.broken.sequence == len(whole) - 1
            assert bundle.broken.size == kept
        (finding,) = verify(journal)
        assert finding.severity == "note"
        assert f"byte {offset}" in finding.what


def test_damage_before_an_acknowledged_checkpoint_names_offset_and_record(killed):
    journal, _ = killed
    data = bytearray(journal.read_bytes())
    offset, size = frames_of(bytes(data))[10]
    data[offset + size - 1] ^= 1
    journal.write_bytes(data)
    with pytest.raises(DamagedBundleError, match=rf"byte {offset}, in place of record 10.*recover"):
        open_bundle(journal)
    (finding,) = verify(journal)
    assert finding.severity == "damage"


def test_a_checkpoint_behind_an_invalid_frame_is_never_shown(killed):
    journal, play = killed
    data = journal.read_bytes()
    kinds = [peek_frame(data, at).kind for at, _ in frames_of(data)]
    last = max(i for i, kind in enumerate(kinds) if kind == 8)
    end = sum(frames_of(data)[last])
    torn = bytearray(data[:end])
    torn[frames_of(data)[last - 1][0] + 4] ^= 0xFF
    journal.write_bytes(torn)
    with open_bundle(journal) as bundle:
        assert list(bundle.checkpoints) == play.checkpoints[:-1]
        assert bundle.broken.after == 1


def test_lengths_are_bounded_before_memory_is_taken(killed):
    journal, _ = killed
    data = journal.read_bytes()
    for length in (1 << 27, 1 << 31, (1 << 32) - 1):
        frame = bytearray(encode_frame(7, len(frames_of(data)), 0, b"{}"))
        frame[8:12] = struct.pack("<I", length)
        frame[4:8] = struct.pack("<I", zlib.crc32(frame[8:]))
        journal.write_bytes(data + frame)
        with open_bundle(journal) as bundle:
            assert bundle.broken.size == len(frame)


def test_a_file_full_of_marks_is_read_in_bounded_time(killed):
    journal, _ = killed
    data = journal.read_bytes()
    bait = bytearray(encode_frame(5, 1 << 40, 0, b""))
    bait[8:12] = struct.pack("<I", 1 << 20)
    journal.write_bytes(data + bytes(bait) * 20_000 + FRAME_MAGIC * 100_000)
    with open_bundle(journal) as bundle:
        assert bundle.broken.after == 0


def test_records_nested_without_end_are_an_error(tmp_path, opened):
    with BundleWriter.create(tmp_path / "run", opened, WriterOptions()) as writer:
        link = writer._link
    (tmp_path / "run.simckpt.h5").unlink()
    from simckpt.bundle.records import FIRST_LINK, encode, next_link, short

    _, kind, payload = encode(opened)
    link = next_link(FIRST_LINK, kind, payload)
    deep = b'{"name":"n","facts":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    journal = encode_header(Origin(run_id="r1"), 0, FIRST_LINK)
    journal += encode_frame(kind, 0, short(link), payload)
    journal += encode_frame(7, 1, short(next_link(link, 7, deep)), deep)
    (tmp_path / "run.simckpt.journal").write_bytes(journal)
    with open_bundle(tmp_path / "run") as bundle, pytest.raises(DamagedBundleError):
        list(bundle.events)


@pytest.mark.parametrize("form", ["journal", "h5"])
def test_a_newer_format_is_named_and_not_guessed_at(killed, form):
    journal, _ = killed
    path = journal
    if form == "h5":
        BundleWriter.resume(journal).close()
        path = journal.with_name("run.simckpt.h5")
    data = bytearray(path.read_bytes())
    data[8:12] = struct.pack("<I", 99)
    # Every version has its checksum where this one has it.
    (size,) = struct.unpack_from("<I", data, 12)
    covered, at = (data[:96], 96) if form == "h5" else (data[:56] + data[60 : 60 + size], 56)
    struct.pack_into("<I", data, at, zlib.crc32(covered))
    path.write_bytes(data)
    with pytest.raises(NewerFormatError, match=r"version 99.*Install a newer"):
        open_bundle(path)


def test_what_is_no_bundle_is_named(tmp_path, killed):
    import h5py

    (tmp_path / "notes.simckpt.h5").write_text("a text")
    with pytest.raises(NotABundleError, match="not a bundle"):
        open_bundle(tmp_path / "notes")
    with h5py.File(tmp_path / "plain.simckpt.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(NotABundleError, match="an HDF5 file, but not"):
        open_bundle(tmp_path / "plain")
    (tmp_path / "zeros.simckpt.journal").write_bytes(b"not a journal at all")
    with pytest.raises(NotABundleError, match="not a simckpt journal"):
        open_bundle(tmp_path / "zeros")
    (tmp_path / "data.txt").write_text("x")
    with pytest.raises(NotABundleError, match="is not a simckpt bundle"):
        open_bundle(tmp_path / "data.txt")
    with pytest.raises(NotABundleError, match=r"rum: .*run\.simckpt\.journal"):
        open_bundle(tmp_path / "rum")


def test_a_journal_whose_folded_file_is_missing_or_of_another_run_is_damage(
    tmp_path, opened, plays
):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.restart()
    play.checkpoint_act(1)
    h5 = tmp_path / "run.simckpt.h5"
    kept = h5.read_bytes()
    h5.unlink()
    with pytest.raises(DamagedBundleError, match="from record 2, but it is not there"):
        open_bundle(tmp_path / "run")
    from msgspec.structs import replace

    with BundleWriter.create(tmp_path / "other", replace(opened, run_id="r2")) as writer:
        plays(writer).segment_act(0)
    h5.write_bytes((tmp_path / "other.simckpt.h5").read_bytes())
    with pytest.raises(DamagedBundleError, match="belongs to run r1"):
        open_bundle(tmp_path / "run")
    h5.write_bytes(kept)
    play.writer.close()


def test_mutated_files_end_in_an_error_or_a_correct_read(tmp_path, killed, records_of):
    journal, _ = killed
    whole = records_of(journal)
    data = journal.read_bytes()
    random_ = random.Random(1)
    for _ in range(400):
        mutant = mutate(random_, data)
        journal.write_bytes(mutant)
        try:
            found = records_of(journal)
        except BundleError:
            continue
        assert found == whole[: len(found)]
    journal.write_bytes(data)
    BundleWriter.resume(journal).close()
    h5 = tmp_path / "run.simckpt.h5"
    data = h5.read_bytes()
    for _ in range(100):
        h5.write_bytes(mutate(random_, data))
        if h5.read_bytes() == data:
            continue
        with pytest.raises(BundleError):
            open_bundle(h5)


def mutate(random_: random.Random, data: bytes) -> bytes:
    mutant = bytearray(data)
    at, to = sorted(random_.randrange(len(data)) for _ in range(2))
    match random_.randrange(5):
        case 0:
            mutant[at] ^= 1 << random_.randrange(8)
        case 1:
            del mutant[at:]
        case 2:
            mutant[at : at + 200] = data[to : to + 200]
        case 3:
            del mutant[at : min(to, at + 300)]
        case 4:
            mutant[at : at + 8] = struct.pack("<Q", random_.choice([1 << 63, 0, (1 << 64) - 1]))
    return bytes(mutant)


def test_a_header_that_was_cut_short_or_never_written_is_no_bundle_and_its_place_is_free(
    tmp_path, opened
):
    with BundleWriter.create(tmp_path / "run", opened) as writer:
        header = writer.paths.journal.read_bytes()[:80]
    (tmp_path / "run.simckpt.h5").unlink()
    for left in (b"", header[:7], header[:40], bytes(300)):
        (tmp_path / "run.simckpt.journal").write_bytes(left)
        with pytest.raises(NotABundleError, match="stopped as it began"):
            open_bundle(tmp_path / "run")
        BundleWriter.create(tmp_path / "run", opened).close()
        (tmp_path / "run.simckpt.h5").unlink()


def test_records_larger_than_a_reading_window_are_whole_or_named(tmp_path, opened, records_of):
    from simckpt.model.documents import Text

    writer = BundleWriter.create(tmp_path / "run", opened)
    hashes = [writer.store(Text(name=str(i), text=str(i) * (5 << 20))) for i in range(3)]
    writer.flush()
    writer._appender.close()
    journal = tmp_path / "run.simckpt.journal"
    with open_bundle(journal) as bundle:
        assert [bundle.document(h).name for h in hashes] == ["0", "1", "2"]
        assert bundle.broken is None
    data = journal.read_bytes()
    journal.write_bytes(data[:-1])
    with open_bundle(journal) as bundle:
        assert list(bundle.documents) == hashes[:2]
        assert bundle.broken.sequence == 3
    BundleWriter.resume(journal).close()
    assert len(records_of(tmp_path / "run")) == 3
