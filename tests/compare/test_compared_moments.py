"""What belongs to one moment is compared, whatever the precision, and names are checked in both."""

import pytest
from recorded_twins import Setup, run

from simckpt.capture.environment import differing_facts
from simckpt.cli.tolerances import read_tolerances
from simckpt.compare.comparison import Options, compare
from simckpt.compare.where.alignment import align
from simckpt.compare.where.tiles import compare_tiles
from simckpt.compare.where.tolerance import Limits, Tolerance
from simckpt.errors import SetupError
from simckpt.model.environment import Environment

SMALL = Setup(name="small", n=8, steps=24, every=2, checkpoint_every=8)
LOOSE = Tolerance(default=Limits(rtol=1e-3))


def test_tile_statistics_of_other_times_are_never_compared():
    a, b = run(SMALL), run(SMALL, dt=SMALL.dt * 1.37, name="other")
    aligned = align(a, b, "time")
    at_a = set(aligned.steps_a[aligned.exact].tolist())
    rows, found = compare_tiles(a, b, ["x"], LOOSE, {}, aligned)
    assert rows <= len(at_a)
    assert {d.step for d in found} <= at_a


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
