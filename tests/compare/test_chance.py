"""Student's t and the binomial distribution against their tables."""

import pytest

from simckpt.compare.ensemble import at_least, deviation, two_sided


@pytest.mark.parametrize(
    ("probability", "freedom", "t"),
    [
        (0.05, 1, 12.7062),
        (0.05, 2, 4.3027),
        (0.01, 3, 5.8409),
        (0.005, 7, 4.0293),
        (0.05, 10, 2.2281),
        (0.05, 120, 1.9799),
    ],
)
def test_the_table_of_student_holds(probability, freedom, t):
    assert deviation(probability, freedom) == pytest.approx(t, abs=1e-4)
    assert two_sided(t, freedom) == pytest.approx(probability, rel=1e-4)


def test_nothing_is_outside_of_nothing_and_all_is_at_least_none():
    assert two_sided(0.0, 5) == 1.0
    assert at_least(0, 4, 0.3) == pytest.approx(1.0)
    assert at_least(4, 4, 0.5) == pytest.approx(0.0625)


def test_three_runs_of_an_ensemble_pass_as_often_as_was_published():
    # 50 components, 2 standard deviations, three of them in two of three runs (Baker et al. 2015).
    component = at_least(2, 3, two_sided(2.0, 150))
    assert at_least(3, 50, component) == pytest.approx(0.005, abs=0.002)
