"""Each group of declarations takes its own kinds, and two columns never have one name."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt.diagnostics import (
    CFL,
    AngularMomentum,
    Budget,
    Conserved,
    Custom,
    Declarations,
    Diffusion,
    Divergence,
    Frequency,
    Grid,
    Growth,
    Norm,
    Particles,
    State,
    TotalVariation,
)
from simckpt.diagnostics.declarations import KINDS
from simckpt.errors import SetupError

MADE = {
    "conserved": (Conserved("rho"), AngularMomentum()),
    "budget": (Budget("rho"),),
    "stability": (
        CFL("u"),
        Diffusion("nu"),
        Frequency("w"),
        Divergence("u"),
        TotalVariation("u"),
        Growth("e"),
    ),
    "norms": (Norm("rho"),),
    "custom": (Custom(max),),
}


def refused(**declared: object) -> SetupError:
    with pytest.raises(SetupError) as caught:
        Declarations(**declared)
    return caught.value


@pytest.mark.parametrize("group", KINDS)
def test_a_group_takes_its_own_kinds_and_names_where_others_belong(group):
    for home, values in MADE.items():
        for value in values:
            if home == group:
                assert getattr(Declarations(**{group: {"x": value}}), group) == {"x": value}
                continue
            error = refused(**{group: {"x": value}})
            kind = type(value).__name__
            assert error.argument == f"{group}['x']"
            assert f"is a {kind}, which belongs in {home}=" in error.problem
            assert error.mend == f"Write {home}={{'x': {kind}(...)}}."
            assert set(error.choices) >= {kind.__name__ for kind in KINDS[group]}


def test_a_text_is_an_expression_where_that_says_it_all():
    assert Declarations(conserved={"m": "rho"}).conserved == {"m": Conserved("rho")}
    assert Declarations(budget={"m": "rho"}).budget == {"m": Budget("rho")}


def test_a_text_for_a_norm_is_mended_with_the_norm_of_it():
    error = refused(norms={"n": "p - q"})
    assert error.mend == "Write norms={'n': Norm('p - q', 'L2')}."
    assert error.choices == ("Norm",)
    assert "Norm('rho', 'L2')" in refused(norms={"n": "p -"}).mend


def test_a_class_without_its_brackets_is_no_diagnostic():
    assert refused(stability={"c": CFL}).mend.startswith("Write CFL(...)")
    assert refused(norms={"n": Norm}).mend.startswith("Write Norm(...)")
    assert "CFL('abs(u)" in refused(stability={"c": 3.0}).mend
    assert "Custom(function" in refused(custom={"c": max}).mend


def test_a_diagnostic_of_a_users_own_goes_with_stability_and_norms():
    class Mine:
        def text(self):
            return "mine"

        def plan(self, name, context):
            return Norm("rho").plan(name, context)

    mine = Mine()
    assert Declarations(stability={"a": mine}, norms={"b": mine}).facts() == {
        "stability": {"a": "mine"},
        "norms": {"b": "mine"},
    }
    assert "conserved= takes" in refused(conserved={"m": mine}).problem


def test_a_name_declared_twice_is_told_with_both_arguments():
    error = refused(conserved={"m": "rho"}, norms={"m": Norm("rho")})
    assert error.argument == "norms['m']"
    assert "conserved['m']" in error.problem
    assert error.mend


def test_a_column_that_is_there_anyway_is_told_with_both_arguments(ranks):
    fields = {"rho": np.ones((4, 4))}
    state = State(Grid((2, 2), ghost=1), fields)
    with pytest.raises(SetupError) as caught:
        ranks.agree(Declarations(stability={"rho": Divergence("rho", "rho")}), [state])
    assert caught.value.argument == "stability['rho']"
    assert "'rho.max', as fields['rho'] does" in caught.value.problem
    particles = Particles(np.arange(2), velocity=np.ones((2, 1)), position=np.ones((2, 1)))
    with pytest.raises(SetupError) as caught:
        ranks.agree(Declarations(counts=["momentum_x"]), [State(particles=particles)])
    assert caught.value.argument == "counts['momentum_x']"
    assert "particles=" in caught.value.problem
