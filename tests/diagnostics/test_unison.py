"""Ranks that ask for different things, or hold cells otherwise than they should, are told apart."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import CFL, Cells, Conserved, Custom, Grid, Particles, SetupError, TotalVariation
from simckpt.diagnostics.coverage import box_checksum
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State


def state(rank: int, ranks: int = 3, spacing: Any = 1.0) -> State:
    return State(Grid((4 * ranks, 5), spacing, (4 * rank, 0)), {"q": np.full((4, 5), 3.0)})


def agreed(
    declared: list[dict[str, Any]], settings: Any = None, spacing: Any = None
) -> RankSampler:
    """The probe of rank 0, after each rank has found the same."""
    probes = [RankSampler(Declarations(**kw), rank) for rank, kw in enumerate(declared)]
    settings = settings or [{}] * len(probes)
    spacing = spacing or [1.0] * len(probes)
    offers = [
        p.local_spec(state(r, len(probes), h), s)
        for r, (p, s, h) in enumerate(zip(probes, settings, spacing, strict=True))
    ]
    offers = pickle.loads(pickle.dumps(offers))
    texts = set()
    for probe in probes:
        try:
            probe.agree(offers)
        except SetupError as error:
            texts.add(str(error))
        else:
            texts.add("")
    (text,) = texts
    if text:
        raise SetupError("all ranks", None, text)
    assert len({p.schema for p in probes}) == 1
    assert len({p.blank()[0].size for p in probes}) == 1
    return probes[0]


M = {"conserved": {"m": "q"}}


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (
            {"conserved": {"m": "q", "e": "q*q"}},
            r"conserved\['e'\].*on rank 1, and not on ranks 0, 2",
        ),
        (
            {"conserved": {"m": "q*q"}},
            r"'integral of q\*q': is what rank 1 .* rank 0 'integral of q'",
        ),
        ({"conserved": {"n": "q"}}, r"conserved\['m'\].*on ranks 0, 2, and not on rank 1"),
        ({"conserved": {"m": Conserved("q", weight="one")}}, "'sum of q'"),
        ({"conserved": {"m": Conserved("q", monotone="increasing")}}, "increasing"),
        ({"conserved": {f"m{i}": "q" for i in range(60)}}, r"conserved\['m'\]"),
        (M | {"stability": {"c": CFL("q")}}, r"stability\['c'\].*not on ranks 0, 2"),
        (M | {"extrema": ["q"]}, r"extrema\['q'\]"),
        (M | {"derived": {"w": "q+1"}}, r"derived\['w'\]"),
        (M | {"custom": {"x": Custom(max, exact=True)}}, r"custom\['x'\]"),
    ],
)
def test_another_declaration_on_one_rank_is_the_same_error_on_all(odd, says) -> None:
    with pytest.raises(SetupError, match=says):
        agreed([M, odd, M])


def test_another_convention_on_one_rank_is_the_same_error_on_all() -> None:
    both = [{"stability": {"c": CFL("q", convention=c)}} for c in ("sum", "max")]
    with pytest.raises(SetupError, match=r"'Courant number, max.* rank 0 'Courant number, sum"):
        agreed(both)


def test_another_cadence_on_one_rank_names_both() -> None:
    with pytest.raises(SetupError, match=r"every = '2 steps': is what rank 1 .* rank 0 '1 steps'"):
        agreed([M, M], [{"every": "1 steps"}, {"every": "2 steps"}])


def test_the_order_of_declarations_is_that_of_rank_0_on_every_rank() -> None:
    names = ["a", "b", "c"]
    ranks = [
        {"conserved": dict.fromkeys(order, "q"), "scalars": [f"{n}_0" for n in order]}
        for order in itertools.permutations(names)
    ]
    assert [c.name for c in agreed(ranks).schema.columns][:3] == names


def test_another_width_on_one_rank_is_the_same_error_on_all() -> None:
    with pytest.raises(SetupError, match=r"Grid.spacing\[0\] = 0.2: on rank 2 .* rank 0 says, 0.1"):
        agreed([M] * 3, spacing=[0.1, 0.1, 0.2])


def test_widths_that_differ_by_roundoff_are_the_ranks_own(ranks) -> None:
    widths = [0.1, math.nextafter(0.1, 1.0)]
    reading = ranks.sample(Declarations(**M), [state(r, 2, (w, 1.0)) for r, w in enumerate(widths)])
    assert reading["m"] == pytest.approx(12.0, rel=1e-15)


@given(st.data())
def test_the_mark_of_a_box_is_the_sum_of_those_of_its_parts(data) -> None:
    shape = data.draw(st.lists(st.integers(1, 2**40), min_size=1, max_size=4))
    start = [data.draw(st.integers(0, 2**20)) for _ in shape]
    axis = data.draw(st.integers(0, len(shape) - 1))
    at = data.draw(st.integers(0, shape[axis]))
    low, high = list(shape), list(shape)
    low[axis], high[axis] = at, shape[axis] - at
    behind = list(start)
    behind[axis] += at
    whole = box_checksum(start, shape)
    assert (box_checksum(start, low) + box_checksum(behind, high)) % 2**64 == whole


def test_the_mark_of_each_cell_is_another() -> None:
    cells = [box_checksum(cell, (1, 1, 1)) for cell in np.ndindex(17, 13, 11)]
    assert len(set(cells)) == len(cells)
    assert 0 not in cells


def boxes(*starts: int) -> list[State]:
    return [State(Grid((12, 5), start=(s, 0)), {"q": np.full((4, 5), 3.0)}) for s in starts]


def cells(*ids: list[int]) -> list[State]:
    return [State(Cells(np.array(i), 6), {"q": np.ones(len(i))}) for i in ids]


def particles(*ids: list[int]) -> list[State]:
    return [State(particles=Particles(np.array(i), position=np.ones((len(i), 2)))) for i in ids]


@pytest.mark.parametrize(
    ("begun", "moved", "wrong", "what"),
    [
        (boxes(0, 4, 8), boxes(8, 0, 4), boxes(0, 3, 8), "cells"),
        (boxes(0, 4, 8), boxes(4, 8, 0), boxes(0, 0, 8), "cells"),
        (
            cells([0, 1, 2], [3, 4, 5]),
            cells([5, 1, 0, 2], [3, 4]),
            cells([0, 1, 2], [2, 4, 5]),
            "cells",
        ),
        (
            particles([0, 1, 2], [3, 4]),
            particles([4], [3, 2, 1, 0]),
            particles([0, 1, 2], [2, 4]),
            "ids",
        ),
    ],
)
def test_cells_that_move_are_fine_and_cells_held_twice_are_not(
    ranks, begun, moved, wrong, what
) -> None:
    declared = Declarations() if what == "ids" else Declarations(**M)
    group = ranks.agree(declared, begun)
    assert group.sample(begun).problems == group.sample(moved).problems == ()
    reading = group.sample(wrong)
    assert f"some {what}" in reading.problems[0]
    assert reading.faults == 1
    assert np.isnan(reading.values[:-1]).any()
    assert not reading.digests.any()
    assert group.sample(begun).problems == ()


def test_refined_boxes_that_fill_a_tile_twice_are_told() -> None:
    def refined(*starts: int) -> State:
        grids = [Grid((8,)), *(Grid((16,), 0.5, start=(s,), level=1) for s in starts)]
        return State(grids, {"q": [np.ones(8), *(np.ones(8) for _ in starts)]})

    probe = RankSampler(Declarations(**M))
    probe.agree([probe.local_spec(refined(0, 8))])
    assert probe.finish(*probe.measure(refined(8, 0))).problems == ()
    assert "more values than a tile" in probe.finish(*probe.measure(refined(8, 8))).problems[0]


@pytest.mark.parametrize("given", ["whole axis", "own part"])
def test_boxes_of_other_widths_each_are_cells_of_many_widths(ranks, given) -> None:
    widths = np.repeat([0.1, 0.2], 4)

    def state(start: int, cells: int) -> State:
        here = widths if given == "whole axis" else widths[start : start + cells]
        grid = Grid(8, (here,), start=start, ghost=1)
        return State(grid, {"q": np.arange(start, start + cells + 2) / 7.0}, dt=0.1)

    declared = Declarations(
        conserved={"m": "q"}, stability={"c": CFL("q"), "tv": TotalVariation("q")}
    )
    whole, shared = (
        ranks.sample(declared, states) for states in ([state(0, 8)], [state(0, 4), state(4, 4)])
    )
    assert ranks.bits_of(whole) == ranks.bits_of(shared)
    assert whole["tv"] == pytest.approx(8 / 7.0)


@pytest.mark.parametrize("text", ["0", "x", "-2", "1.5", "", "²"])
def test_a_number_of_threads_that_is_none_is_an_error_at_the_start(monkeypatch, text) -> None:
    monkeypatch.setenv("SIMCKPT_THREADS", text)
    with pytest.raises(SetupError, match=f"SIMCKPT_THREADS = '{text}': is not a number of threads"):
        agreed([M, M])
