"""Each group of declarations takes the classes that the registry has for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt import CFL, Budget, Conserved, Divergence, Grid, Norm, Particles, SetupError
from simckpt.diagnostics import registry
from simckpt.diagnostics.declarations import KINDS, Declarations
from simckpt.diagnostics.state import State

PUBLIC = {name: row for name, row in vars(registry).items() if not name.startswith("_")}
DOCS = Path(__file__).parents[2] / "docs"


def test_each_row_of_the_registry_is_public_typed_and_in_a_group():
    rows = ast.parse(Path(registry.__file__).read_text()).body[1:]
    for row, name in zip(rows, PUBLIC, strict=True):
        # Type checkers take a name for public that is imported as itself.
        assert isinstance(row, ast.ImportFrom)
        assert [(alias.name, alias.asname) for alias in row.names] == [(name, name)]
        assert getattr(simckpt, name) is PUBLIC[name]
        assert name in dir(simckpt)
        assert name in simckpt.__all__
    assert sorted(c.__name__ for classes in KINDS.values() for c in classes) == sorted(PUBLIC)


def test_what_is_not_public_is_no_attribute():
    for name in ("nonsense", "_nonsense", "__nonsense__", "registry_row"):
        with pytest.raises(AttributeError, match=f"module 'simckpt' has no attribute '{name}'"):
            getattr(simckpt, name)


def test_the_table_of_the_documents_has_the_rows_of_the_registry():
    text = (DOCS / "diagnostics.md").read_text()
    table = text.partition("## Declared\n")[2].partition("\n\nSteps back")[0]
    first = "\n".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    classes = set(re.findall(r"\b([A-Z]\w+)\(", first)) - {"Particles"}
    # The text of an expression is a budget as it is.
    assert classes | {"Budget"} == PUBLIC.keys()
    assert "`budget={" in first


def refused(**declared: object) -> SetupError:
    with pytest.raises(SetupError) as caught:
        Declarations(**declared)
    return caught.value


@pytest.mark.parametrize("group", KINDS)
def test_a_group_takes_its_own_classes_and_names_where_others_belong(group):
    for cls in PUBLIC.values():
        value = object.__new__(cls)
        if cls.group == group:
            assert Declarations(**{group: {"x": value}}).groups[group] == {"x": value}
            continue
        error = refused(**{group: {"x": value}})
        assert error.argument == f"{group}['x']"
        assert f"is a {cls.__name__}, which belongs in {cls.group}=" in error.problem
        assert error.mend == f"Write {cls.group}={{'x': {cls.__name__}(...)}}."
        assert set(error.choices) >= {c.__name__ for c in PUBLIC.values() if c.group == group}


def test_a_text_is_an_expression_where_that_says_it_all():
    assert Declarations(conserved={"m": "rho"}).groups["conserved"] == {"m": Conserved("rho")}
    assert Declarations(budget={"m": "rho"}).groups["budget"] == {"m": Budget("rho")}


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
