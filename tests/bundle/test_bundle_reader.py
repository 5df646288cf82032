"""Reading: effective series, segments that measure different things, names and documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter, bundle_paths
from simckpt.bundle.views import effective_rows
from simckpt.errors import DamagedBundleError
from simckpt.model.record import hash_bytes
from simckpt.model.series import Segment, SegmentSchema, StoredDocument


@pytest.fixture
def writer(tmp_path, opened):
    with BundleWriter.create(tmp_path / "run", opened) as writer:
        yield writer


def begin(writer, schema, index, start, said_by="schema"):
    writer.append(
        Segment(index=index, started=0.0, ranks=2, start_step=start if said_by == "segment" else 0)
    )
    writer.append(
        SegmentSchema(
            segment=index,
            schema=writer.store(schema),
            start_step=start if said_by == "schema" else 0,
        )
    )


@pytest.mark.parametrize("said_by", ["schema", "segment"])
def test_a_later_segment_supersedes_samples_past_its_start(
    tmp_path, writer, schemas, sample_of, said_by
):
    begin(writer, schemas[0], 0, 0)
    for step in range(0, 12, 2):
        writer.append(sample_of(schemas[0], step, step))
    begin(writer, schemas[0], 1, 6, said_by)
    for step in (8, 10, 12):
        writer.append(sample_of(schemas[0], step, 100 + step))
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        series = bundle.series()
        assert series.step.tolist() == [0, 2, 4, 6, 8, 10, 12]
        assert series.segment.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert bundle.series(effective=False).step.tolist() == [0, 2, 4, 6, 8, 10, 8, 10, 12]
        digests = bundle.digests("rho")
        assert digests.step.tolist() == series.step.tolist()
        assert np.array_equal(
            digests.values, bundle.digests("rho", effective=False).values[[0, 1, 2, 3, 6, 7, 8]]
        )
        assert bundle.segments[1].start_step == 6


def test_a_sample_at_the_start_of_a_later_segment_is_replaced_if_it_was_taken_again(
    tmp_path, writer, schemas, sample_of
):
    begin(writer, schemas[0], 0, 0)
    for step in (4, 6, 8):
        writer.append(sample_of(schemas[0], step, step))
    begin(writer, schemas[0], 1, 6)
    writer.append(sample_of(schemas[0], 6, 106))
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.series().step.tolist() == [4, 6]
        assert bundle.series().segment.tolist() == [0, 1]


def test_a_segment_that_took_no_samples_supersedes_none(tmp_path, writer, schemas, sample_of):
    begin(writer, schemas[0], 0, 0)
    for step in (1, 2, 3):
        writer.append(sample_of(schemas[0], step, step))
    writer.append(Segment(index=1, started=0.0, ranks=1, start_step=1))
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.series().step.tolist() == [1, 2, 3]
        assert bundle.segments[1].schema is None
        assert bundle.segments[1].ending is None


@given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 8), max_size=6)), max_size=5))
def test_effective_rows_agree_with_taking_segments_one_after_the_other(segments):
    kept: list[tuple[int, int, int]] = []
    rows: list[tuple[int, int]] = []
    starts = {}
    for number, (start, steps) in enumerate(segments):
        starts[number] = start
        retaken = start in steps
        kept = [k for k in kept if k[1] < start or (k[1] == start and not retaken)]
        for step in steps:
            kept = [k for k in kept if k[1:] != (step, number)]
            kept.append((len(rows), step, number))
            rows.append((number, step))
    table = np.array(rows, np.int64).reshape(-1, 2)
    found = np.arange(len(table))[effective_rows(table[:, 0], table[:, 1], starts)]
    assert found.tolist() == [k[0] for k in kept]


def test_segments_may_measure_different_things(tmp_path, writer, schemas, sample_of):
    for number, schema in enumerate(schemas):
        begin(writer, schema, number, 10 * number)
        for step in range(1, 4):
            writer.append(sample_of(schema, 10 * number + step, step))
        if number == 1:
            writer.close()
            writer = BundleWriter.resume(tmp_path / "run")
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        series = bundle.series()
        assert list(series) == ["mass", "rho.min", "step", "a/b", "energy"]
        assert np.isnan(series["energy"]).tolist() == [True] * 6 + [False] * 3 + [True] * 3
        assert np.isnan(series["mass"])[6:].all()
        assert series["step"].dtype == np.float64
        assert series.step.tolist() == [10 * n + s for n in range(4) for s in (1, 2, 3)]
        assert bundle.fields == ("rho", "p/q")
        assert bundle.digests("rho").step.tolist() == [21, 22, 23]
        assert bundle.digests("rho").tiles == schemas[2].tiles[0]
        assert bundle.digests("p/q").values.shape == (3, 3)
        assert series.schema == schemas[3]
        with pytest.raises(KeyError):
            bundle.digests("nothing")
        with pytest.raises(KeyError):
            series["nothing"]


def test_a_field_digest_is_the_sum_of_its_tiles(tmp_path, writer, schemas, sample_of):
    begin(writer, schemas[0], 0, 0)
    samples = [sample_of(schemas[0], step, step) for step in range(5)]
    for sample in samples:
        writer.append(sample)
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        expected = [sum(np.frombuffer(s.digests, np.uint64).tolist()) % 2**64 for s in samples]
        assert bundle.digests("rho").whole.tolist() == expected
        assert (
            bundle.digests("rho").rows(1, 3).tolist() == bundle.digests("rho").values[1:3].tolist()
        )


def test_any_name_of_a_bundle_opens_it(tmp_path, opened, plays):
    play = plays(BundleWriter.create(tmp_path / "kh", opened))
    play.segment_act(0)
    play.restart()
    for name in ("kh", "kh.h5", "kh.simckpt", "kh.simckpt.h5", "kh.simckpt.journal"):
        with open_bundle(tmp_path / name) as bundle:
            assert bundle.run_id == "r1"
        assert bundle_paths(tmp_path / name).stem == tmp_path / "kh"
    play.writer.close()


def test_a_document_of_an_unknown_kind_is_plain_and_one_that_was_altered_is_damage(
    tmp_path, writer
):
    text = msgspec.json.encode({"kind": "of_a_later_version", "x": [1, 2]})
    writer.append(StoredDocument(hash=hash_bytes(text), json=text))
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.documents == {hash_bytes(text): "of_a_later_version"}
        assert bundle.document(hash_bytes(text)) == {"kind": "of_a_later_version", "x": [1, 2]}
        with pytest.raises(KeyError):
            bundle.document("0" * 64)
    wrong = b'{"goal":3,"kind":"intent"}'
    writer.append(StoredDocument(hash=hash_bytes(wrong), json=wrong))
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle, pytest.raises(DamagedBundleError):
        bundle.document(hash_bytes(wrong))


def test_a_reader_beside_a_folding_writer_never_misses_or_repeats_a_record(
    tmp_path, opened, plays, records_of
):
    play = plays(BundleWriter.create(tmp_path / "run", opened))
    play.segment_act(0)
    play.schema_act(0)
    held = []
    for seed in range(6):
        play.sample_act(seed)
        play.checkpoint_act(seed)
        held.append((open_bundle(tmp_path / "run"), seed + 1))
        play.restart()
    for bundle, n in held:
        assert len(bundle.checkpoints) == n
        assert len(bundle.series()["mass"]) == n
        bundle.close()
    play.writer.close()


def test_reading_loads_neither_numba_nor_mpi_and_no_hdf5_until_it_is_needed():
    program = (
        "import sys, simckpt.bundle;"
        "print([m for m in ('numba', 'mpi4py', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"


def test_checkpoints_are_a_sequence(tmp_path, writer, plays):
    play = plays(writer)
    play.segment_act(0)
    for seed in range(4):
        play.checkpoint_act(seed)
    writer.flush()
    with open_bundle(tmp_path / "run") as bundle:
        assert bundle.checkpoints[-1] == play.checkpoints[-1]
        assert bundle.checkpoints[1:3] == tuple(play.checkpoints[1:3])
        assert bundle.checkpoints == play.checkpoints
        assert bundle.checkpoints != play.checkpoints[:-1]
        with pytest.raises(IndexError):
            bundle.checkpoints[4]
        assert bundle.uncommitted == 0
