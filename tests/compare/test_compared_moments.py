"""What belongs to one moment is compared, whatever the precision, and names are checked in both."""

import pytest
from msgspec.structs import replace
from recorded_twins import Setup, edited, run

from simckpt import SetupError
from simckpt.capture.environment import differing_facts
from simckpt.compare.alignment import align
from simckpt.compare.comparison import Options, compare
from simckpt.compare.fields import compare_tiles
from simckpt.compare.tolerance import Limits, Tolerance, read_tolerances
from simckpt.model.documents import Environment
from simckpt.model.series import Checkpoint, Sample, TileRow

SMALL = Setup(name="small", n=8, steps=24, every=2, checkpoint_every=8)
EXACT = Tolerance(default=Limits(rtol=1e-12))
LOOSE = Tolerance(default=Limits(rtol=1e-3))


def test_tile_statistics_of_other_times_are_never_compared():
    a, b = run(SMALL), run(SMALL, dt=SMALL.dt * 1.37, name="other")
    aligned = align(a, b, "time")
    at_a = set(aligned.steps_a[aligned.exact].tolist())
    rows, found = compare_tiles(a, b, ["x"], LOOSE, {}, aligned)
    assert rows <= len(at_a)
    assert {d.step for d in found} <= at_a


def in_half_as_many_steps(setup):
    """The same run as one would count its steps that takes them twice as long."""

    def edit(record):
        if isinstance(record, Checkpoint):
            record = replace(record, state=replace(record.state, step=record.step // 2))
        if isinstance(record, Checkpoint | Sample | TileRow):
            return replace(record, step=record.step // 2)
        return record

    return edited(setup, edit)


def test_tile_statistics_by_label_are_those_of_checkpoints_of_one_name():
    a, b = run(SMALL, rate=0.9), in_half_as_many_steps(SMALL.but(rate=0.9))
    aligned = align(a, b, "label")
    assert (8, 4) in set(zip(aligned.steps_a.tolist(), aligned.steps_b.tolist(), strict=True))
    assert compare_tiles(a, b, ["x"], EXACT, {}, aligned) == (4, ())
    rows, found = compare_tiles(a, b, ["x"], EXACT, {}, align(a, b, "step"))
    assert rows > 0
    assert found


def test_a_tolerance_judges_fields_of_another_precision_by_their_numbers():
    a, b = run(SMALL), run(SMALL, precision="float32", name="single")
    assert compare(a, b).verdict != "same"
    found = compare(a, b, Options(tolerance=LOOSE))
    assert found.verdict == "same", found.reasons
    assert any(u.code == "dtype" for u in found.uncompared)


@pytest.mark.parametrize("renames", [{"x": "y"}, {"x": "mass"}, {"mass": "x"}])
def test_a_name_that_run_b_does_not_have_is_refused(renames):
    with pytest.raises(SetupError, match="of run B") as caught:
        compare(run(SMALL), run(SMALL), Options(renames=renames))
    assert caught.value.choices


def test_what_one_node_could_not_read_is_no_difference():
    whole = Environment(sections={"cpu": {"model": "x"}, "container": {"runtime": "docker"}})
    late = Environment(sections={"cpu": {"model": "x"}}, unavailable={"container": "timed out"})
    other = Environment(sections={"cpu": {"model": "y"}}, unavailable={"container": "timed out"})
    assert differing_facts(whole, late) == ()
    assert differing_facts(whole, other) == ("cpu.model",)


def test_a_wrong_tolerance_names_its_file_and_the_tables_there_are(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text('[quantity."x.*"]\nrtol = 1e-9\n')
    with pytest.raises(SetupError, match=r"limits\.toml") as caught:
        read_tolerances(path)
    assert "quantities" in caught.value.choices
