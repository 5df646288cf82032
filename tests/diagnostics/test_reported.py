"""What the driver reports on its ranks, put together: counts, solves, scalars, callables."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import Components, Custom, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.quantities.base import LocalState
from simckpt.diagnostics.quantities.reported import LARGEST_TOTAL
from simckpt.diagnostics.state import Extremes, Reported, Solves, State

FIELD = np.arange(12.0)


def states(*reports, **state):
    """One rank a report, each with a part of the field."""
    cells = len(FIELD) // len(reports)
    return [
        State(
            Grid(FIELD.shape, start=(r * cells,)),
            {"u": FIELD[r * cells : (r + 1) * cells]},
            reported=report,
            **state,
        )
        for r, report in enumerate(reports)
    ]


def reading(ranks, declarations, *reports):
    given_ = states(*reports)
    return ranks.agree(declarations, given_).sample(given_)


def test_counts_add_up_over_the_ranks(ranks):
    found = reading(
        ranks,
        Declarations(counts=["limiter", "floor"]),
        Reported(counts={"limiter": 3}),
        Reported(),
        Reported(counts={"limiter": 2**52, "other": 1}),
    )
    assert found["limiter"] == 2**52 + 3
    assert found["floor"] == 0
    assert not found.faults


def test_a_solve_that_every_rank_reports_is_one_solve(ranks):
    made = Reported(solves={"poisson": Solves(2, 30, 1e-2, 1e-9)})
    for reports in ((made,), (made, made, made), (Reported(), made)):
        found = reading(ranks, Declarations(residuals=["poisson"]), *reports)
        assert found["poisson.solves"] == 2
        assert found["poisson.iterations"] == 30
        assert found["poisson.initial"] == 1e-2
        assert found["poisson.final"] == 1e-9


def test_no_solve_is_none_and_a_nan_residual_is_not_hidden(ranks):
    declarations = Declarations(residuals=["poisson"])
    found = reading(ranks, declarations, Reported(), Reported())
    assert (found["poisson.solves"], found["poisson.iterations"]) == (0, 0)
    assert math.isnan(found["poisson.initial"])
    diverged = Reported(solves={"poisson": Solves(1, 5, 1.0, math.nan)})
    fine = Reported(solves={"poisson": Solves(1, 5, 1.0, 2.0)})
    found = reading(ranks, declarations, diverged, fine)
    assert found["poisson.initial"] == 1.0
    assert math.isnan(found["poisson.final"])


def test_counts_of_many_ranks_pass_no_word(ranks):
    full = Reported(counts={"limiter": LARGEST_TOTAL})
    found = reading(ranks, Declarations(counts=["limiter"]), full, full, full)
    assert found["limiter"] == 3 * 2.0**64
    assert not found.faults
    # What was given back to the reports and added to may be more than one report can be.
    beyond = Reported(counts={"limiter": 2**70}, solves={"poisson": Solves(1, 2**70)})
    declared = Declarations(counts=["limiter"], residuals=["poisson"])
    found = reading(ranks, declared, beyond, full)
    assert found["limiter"] == 2.0**70 + 2.0**64
    assert found["poisson.iterations"] == 2.0**70


@given(
    st.lists(
        st.builds(
            Solves,
            st.integers(0, 3),
            st.integers(0, 99),
            st.floats(0, 1) | st.just(math.nan),
            st.floats(0, 1),
        ),
        min_size=1,
    )
)
def test_solves_join_in_any_order(made):
    forward, backward = reduce(add, made), reduce(add, made[::-1])
    assert repr(forward) == repr(backward) or not any(s.solves for s in made)
    assert forward.solves == sum(s.solves for s in made)


@pytest.mark.parametrize("value", [0.0, -1.5, math.inf, -math.inf, 5e-324])
def test_a_scalar_is_what_the_ranks_that_report_it_agree_on(ranks, value):
    told = Reported(scalars={"multiplier": value})
    declarations = Declarations(scalars=["multiplier"])
    for reports in ((told,), (told, told), (Reported(), told, Reported())):
        found = reading(ranks, declarations, *reports)
        assert found["multiplier"] == value
        assert not found.faults


def test_a_scalar_on_which_ranks_differ_is_nan_and_said(ranks):
    declarations = Declarations(scalars=["multiplier"])
    one, two = (Reported(scalars={"multiplier": v}) for v in (1.0, 2.0))
    found = reading(ranks, declarations, one, two, one)
    assert math.isnan(found["multiplier"])
    assert found.problems == ("scalar multiplier differs between ranks: 1.0 to 2.0",)
    assert found.faults == 1
    found = reading(ranks, declarations, one, Reported(scalars={"multiplier": math.nan}))
    assert math.isnan(found["multiplier"])
    assert "NaN on 1 of the 2 ranks" in found.problems[0]


def test_a_scalar_that_nobody_reports_is_nan_without_a_fault(ranks):
    found = reading(ranks, Declarations(scalars=["multiplier"]), Reported(), Reported())
    assert math.isnan(found["multiplier"])
    assert not found.faults
    nan = Reported(scalars={"multiplier": math.nan})
    assert not reading(ranks, Declarations(scalars=["multiplier"]), nan, nan).faults


def test_a_callable_of_the_users_own_is_put_together_over_the_ranks(ranks):
    declarations = Declarations(
        custom={
            "total": Custom(lambda fields: fields["u"].sum()),
            "top": Custom(lambda fields: fields["u"].max(), "max", exact=True),
            "least": Custom(lambda fields: fields["u"].min(), "min", exact=True),
            "odd": Custom(lambda fields: fields["u"][0] or None, "min"),
            "silent": Custom(lambda fields: None, "max"),
        }
    )
    found = reading(ranks, declarations, Reported(), Reported(), Reported())
    assert (found["total"], found["top"], found["least"]) == (66.0, 11.0, 0.0)
    assert found["odd"] == 4.0
    assert math.isnan(found["silent"])
    assert not found.faults
    exact = {column.name: column.exact for column in found.schema.columns}
    assert not exact["total"]
    assert exact["top"]


def test_the_ranks_partial_sums_are_added_exactly(ranks):
    parts = {0: 1e16, 4: 1.0, 8: -1e16}
    declarations = Declarations(custom={"q": Custom(lambda fields: parts[int(fields["u"][0])])})
    assert reading(ranks, declarations, Reported(), Reported(), Reported())["q"] == 1.0
    parts[4] = math.nan
    assert math.isnan(reading(ranks, declarations, Reported(), Reported(), Reported())["q"])


def test_what_a_callable_raises_marks_the_sample_and_nothing_else(ranks):
    def picky(fields):
        if fields["u"][0]:
            raise RuntimeError("no converged root")
        return 1.0

    declarations = Declarations(conserved={"mass": "u"}, custom={"q": Custom(picky, "max")})
    given_ = states(Reported(), Reported())
    agreed = ranks.agree(declarations, given_)
    found = agreed.sample(given_)
    assert math.isnan(found["q"])
    assert found["mass"] == 66.0
    assert found.failed == {"q": 1}
    assert [str(f) for f in agreed.probes[1].faults] == [
        "q at step 0: RuntimeError: no converged root"
    ]


def test_a_callable_that_leaves_the_program_marks_the_sample_and_nothing_else(ranks):
    def leave(fields):
        raise SystemExit(3)

    declarations = Declarations(conserved={"mass": "u"}, custom={"q": Custom(leave)})
    given_ = states(Reported())
    agreed = ranks.agree(declarations, given_)
    found = agreed.sample(given_)
    assert math.isnan(found["q"])
    assert found["mass"] == 66.0
    (fault,) = agreed.probes[0].faults
    assert "raised SystemExit(3)" in str(fault)


def test_a_keyboard_interrupt_goes_through_a_callable(ranks):
    def interrupt(fields):
        raise KeyboardInterrupt

    given_ = states(Reported())
    agreed = ranks.agree(Declarations(custom={"q": Custom(interrupt)}), given_)
    with pytest.raises(KeyboardInterrupt):
        agreed.sample(given_)


@pytest.mark.parametrize(
    "field",
    [
        np.arange(12.0),
        np.zeros((3, 8))[::-1, ::2],
        np.asfortranarray(np.zeros((3, 4))),
        np.zeros((4, 4)).T[1:],
        np.broadcast_to(1.0, (3, 4)),
        np.zeros(4, ">f8"),
        np.zeros(4, np.complex64),
        np.zeros(4, np.float16),
        np.zeros(4, bool),
        np.zeros(4, np.uint64),
    ],
)
def test_neither_a_callables_view_nor_its_base_can_be_written_to(field):
    seen = {}
    custom = Custom(lambda fields: seen.update(fields), "max")
    custom._partial(LocalState(State(fields={"u": field}), 0, Extremes()))
    view = seen["u"]
    assert np.shares_memory(view, field)
    assert (view.dtype, view.shape, view.strides) == (field.dtype, field.shape, field.strides)
    assert (view == field).all()
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 99
    with pytest.raises((TypeError, NotImplementedError)):
        view.base[(0,) * field.ndim] = 99
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        view.flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(view.base)[...] = 99


def test_declarations_that_cannot_be_used_are_refused():
    with pytest.raises(SetupError, match="not a list of names"):
        Declarations(counts="limiter")
    with pytest.raises(SetupError, match="declared twice"):
        Declarations(counts=["a", "a"])
    with pytest.raises(SetupError, match="declared twice"):
        Declarations(counts=["a"], scalars=["a"])
    with pytest.raises(SetupError, match="reserved"):
        Declarations(scalars=["dt"])
    with pytest.raises(SetupError, match="not a Custom"):
        Declarations(custom={"q": lambda fields: 1.0})
    with pytest.raises(SetupError, match="not callable"):
        Custom(3)
    with pytest.raises(SetupError, match="Choices: sum, max, min"):
        Custom(len, "mean")


def test_declarations_are_equal_where_they_ask_for_the_same():
    def make():
        return Declarations(custom={"q": Custom(lambda fields: 1.0)}, counts=["n"])

    assert make() == make()
    assert make() != Declarations(custom={"q": Custom(lambda fields: 1.0, "max")}, counts=["n"])
    assert make().facts()["counts"] == {"n": "count that the driver reports"}


def test_a_report_that_nothing_was_declared_for_is_found():
    declarations = Declarations(counts=["limiter"])
    reported = Reported(counts={"limiter": 1, "limitr": 1}, scalars={"x": 1.0})
    assert list(declarations.undeclared(reported)) == [
        ("count", "limitr", "Declare it with counts=['limitr']."),
        ("scalar", "x", "Declare it with scalars=['x']."),
    ]


def test_a_custom_callable_cannot_write_to_the_fields(ranks):
    field = np.arange(6.0)
    boxes = [np.ones(3), np.ones(3)]

    def meddle(fields):
        array = fields["u"][0] if isinstance(fields["u"], list) else fields["u"]
        array = getattr(array, "array", array)
        array[...] = 7.0
        return 1.0

    declared = Declarations(custom={"bad": Custom(meddle)})
    for state in (
        State(Grid(6), {"u": field}),
        State(Grid(6), {"u": Components(np.stack([field, field]), 0)}),
        State([Grid(6), Grid(6, start=3)], {"u": boxes}),
    ):
        group = ranks.agree(declared, [state])
        assert math.isnan(group.sample([state])["bad"])
        assert "read-only" in group.probes[0].faults[0].text
    assert list(field) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert all((box == 1.0).all() for box in boxes)
    assert field.flags.writeable
