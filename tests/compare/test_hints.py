"""What is advised for quantities that no relative tolerance can judge."""

import msgspec
import numpy as np
import pytest
from recorded_twins import Setup, edited

from simckpt.compare.comparison import Options, compare
from simckpt.compare.tolerance import Limits, Override, Tolerance
from simckpt.model.series import Sample, TileRow

SMALL = Setup(name="small", n=16, steps=8, every=2, checkpoint_every=4)
MASS, LEAST, LARGEST = 0, 1, 2
CLOSE = Limits(rtol=1e-9)


def momentum(total, mean=0.0, largest=1.0, of="x"):
    """A run whose only field has both signs, with the integral and the mean that are given."""

    def edit(record):
        if isinstance(record, Sample):
            values = np.frombuffer(record.values, "<f8").copy()
            values[[MASS, LEAST, LARGEST]] = total, -1.0, largest
            return msgspec.structs.replace(record, values=values.tobytes())
        if isinstance(record, TileRow):
            ones = np.ones(len(record.mean) // 8)
            even = {"minimum": -ones, "maximum": ones, "mean": mean * ones}
            return msgspec.structs.replace(record, **{k: v.tobytes() for k, v in even.items()})
        return record

    return edited(SMALL.but(mass_of=of), edit)


def within(*overrides, limits=CLOSE):
    return Options(tolerance=Tolerance(default=limits, overrides=overrides))


@pytest.mark.parametrize("of", ["x", "rho*u"])
def test_roundoff_of_a_sum_near_zero_without_a_known_scale_is_not_left_without_a_word(of):
    a, b = momentum(-1.2e-17, of=of), momentum(-4.1e-17, of=of)
    found = compare(a, b, within())
    assert found.verdict == "different"
    (hint,) = found.hints
    assert "mass may be a sum near zero, its scale is not known" in hint
    assert "differ by 2.9e-17" in hint
    advised = float(hint.partition("--atol mass=")[2].split()[0])
    assert compare(a, b, within(Override(pattern="mass", atol=advised))).verdict == "same"


def test_a_sum_that_the_tiles_show_far_from_zero_gets_no_advice():
    assert compare(momentum(0.25, 0.25), momentum(0.26, 0.25), within()).hints == ()


def test_an_expression_that_differs_by_a_small_part_of_itself_gets_no_advice():
    assert compare(momentum(0.25, of="x*x"), momentum(0.25001, of="x*x"), within()).hints == ()


def test_an_expression_that_is_tiny_beside_its_fields_does():
    a, b = (momentum(v, of="x*rho") for v in (1.25e-12, 1.250001e-12))
    assert len(compare(a, b, within()).hints) == 1


def test_a_sum_of_a_field_that_differs_itself_gets_no_advice():
    a, b = momentum(-1.2e-17), momentum(-4.1e-17, largest=1.5)
    assert compare(a, b, within()).hints == ()


def test_without_a_tolerance_there_is_no_advice():
    assert compare(momentum(-1.2e-17), momentum(-4.1e-17)).hints == ()
