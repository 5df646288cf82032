import numpy as np
import pytest

from simckpt.compare.growth import fit_growth

STEPS = np.arange(200)
T = 0.1 * STEPS


def test_exponential_growth_gives_back_its_rate_and_where_it_saturates():
    rng = np.random.default_rng(1)
    curve = np.minimum(1e-16 * np.exp(3.0 * T), 1e-2) * rng.lognormal(0, 0.3, len(T))
    found = fit_growth(curve, T, STEPS)
    assert found is not None
    assert found.law == "exponential"
    assert found.rate == pytest.approx(3.0, rel=0.03)
    assert found.doubling == pytest.approx(np.log(2) / 3.0, rel=0.03)
    assert found.saturated_at == pytest.approx(np.log(1e14) / 3.0, abs=0.6)
    assert found.r2 > 0.98


def test_growth_that_goes_on_to_the_end_is_not_called_saturated():
    found = fit_growth(1e-16 * np.exp(1.0 * T), T, STEPS)
    assert found is not None
    assert found.saturated_at is None
    assert found.end == T[-1]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_growth_by_a_power_gives_back_the_power(power):
    found = fit_growth(1e-9 * T**power, T, STEPS)
    assert found is not None
    assert found.law == "algebraic"
    assert found.rate == pytest.approx(power, rel=0.05)


def test_a_level_noisy_difference_is_bounded():
    rng = np.random.default_rng(2)
    found = fit_growth(1e-15 * rng.lognormal(0, 0.5, len(T)), T, STEPS)
    assert found is not None
    assert found.law == "bounded"
    assert found.rate is None


def test_a_decaying_difference_does_not_grow():
    found = fit_growth(1e-3 * np.exp(-T), T, STEPS)
    assert found is not None
    assert found.law == "bounded"


def test_too_few_points_say_nothing():
    curve = np.zeros(200)
    curve[-3:] = 1e-12
    assert fit_growth(curve, T, STEPS) is None


def test_without_times_it_is_fitted_against_steps():
    found = fit_growth(1e-16 * np.exp(0.1 * STEPS), np.full(200, np.nan), STEPS)
    assert found is not None
    assert found.against == "step"
    assert found.rate == pytest.approx(0.1, rel=0.02)


def test_a_million_samples_fit_like_two_hundred():
    t = np.linspace(0, 20, 1_000_000)
    found = fit_growth(1e-16 * np.exp(1.0 * t), t, np.arange(len(t)))
    assert found is not None
    assert found.rate == pytest.approx(1.0, rel=0.02)
