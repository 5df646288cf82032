"""What a restarted segment repeats is compared at once, from one bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simckpt import open as open_bundle
from simckpt.bundle.writer import BundleWriter
from simckpt.compare.restart_check import Restart, restarts
from simckpt.model.series import (
    Column,
    FieldTiles,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
)
from simckpt.report.overview import restart_text

SCHEMA = SeriesSchema(
    columns=(
        Column(name="mass", kind="conserved"),
        Column(name="cells", kind="custom", exact=False),
    ),
    tiles=(FieldTiles(field="x", dtype="float64", global_shape=(4,), edges=((0, 2, 4),)),),
)
WIDE = SeriesSchema(
    columns=SCHEMA.columns,
    tiles=(FieldTiles(field="x", dtype="float64", global_shape=(4,), edges=((0, 4),)),),
)

Taken = dict[int, tuple[float, tuple[int, ...]]]


def sound(*steps: int) -> Taken:
    """Samples of a run whose state depends on the step alone."""
    return {step: (float(step), (step, 1000 + step)) for step in steps}


@pytest.fixture
def judged(tmp_path: Path):
    """The restarts of a run with these segments: (start step, schema, samples)."""

    def judge(*segments: tuple[int, SeriesSchema, Taken]) -> tuple[Restart, ...]:
        path = tmp_path / f"run-{len(list(tmp_path.iterdir()))}.simckpt.h5"
        opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
        writer = BundleWriter.create(path, opened)
        for index, (start, schema, samples) in enumerate(segments):
            writer.append(Segment(index=index, started=0.0, ranks=index + 1, start_step=start))
            if samples:
                stored = writer.store(schema)
                writer.append(SegmentSchema(segment=index, schema=stored, start_step=start))
            for step, (mass, digests) in samples.items():
                values = np.array([mass, index], "<f8").tobytes()
                words = np.array(digests, "<u8").tobytes()
                writer.append(Sample(step=step, t=0.0, wall=0.0, values=values, digests=words))
            end = SegmentEnd(segment=index, ending="signal", ended=1.0, step=0)
            writer.append(end)
        writer.close()
        with open_bundle(path) as bundle:
            return restarts(bundle)

    return judge


def test_a_run_that_was_never_restarted_has_nothing_to_say(judged) -> None:
    assert judged((0, SCHEMA, sound(0, 2, 4))) == ()


def test_a_restart_that_repeats_every_bit_is_said_to(judged) -> None:
    (found,) = judged((0, SCHEMA, sound(0, 2, 4, 6, 8)), (4, SCHEMA, sound(4, 6, 8, 10)))
    assert found.verdict == "bit-for-bit"
    assert (found.repeats, found.samples) == ((0,), 3)
    assert (found.first_step, found.last_step, found.diverges_at) == (4, 8, None)
    assert restart_text(found).endswith("repeated, steps 4 to 8, bit for bit the same")


def test_a_state_that_was_read_otherwise_than_sampled_is_told_from_a_step_that_was(judged) -> None:
    lossy = {4: (4.0, (4, 7)), 6: (6.5, (1, 2))}
    (found,) = judged((0, SCHEMA, sound(0, 2, 4, 6)), (4, SCHEMA, lossy))
    assert (found.verdict, found.diverges_at, found.in_state) == ("differs", 4, True)
    assert (found.fields, found.tiles, found.of, found.quantities) == (("x",), 1, 2, ())
    assert "the state that was read is not the one" in restart_text(found)

    forgetful = sound(4, 6) | {8: (8.5, (8, 9))}
    (found,) = judged((0, SCHEMA, sound(0, 2, 4, 6, 8)), (4, SCHEMA, forgetful))
    assert (found.diverges_at, found.in_state, found.quantities) == (8, False, ("mass",))
    assert "the restart lacks what a step needs" in restart_text(found)


def test_without_a_common_step_nothing_is_claimed(judged) -> None:
    (found,) = judged((0, SCHEMA, sound(0, 2, 4)), (4, SCHEMA, sound(6, 8)))
    assert found == Restart(segment=1, start_step=4, verdict="no-overlap")
    (found,) = judged((0, SCHEMA, sound(0, 2)), (2, SCHEMA, {}))
    assert found.verdict == "no-overlap"


def test_each_restart_is_held_against_the_last_that_was_there(judged) -> None:
    other = {step: (mass + 1, digests) for step, (mass, digests) in sound(4, 6).items()}
    first, second = judged(
        (0, SCHEMA, sound(0, 2, 4, 6)), (4, SCHEMA, other), (4, SCHEMA, other | sound(8))
    )
    assert (first.verdict, first.repeats) == ("differs", (0,))
    assert (second.verdict, second.repeats) == ("bit-for-bit", (1,))


def test_a_nan_repeats_itself_and_an_inexact_column_is_left_out(judged) -> None:
    nan = {4: (float("nan"), (4, 4))}
    (found,) = judged((0, SCHEMA, sound(0, 2) | nan), (2, SCHEMA, sound(2) | nan))
    assert found.verdict == "bit-for-bit"


def test_tiles_that_were_cut_otherwise_leave_the_columns_to_judge(judged) -> None:
    again = {4: (4.0, (4,)), 6: (7.0, (6,))}
    (found,) = judged((0, SCHEMA, sound(0, 2, 4, 6)), (4, WIDE, again))
    assert (found.verdict, found.diverges_at, found.fields) == ("differs", 6, ())
    assert found.quantities == ("mass",)
