"""Names are the same where their Unicode normal forms are: letters that look alike are alike."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import CFL, Components, Custom, Grid, Growth, Norm, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.expressions import parse
from simckpt.diagnostics.state import State

# A key of keyboards and its letter; a ligature; letters that IPython completes TeX names to.
PAIRS = [
    ("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"),
    ("\N{LATIN SMALL LIGATURE FI}eld", "field"),
    ("\N{GREEK PHI SYMBOL}", "\N{GREEK SMALL LETTER PHI}"),
    ("\N{GREEK LUNATE EPSILON SYMBOL}", "\N{GREEK SMALL LETTER EPSILON}"),
    ("e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"),
]


MICRO, MU = PAIRS[0]


@pytest.mark.parametrize(("one", "other"), [*PAIRS, *(pair[::-1] for pair in PAIRS)])
def test_a_field_is_found_under_any_letters_that_are_the_same(ranks, one, other):
    values = np.arange(6.0)
    declarations = Declarations(
        conserved={"m": f"2*{other}"},
        norms={"n": Norm(other)},
        stability={"rate": Growth(f"{other}.max", 2), "courant": CFL(f"d{other}")},
        derived={f"d{one}": f"{one} + {other}"},
        extrema=[other],
        custom={"own": Custom(lambda fields: fields[one].max(), "max")},
    )
    state = State(Grid(6), {one: values}, dt=0.5)
    reading = ranks.sample(declarations, [state])
    assert reading["m"] == 30.0
    assert reading["courant"] == 5.0
    assert reading["own"] == 5.0
    normal = parse(one).tree[1]
    assert {f"{normal}.max", f"{normal}.max.i"} <= {c.name for c in reading.schema.columns}


def test_components_are_found_too(ranks):
    fields = {"B": Components(np.ones((2, 4)), 0, ("\N{MICRO SIGN}", "v"))}
    declarations = Declarations(conserved={"m": "\N{GREEK SMALL LETTER MU}"})
    assert ranks.sample(declarations, [State(Grid(4), fields)])["m"] == 4.0


def test_two_fields_in_letters_that_are_the_same_are_refused(ranks):
    fields = {name: np.ones(4) for name in PAIRS[0]}
    with pytest.raises(SetupError, match="name of another field"):
        ranks.agree(Declarations(), [State(Grid(4), fields)])


def test_columns_have_the_normal_form():
    declared = Declarations(conserved={MICRO: "rho"}, counts=[f"n{MICRO}"])
    assert declared.facts() == {
        "conserved": {MU: "integral of rho"},
        "counts": {f"n{MU}": "count that the driver reports"},
    }


def test_names_that_are_the_same_in_other_letters_are_declared_twice():
    for build in (
        lambda: Declarations(conserved={MICRO: "rho", MU: "rho"}),
        lambda: Declarations(counts=[MICRO, MU]),
        lambda: Declarations(counts=[MICRO], conserved={MU: "rho"}),
    ):
        with pytest.raises(SetupError, match="declared twice"):
            build()


def test_what_is_no_name_is_refused_by_its_argument():
    for names in ([["a"]], [3], ["a b"]):
        with pytest.raises(SetupError, match=r"counts\[.*is not a name"):
            Declarations(counts=names)


def test_a_derived_quantity_is_found_under_any_letters_that_are_the_same():
    declared = Declarations(derived={MICRO: "rho"})
    assert list(declared.derived) == [MU]
