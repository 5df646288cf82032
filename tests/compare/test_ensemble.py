"""The test of principal components: members pass, strangers fail, at the rates it states."""

import numpy as np
import pytest

from simckpt.compare.ensemble import FEWEST, ensemble_test

NAMES = [f"q{i}" for i in range(12)]
SCALE = np.full(12, 10.0)
MIX = np.random.default_rng(7).normal(size=(5, 12))


def draw(count, seed, shift=0.0):
    """Runs whose 12 quantities follow five hidden ones, with a little of their own."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(count, 5))
    return 10.0 + (hidden + shift) @ MIX + 0.1 * rng.normal(size=(count, 12))


def judge(members, tested):
    return ensemble_test(members, tested, NAMES, SCALE, (3, 9))


@pytest.mark.parametrize(("members", "runs"), [(8, 1), (12, 3), (30, 1), (30, 3)])
def test_runs_of_the_ensemble_itself_seldom_fail(members, runs):
    failed = 0
    for seed in range(150):
        drawn = draw(members + runs, seed)
        failed += not judge(drawn[:members], drawn[members:]).passed
    assert failed <= 6


@pytest.mark.parametrize(("members", "runs"), [(10, 1), (30, 3)])
def test_runs_of_another_mean_fail(members, runs):
    failed = 0
    for seed in range(20):
        tested = draw(runs, 1000 + seed, shift=12.0)
        failed += not judge(draw(members, seed), tested).passed
    assert failed == 20


def test_a_correlation_that_breaks_is_found_though_each_quantity_stays_in_its_range():
    members = draw(40, 1)
    tested = draw(1, 2)
    tested[0, 3] += 3.0
    found = judge(members, tested)
    assert abs(tested[0, 3] - members[:, 3].mean()) < 4 * members[:, 3].std()
    assert not found.passed
    assert found.far


def test_what_lies_outside_all_components_is_found():
    members, tested = draw(12, 1), draw(1, 2)
    # Three components hold most of what five hidden quantities do; this lies across all of them.
    across = np.linalg.svd(MIX)[2][-1]
    assert judge(members, tested).passed
    assert 0 in judge(members, tested + 40.0 * across).far


def test_a_quantity_that_no_member_moves_may_not_move():
    members, tested = draw(10, 1), draw(1, 2)
    members[:, 4], tested[:, 4] = 10.0, 10.0 + 1e-6
    found = judge(members, tested)
    assert found.constant == ("q4",)
    assert not found.passed
    tested[:, 4] = 10.0 + 1e-14
    assert judge(members, tested).constant == ()


def test_too_few_members_or_none_that_vary_tell_nothing():
    assert judge(draw(FEWEST - 1, 1), draw(1, 2)) is None
    assert judge(np.ones((10, 12)), np.ones((1, 12))) is None


def test_what_lies_furthest_off_is_named_first():
    members, tested = draw(20, 1), draw(1, 2)
    tested[0, 8] += 100.0
    assert judge(members, tested).strays[0].name == "q8"


def test_of_three_runs_one_may_stray():
    members, tested = draw(20, 1), draw(3, 2)
    tested[0] += 50.0
    found = judge(members, tested)
    assert found.in_runs == 2
    assert found.passed
    tested[1] += 50.0
    assert not judge(members, tested).passed
