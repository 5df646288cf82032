"""Damage at the beginning of a file: told as what it is, and mended from what stands behind it."""

from __future__ import annotations

from binascii import crc32
from pathlib import Path

import pytest

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, recover, verify
from simckpt.errors import DamagedBundleError, NewerFormatError

MAGIC_AND_VERSION = [(0, 1, 0x55), (3, 1, 0), (8, 1, 3), (10, 1, 1), (0, 12, 0), (0, 12, 0xFF)]


def overwrite(path: Path, at: int, length: int, value: int) -> bytes:
    data = path.read_bytes()
    damaged = data[:at] + bytes([value]) * length + data[at + length :]
    path.write_bytes(damaged)
    return damaged


def killed(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    for seed in range(12):
        play.sample_act(seed)
        play.document_act(seed)
    play.checkpoint_act(3)
    play.sample_act(20)
    play.writer.flush()
    play.kill()
    return tmp_path / "run.simckpt.journal"


@pytest.mark.parametrize(("at", "length", "value"), [*MAGIC_AND_VERSION, (0, 64, 0), (0, 64, 170)])
def test_a_journal_that_begins_damaged_is_mended_whole(
    tmp_path, opened, plays, records_of, at, length, value
):
    journal = killed(tmp_path, opened, plays)
    whole = records_of(tmp_path / "run")
    damaged = overwrite(journal, at, length, value)
    with pytest.raises(
        DamagedBundleError, match=r"(header is damaged|checksum does not hold).*--salvage"
    ):
        open_bundle(journal)
    with pytest.raises(DamagedBundleError):
        BundleWriter.create(tmp_path / "run", opened)
    assert journal.read_bytes() == damaged
    recover(journal, salvage=True)
    assert records_of(journal)[: len(whole)] == whole
    assert verify(journal) == ()


@pytest.mark.parametrize("value", [0, 170])
def test_without_its_first_records_a_journal_gives_the_others(tmp_path, opened, plays, value):
    journal = killed(tmp_path, opened, plays)
    at = journal.read_bytes().index(b'"kind":"series_schema"') - 200
    overwrite(journal, 0, min(512, at), value)
    found = recover(journal, salvage=True)
    assert verify(journal) == ()
    with open_bundle(journal) as bundle:
        assert bundle.run_id.startswith("lost-")
        assert "salvaged" in [event.name for event in bundle.events]
    assert found.samples + found.refused >= 12


def test_a_journal_whose_folded_file_is_gone_gives_what_it_has(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.restart()
    play.event_act(1)
    play.segment_act(2)
    play.event_act(3)
    play.writer.flush()
    play.kill()
    (tmp_path / "run.simckpt.h5").unlink()
    with pytest.raises(DamagedBundleError, match="--salvage"):
        open_bundle(tmp_path / "run")
    recover(tmp_path / "run", salvage=True)
    with open_bundle(tmp_path / "run") as bundle:
        assert [event.name for event in bundle.events] == ["salvaged", "thing", "thing"]


@pytest.mark.parametrize(
    ("at", "length", "value"), [*MAGIC_AND_VERSION, (0, 512, 0), (0, 512, 0xAA)]
)
def test_a_folded_file_that_begins_damaged_is_mended_whole(
    tmp_path, opened, perform, script, records_of, at, length, value
):
    path = tmp_path / "run.simckpt.h5"
    perform(BundleWriter.create(path, opened), script).writer.close()
    whole = records_of(path)
    overwrite(path, at, length, value)
    with pytest.raises(DamagedBundleError, match="--salvage"):
        open_bundle(path)
    recover(path, salvage=True)
    assert records_of(path)[: len(whole)] == whole


def test_a_version_that_its_checksum_vouches_for_is_a_later_one(tmp_path, opened, plays):
    journal = killed(tmp_path, opened, plays)
    data = bytearray(journal.read_bytes())
    size = int.from_bytes(data[12:16], "little")
    data[8:12] = (7).to_bytes(4, "little")
    data[56:60] = crc32(data[60 : 60 + size], crc32(data[:56])).to_bytes(4, "little")
    journal.write_bytes(data)
    with pytest.raises(NewerFormatError, match="version 7"):
        open_bundle(journal)


def test_a_version_that_is_not_known_is_named_also_where_no_checksum_vouches_for_it(
    tmp_path, opened, plays
):
    journal = killed(tmp_path, opened, plays)
    overwrite(journal, 8, 1, 2)
    with pytest.raises(NewerFormatError, match=r"version 2.*Install a newer simckpt, or"):
        open_bundle(journal)
