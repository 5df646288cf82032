"""Two runs held against reference runs: natural spread passes, an answer that changes does not."""

import pytest
from recorded_twins import Setup, run

from simckpt import SetupError
from simckpt.compare.comparison import Options, compare
from simckpt.compare.growth import allowance
from simckpt.compare.reference import refer

CHAOS = Setup(name="chaos", n=8, steps=120, every=2, checkpoint_every=60, chaotic=True)


def twin(number, **changes):
    """The same run with its initial condition moved by a few roundings."""
    amplitude = 0.1 * (1 + 3e-15 * number)
    return run(CHAOS.but(name=f"twin{number}", amplitude=amplitude, **changes))


@pytest.fixture(scope="module")
def twins():
    return [twin(i) for i in range(1, 12)]


@pytest.fixture(scope="module")
def base():
    return run(CHAOS)


def test_a_twin_is_statistically_the_same_with_one_reference_or_with_many(base, twins):
    for count in (1, 3, 10):
        found = compare(base, twins[-1], references=twins[:count])
        assert found.verdict == "same", found.reasons
        assert found.exit_status == 0
        assert found.classification.kind == "statistical only"
        assert found.headline.startswith("Statistically the same: the bits differ from step 0 on")
        assert found.reference.outcome == "within"
        assert len(found.reference.runs) == count


def test_without_references_the_same_two_runs_differ(base, twins):
    assert compare(base, twins[-1]).verdict == "different"


@pytest.mark.parametrize("changes", [{"rate": 0.52}, {"amplitude": 0.1001}, {"bit": (4, 45)}])
@pytest.mark.parametrize("count", [1, 10])
def test_what_changes_the_answer_leaves_the_band(base, twins, changes, count):
    found = compare(base, run(CHAOS.but(**changes)), references=twins[:count])
    assert found.verdict == "different"
    assert found.reference.outcome == "beyond"
    assert found.reference.band.outside
    assert "further than the reference runs do" in found.headline
    assert found.classification.kind != "statistical only"


def test_another_order_of_operations_is_within_the_growth_of_twins(base, twins):
    found = compare(base, run(CHAOS.but(reordered=True)), references=twins[:4])
    assert found.verdict == "same", found.reasons
    assert found.reference.ensemble is None
    assert any("5 members with A, and it takes 8" in reason for reason in found.reasons)


def test_a_run_that_ends_early_is_different_however_alike_it_is(base, twins):
    found = compare(base, twin(20, steps=80), references=twins[:3])
    assert found.verdict == "different"
    assert "Statistically the same" in found.headline
    assert "but B ends at step 80" in found.headline


def test_references_that_cannot_be_held_against_the_runs_leave_the_question_open(base, twins):
    brief = twin(30, steps=4)
    found = compare(base, twins[0], references=[brief])
    assert found.verdict == "could-not-compare"
    assert found.exit_status == 2
    assert found.reference.outcome == "unknown"
    assert "has 3 of 61 samples" in found.reference.left_out[0]


def test_a_reference_that_fails_to_cover_is_named_and_the_others_serve(base, twins):
    found = compare(base, twins[0], references=[twin(30, steps=4), twins[1]])
    assert found.verdict == "same"
    assert len(found.reference.left_out) == 1


def test_references_that_agree_bit_for_bit_show_no_spread_and_are_none(base):
    again = run(CHAOS.but(name="again"))
    with pytest.raises(SetupError, match="repeats run A and shows no spread"):
        compare(base, twin(1), references=[again])
    assert compare(base, run(CHAOS), references=[again]).headline.startswith("Bit-for-bit")


def test_a_value_that_is_not_finite_is_never_natural(base, twins):
    poisoned = twin(3, poison=100)
    assert compare(base, poisoned, references=twins[:9]).verdict == "different"


def test_the_window_says_where_the_ensemble_is_tested(base, twins):
    found = compare(base, twins[-1], Options(window=(100, 110)), references=twins[:9])
    assert (found.reference.ensemble.first, found.reference.ensemble.last) == (100, 110)
    with pytest.raises(SetupError, match="steps 0 to 120"):
        compare(base, twins[-1], Options(window=(500, 600)), references=twins[:9])
    with pytest.raises(SetupError, match="before it begins"):
        Options(window=(9, 3))


def test_three_runs_are_tested_together(base, twins):
    found = refer(base, twins[-3:], twins[:-3])
    assert found.ensemble.runs == 3
    assert found.ensemble.in_runs == 2
    assert found.outcome == "within", found.reasons


def test_the_allowance_falls_as_references_are_added():
    assert [allowance(n) for n in (1, 2, 5, 50)] == [300.0, 75.0, 12.0, 2.0]


def test_a_run_is_no_reference_for_itself(base, twins):
    for references in ([twins[0]], [base], [twins[0], base, twins[0]]):
        with pytest.raises(SetupError, match="leaves no run to refer to") as caught:
            compare(base, twins[0], references=references)
        assert str(references[0].path) in str(caught.value)


def test_a_reference_that_repeats_another_counts_once_and_that_is_said(base, twins):
    once = compare(base, twins[0], references=twins[1:3])
    often = compare(base, twins[0], references=[*twins[1:3], *[twins[1]] * 8, twins[0]])
    assert often.reference.runs == once.reference.runs
    assert often.reference.band == once.reference.band
    assert often.verdict == once.verdict
    assert len(often.reference.left_out) == 9
    assert any("repeats the run under test" in text for text in often.reference.left_out)


def test_a_bit_identical_twin_of_another_name_shows_no_spread(base, twins):
    found = compare(base, twins[0], references=[run(CHAOS.but(name="again")), twins[1]])
    assert len(found.reference.runs) == 1
    assert "again" in found.reference.left_out[0]
    assert "repeats run A" in found.reference.left_out[0]
