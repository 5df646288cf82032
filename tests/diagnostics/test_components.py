"""Axes of components: each component is a field of its own, and a view."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import Components, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

SHAPE = (12, 40)


def values(*shape):
    return np.random.default_rng(1).normal(size=shape)


def test_leading_components_are_measured_as_fields_of_their_own(ranks):
    conserved = values(4, *SHAPE)
    names = ("rho", "mx", "my", "E")
    declarations = Declarations(conserved={"mass": "rho", "work": "mx*my/2 + E"})
    grid = Grid(SHAPE, spacing=(0.1, 0.2))
    together = ranks.sample(declarations, [State(grid, {"U": Components(conserved, 0, names)})])
    alone = ranks.sample(declarations, [State(grid, dict(zip(names, conserved, strict=True)))])
    assert ranks.bits_of(together) == ranks.bits_of(alone)
    assert together.schema == alone.schema


@pytest.mark.parametrize("order", ["C", "F"])
def test_trailing_components_with_ghost_layers_and_without_names(ranks, order):
    inner = values(*SHAPE, 3)
    field = np.full((SHAPE[0] + 4, SHAPE[1] + 4, 3), np.nan, order=order)
    field[2:-2, 2:-2] = inner
    declarations = Declarations(conserved={"flux": "B_0 + B_2"})
    reading = ranks.sample(
        declarations, [State(Grid(SHAPE, ghost=2), {"B": Components(field, -1)})]
    )
    assert reading["flux"] == float(ranks.exact_sum(inner[..., 0] + inner[..., 2]))
    assert reading["B_1.min"] == inner[..., 1].min()


def test_a_tensor_has_two_axes_of_components(ranks):
    tensor = values(2, 3, *SHAPE)
    reading = ranks.sample(Declarations(), [State(Grid(SHAPE), {"T": Components(tensor, (0, 1))})])
    assert reading["T_1_2.max"] == tensor[1, 2].max()
    assert len(reading.tiles) == 6


def test_components_beside_three_axes_of_a_grid_and_between_them(ranks):
    inner = values(6, 5, 2, 40)
    state = State(Grid((6, 5, 40)), {"v": Components(inner, 2)})
    reading = ranks.sample(Declarations(conserved={"total": "v_1"}), [state])
    assert reading["total"] == float(ranks.exact_sum(inner[:, :, 1]))


def test_components_of_complex_values_have_two_parts_each(ranks):
    psi = values(2, *SHAPE) + 1j * values(2, *SHAPE)
    reading = ranks.sample(Declarations(), [State(Grid(SHAPE), {"psi": Components(psi)})])
    assert reading["psi_1_im.max"] == psi[1].imag.max()


def test_components_are_views():
    conserved = values(4, *SHAPE)
    for _, part in Components(conserved, 0).parts("U"):
        assert np.shares_memory(part, conserved)


def test_each_box_of_a_rank_has_its_own_components(ranks):
    left, right = values(2, 6, 40), values(2, 6, 40)
    grids = [Grid(SHAPE, start=(0, 0)), Grid(SHAPE, start=(6, 0))]
    state = State(grids, {"U": [Components(left), Components(right)]})
    reading = ranks.sample(Declarations(conserved={"total": "U_1"}), [state])
    assert reading["total"] == float(ranks.exact_sum([left[1], right[1]]))


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ((3.0,), "Components.array"),
        ((np.zeros((4, 8, 8)), 3), "Components.axis"),
        ((np.zeros((4, 8, 8)), True), "Components.axis"),
        ((np.zeros((4, 8, 8)), (0, -3)), "Components.axis"),
        ((np.zeros((4, 8, 8)), ()), "Components.axis"),
        ((np.zeros((4, 8, 8)), 0, ("a", "b")), "Components.names"),
        ((np.zeros((4, 8, 8)), 0, "abcd"), "Components.names"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_argument(arguments, argument):
    with pytest.raises(SetupError) as caught:
        Components(*arguments)
    assert caught.value.argument == argument


def test_two_fields_of_one_name_are_refused(ranks):
    fields = {"rho": values(*SHAPE), "U": Components(values(2, *SHAPE), 0, ("rho", "E"))}
    with pytest.raises(SetupError, match="name of another field"):
        ranks.agree(Declarations(), [State(Grid(SHAPE), fields)])


def test_a_component_that_goes_is_a_fault_of_its_own(ranks):
    states = [State(Grid(SHAPE), {"U": Components(values(n, *SHAPE), 0)}) for n in (3, 2)]
    probes = ranks.agree(Declarations(conserved={"a": "U_0", "c": "U_2"}), states[:1])
    reading = probes.sample(states[1:])
    assert reading.failed == {"U_2": 1, "c": 1}
    assert reading["a"] == float(ranks.exact_sum(values(2, *SHAPE)[0]))
