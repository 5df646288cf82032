import numpy as np
import pytest
from recorded_twins import Setup, run

from simckpt.compare.alignment import align
from simckpt.compare.held import KEPT_BYTES, Held, HeldSeries, held
from simckpt.compare.quantities import QuantityFindings, compare_quantities, renamed
from simckpt.compare.tolerance import Limits, Tolerance

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)


def between(a, b, **limits):
    tolerance = Tolerance(default=Limits(**limits))
    return compare_quantities(a, b, align(a, b), tolerance)


def test_first_value_size_and_count_of_a_difference_are_those_of_the_series():
    a, b = run(SMALL), run(SMALL, rate=0.6)
    found = {d.name: d for d in between(a, b).differing}
    mass_a, mass_b = a.series()["mass"], b.series()["mass"]
    at = int(np.argmax(mass_a != mass_b))
    mass = found["mass"]
    assert (mass.a, mass.b) == (mass_a[at], mass_b[at])
    assert mass.step == a.series().step[at]
    assert mass.samples == np.count_nonzero(mass_a != mass_b)
    assert mass.largest == pytest.approx(
        np.max(np.abs(mass_a - mass_b)) / max(mass_a.max(), mass_b.max()), rel=0.3
    )


def test_one_ulp_is_told_as_one_ulp():
    a, b = run(SMALL), run(SMALL)
    series = b.series()
    series._values[4, 0] = np.nextafter(series._values[4, 0], np.inf)
    b.series = lambda: series
    (mass,) = between(a, b).differing
    assert (mass.ulps, mass.step, mass.samples) == (1, 8, 1)
    assert between(a, b, ulp=1).differing == []


def test_a_zero_that_changes_its_sign_is_a_difference_of_bits():
    a, b = run(SMALL), run(SMALL)
    for twin, zero in ((a, 0.0), (b, -0.0)):
        series = twin.series()
        series._values[3, 0] = zero
        twin.series = lambda series=series: series
    assert [d.name for d in between(a, b).differing] == ["mass"]
    assert between(a, b, atol=1e-300).differing == []


def test_a_column_without_any_value_was_not_compared():
    a, b = run(SMALL), run(SMALL)
    for twin in (a, b):
        series = twin.series()
        series._values[:, 7] = np.nan
        twin.series = lambda series=series: series
    found = between(a, b)
    assert "dt" not in found.compared
    assert [(u.name, u.code) for u in found.uncompared] == [("dt", "no-value")]


def test_the_time_itself_is_compared():
    found = between(run(SMALL), run(SMALL, chaotic=False, dt=0.06))
    assert "t" in {d.name for d in found.differing}


def test_a_renamed_field_takes_its_columns_along():
    assert renamed("rho.min", {"rho": "density"}) == "density.min"
    assert renamed("rho", {"rho": "density"}) == "density"
    assert renamed("rho.min", {"rho.min": "lowest", "rho": "density"}) == "lowest"
    assert renamed("mass", {"rho": "density"}) == "mass"


def test_the_curve_is_the_largest_difference_of_what_measures_the_state():
    found = QuantityFindings()
    found.add("scalar", np.array([5.0, 5.0, 5.0]))
    assert found.curve.tolist() == [5.0, 5.0, 5.0]
    found.add("conserved", np.array([0.0, 1e-3, np.nan]))
    found.add("minimum", np.array([1e-5, 0.0, np.inf]))
    assert found.curve.tolist() == [1e-5, 1e-3, 0.0]


def test_a_sum_near_zero_is_no_measure_of_size_while_there_is_a_better_one():
    found = QuantityFindings()
    found.add("conserved", np.array([0.9, 0.9]), wanders=True)
    assert found.curve.tolist() == [0.9, 0.9]
    found.add("maximum", np.array([0.0, 1e-15]))
    assert found.curve.tolist() == [0.0, 1e-15]


def test_a_held_run_reads_each_column_once_and_long_ones_again():
    class Counting:
        def __init__(self, n):
            self.n, self.reads = n, 0

        def __getitem__(self, name):
            self.reads += 1
            return np.zeros(self.n)

    short = Counting(10)
    series = HeldSeries(short)
    series["a"], series["a"]
    assert short.reads == 1
    long = Counting(KEPT_BYTES // 8 + 1)
    series = HeldSeries(long)
    series["a"], series["a"]
    assert long.reads == 2
    once = held(run(SMALL))
    assert held(once) is once
    assert isinstance(once, Held)
