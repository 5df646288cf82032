"""Declared names are the same where their Unicode normal forms are."""

from __future__ import annotations

import pytest

from simckpt.diagnostics.declarations import Declarations
from simckpt.errors import SetupError

MICRO, MU = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"


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
