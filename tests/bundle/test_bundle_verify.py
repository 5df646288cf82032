"""Verification names the first record that was altered, dropped, put in or moved."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from simckpt.bundle import BundleWriter, recover, verify
from simckpt.bundle.framing import Origin, encode_frame, encode_header
from simckpt.bundle.records import FIRST_LINK, Kind, next_link, short
from simckpt.bundle.verify import identity_of
from simckpt.errors import DamagedBundleError, NotABundleError


@pytest.fixture
def story(tmp_path, opened, plays, records_of):
    """The records of a run with two checkpoints, and a function that forges a journal of them."""
    play = plays(BundleWriter.create(tmp_path / "true", opened))
    play.segment_act(0)
    play.schema_act(0)
    for seed in range(1, 5):
        play.sample_act(seed)
    play.checkpoint_act(1)
    for seed in range(5, 9):
        play.sample_act(seed)
    play.checkpoint_act(2)
    play.writer.close()
    records = records_of(tmp_path / "true")

    def forge(stored):
        """A journal in which all frames are sound, whatever the records say."""
        data = encode_header(Origin(run_id=opened.run_id), 0, FIRST_LINK)
        for number, record in enumerate(stored):
            data += encode_frame(record.kind, number, record.chain, record.payload)
        path = tmp_path / "forged.simckpt.journal"
        path.write_bytes(data)
        return path

    return records, forge


def test_a_sound_run_has_no_findings(story):
    records, forge = story
    assert verify(forge(records)) == ()


def test_an_altered_record_is_named(story):
    records, forge = story
    payload = bytearray(records[6].payload)
    payload[-2] ^= 1
    records[6] = records[6]._replace(payload=bytes(payload))
    (finding,) = verify(forge(records))
    assert "record 6" in finding.where
    assert "sample record was altered" in finding.what


def test_a_dropped_record_is_named(story):
    records, forge = story
    del records[5]
    (finding,) = verify(forge(records))
    assert "record 5" in finding.where
    assert "dropped" in finding.what


def test_an_exchanged_or_added_record_is_named(story):
    records, forge = story
    moved = [*records[:5], records[6], records[5], *records[7:]]
    (finding,) = verify(forge(moved))
    assert "record 5" in finding.where
    assert "exchanged" in finding.what
    added = [*records[:5], records[4], *records[5:]]
    (finding,) = verify(forge(added))
    assert "record 5" in finding.where
    assert "put in" in finding.what


def test_a_forged_chain_breaks_at_the_next_checkpoint(story):
    records, forge = story
    del records[5]
    link, chained = FIRST_LINK, []
    for record in records:
        link = next_link(link, record.kind, record.payload)
        chained.append(record._replace(chain=short(link)))
    (finding,) = verify(forge(chained))
    first = next(i for i, r in enumerate(chained) if r.kind == Kind.CHECKPOINT)
    assert f"record {first}" in finding.where
    assert "other records" in finding.what


def test_a_checkpoint_whose_contents_changed_has_another_id(story):
    records, forge = story
    link, chained = FIRST_LINK, []
    for record in records:
        payload = record.payload.replace(b'"label":"at 4"', b'"label":"at 5"')
        link = next_link(link, record.kind, payload)
        chained.append(record._replace(chain=short(link), payload=payload))
    (finding,) = verify(forge(chained))
    assert "id" in finding.what


def test_an_identity_does_not_depend_on_what_later_versions_add(story):
    records, _ = story
    payload = next(r.payload for r in records if r.kind == Kind.CHECKPOINT)
    assert f'"id":"{identity_of(payload)}"'.encode() in payload


def test_a_seam_that_does_not_fit_is_damage(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.restart()
    play.writer.append((play.checkpoints and None) or _event())
    play.writer.flush()
    play.kill()
    journal = tmp_path / "run.simckpt.journal"
    data = bytearray(journal.read_bytes())
    data[24:56] = bytes(32)
    size = struct.unpack_from("<I", data, 12)[0]
    data[56:60] = struct.pack("<I", zlib.crc32(data[60 : 60 + size], zlib.crc32(data[:56])))
    journal.write_bytes(data)
    findings = verify(tmp_path / "run")
    assert any("does not continue the records" in f.what for f in findings)


def _event():
    from simckpt.model.series import Event

    return Event(name="n", severity="note", step=0, wall=0.0, text="")


def test_a_missing_document_is_named(tmp_path, opened, plays):
    from simckpt.model.series import Checkpoint, Parts

    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.writer.commit(
        Checkpoint(
            parents=(),
            segment=0,
            index=0,
            label="",
            reason="user",
            step=0,
            t=None,
            wall=0.0,
            parts=Parts(intent="ab" * 32),
        )
    )
    play.writer.close()
    (finding,) = verify(tmp_path / "run")
    assert "ab" * 32 in finding.what


def test_verifying_nothing_is_an_error(tmp_path):
    with pytest.raises(NotABundleError):
        verify(tmp_path / "nothing")


def test_recovering_a_killed_run_folds_it(tmp_path, story, records_of):
    records, forge = story
    path = forge(records)
    path.write_bytes(path.read_bytes() + b"torn")
    found = recover(path)
    assert found.checkpoints == 2
    assert found.samples == 8
    assert "byte" in found.broken
    assert records_of(found.path) == records
    assert not path.exists()


def test_salvage_takes_over_what_lies_on_both_sides_of_the_damage(tmp_path, story):
    from simckpt import open as open_bundle

    records, forge = story
    path = forge(records)
    data = bytearray(path.read_bytes())
    at = data.index(records[6].payload)
    data[at + 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DamagedBundleError, match="--salvage"):
        recover(path)
    assert path.read_bytes() == data
    found = recover(path, salvage=True)
    assert found.refused == 0
    assert found.salvaged == len(records) - 7
    with open_bundle(path) as bundle:
        steps = bundle.series().step.tolist()
        names = [e.name for e in bundle.events]
    assert steps == [s for s in range(1, 9) if s != records_step(records, 6)]
    assert names == ["salvaged", "checkpoint_not_verified", "checkpoint_not_verified"]
    assert verify(path) == ()
    (kept,) = found.copies
    assert Path(kept).read_bytes() == data


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("at", [20, 30, 57, 61])
def test_salvage_makes_a_damaged_header_anew(tmp_path, opened, plays, records_of, at, folded):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    play.sample_act(1)
    if folded:
        play.restart()
    play.sample_act(2)
    play.checkpoint_act(3)
    play.writer.flush()
    play.kill()
    whole = records_of(tmp_path / "run")
    journal = tmp_path / "run.simckpt.journal"
    data = bytearray(journal.read_bytes())
    data[at] ^= 0x10
    journal.write_bytes(data)
    with pytest.raises(DamagedBundleError, match="--salvage"):
        recover(tmp_path / "run")
    found = recover(tmp_path / "run", salvage=True)
    assert records_of(tmp_path / "run")[: len(whole)] == whole
    assert verify(tmp_path / "run") == ()
    (kept,) = found.copies
    assert Path(kept).read_bytes() == data


def test_salvage_takes_what_can_be_had_of_a_damaged_folded_file(
    tmp_path, opened, perform, script, records_of
):
    path = tmp_path / "run.simckpt.h5"
    play = perform(BundleWriter.create(path, opened), script)
    play.writer.close()
    whole = records_of(path)
    data = path.read_bytes()
    had = []
    for at in range(100, len(data), len(data) // 12):
        for old in tmp_path.iterdir():
            old.unlink()
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with pytest.raises(DamagedBundleError, match="--salvage"):
            recover(path)
        try:
            found = recover(path, salvage=True)
        except DamagedBundleError:
            assert path.read_bytes()[at] == data[at] ^ 0xFF
            had.append(0)
            continue
        records = records_of(path)
        same = sum(1 for a, b in zip(records, whole, strict=False) if a == b)
        assert records[:same] == whole[:same]
        assert len(records) <= same + 1  # and the event that says so
        assert verify(path) == ()
        assert Path(found.copies[0]).read_bytes()[at] == data[at] ^ 0xFF
        had.append(same)
    assert sum(n == len(whole) for n in had) > len(had) / 4


def test_salvage_joins_a_damaged_folded_file_and_the_journal_behind_it(
    tmp_path, opened, plays, records_of
):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    play.sample_act(1)
    play.restart()
    play.sample_act(2)
    play.checkpoint_act(3)
    play.kill()
    whole = records_of(tmp_path / "run")
    path = tmp_path / "run.simckpt.h5"
    data = bytearray(path.read_bytes())
    data[40] ^= 1  # in the seal alone
    path.write_bytes(data)
    recover(path, salvage=True)
    assert records_of(path)[: len(whole)] == whole
    assert verify(path) == ()


def records_step(records, number):
    from simckpt.bundle.records import decode

    return decode(records[number].kind, records[number].payload).step
