"""Every layout and number type is read where it lies."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from simckpt import Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

TOTAL = Declarations(conserved={"total": "f", "twice": "2*f"})
TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TYPES)
def test_each_number_type_in_either_byte_order(ranks, kind, order):
    rng = np.random.default_rng(1)
    values = (
        (rng.normal(size=(30, 47)) * 50).astype(kind).astype(np.dtype(kind).newbyteorder(order))
    )
    reading = ranks.sample(TOTAL, [State(Grid((30, 47)), {"f": values})])
    wide = values.astype("f8")
    assert reading["total"] == float(ranks.exact_sum(wide))
    assert reading["twice"] == float(ranks.exact_sum(2 * wide))
    assert reading["f.min"] == wide.min()
    assert reading["f.max"] == wide.max()


def test_all_float16_values_are_read_exactly(ranks):
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    reading = ranks.sample(TOTAL, [State(Grid(2**16), {"f": values})])
    assert reading["f.nan"] == np.isnan(values).sum()
    assert reading["f.posinf"] == reading["f.neginf"] == 1
    assert reading["f.max"] == 65504.0
    positive = values[:0x7C00]
    one_sided = ranks.sample(TOTAL, [State(Grid(0x7C00), {"f": positive})])
    assert one_sided["total"] == float(ranks.exact_sum(positive.astype("f8")))


def layouts():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(12, 14, 150))
    padded = np.full((16, 18, 154), np.nan)
    padded[2:-2, 2:-2, 2:-2] = base
    every_third = np.full((12, 14, 450), np.nan)
    every_third[..., ::3] = base
    record = np.zeros((12, 14, 150), [("f", "f8"), ("g", "i1")])
    record["f"] = base
    readonly = base.copy()
    readonly.flags.writeable = False
    return base, {
        "Fortran": np.asfortranarray(base),
        "ghosts": padded[2:-2, 2:-2, 2:-2],
        "steps": every_third[..., ::3],
        "reversed": base[::-1, :, ::-1].copy()[::-1, :, ::-1],
        "axes swapped": base.transpose(1, 2, 0).copy().transpose(2, 0, 1),
        "unaligned record": record["f"],
        "read only": readonly,
    }


@pytest.mark.parametrize("layout", layouts()[1])
def test_each_memory_layout_gives_the_same_bits(ranks, layout):
    base, others = layouts()
    grid = Grid(base.shape, spacing=(0.1, 0.2, 0.3))
    expected = ranks.sample(TOTAL, [State(grid, {"f": base})])
    reading = ranks.sample(TOTAL, [State(grid, {"f": others[layout]})])
    assert ranks.bits_of(reading) == ranks.bits_of(expected)


def test_fields_of_different_layouts_go_together(ranks):
    base, others = layouts()
    fields = {"f": base, "g": others["Fortran"], "h": others["steps"].astype("f4")}
    declarations = Declarations(conserved={"s": "f*g + h"})
    reading = ranks.sample(declarations, [State(Grid(base.shape), fields)])
    expected = base * base + base.astype("f4").astype("f8")
    assert reading["s"] == float(ranks.exact_sum(expected))


def test_ghost_layers_may_differ_from_side_to_side(ranks):
    values = np.random.default_rng(1).normal(size=(20, 30))
    array = np.full((20 + 3, 30 + 1), np.nan)
    array[2:-1, :-1] = values
    grid = Grid((20, 30), ghost=((2, 1), (0, 1)))
    assert ranks.sample(TOTAL, [State(grid, {"f": array})])["total"] == float(
        ranks.exact_sum(values)
    )


def test_an_array_that_shares_its_memory_by_dlpack_is_read(ranks):
    class Foreign:
        def __init__(self, array):
            self._array = array

        def __dlpack__(self, **keywords):
            return self._array.__dlpack__(**keywords)

        def __dlpack_device__(self):
            return self._array.__dlpack_device__()

    values = np.random.default_rng(1).normal(size=(20, 30))
    reading = ranks.sample(TOTAL, [State(Grid((20, 30)), {"f": Foreign(values)})])
    assert reading["total"] == float(ranks.exact_sum(values))


def test_an_unknown_kind_of_array_on_a_device_is_refused_with_the_mend(ranks):
    class OnDevice:
        def __dlpack__(self, **keywords):
            raise AssertionError

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(SetupError, match="a copy on the host"):
        ranks.agree(TOTAL, [State(Grid(4), {"f": OnDevice()})])


def test_a_sample_makes_no_temporary_of_the_fields_size():
    values = np.random.default_rng(1).normal(size=(2000, 2000))
    state = State(Grid((2000, 2000)), {"f": values, "g": values.T, "h": values[::-1]})
    probe = RankSampler(Declarations(conserved={"s": "sqrt(f*f + g*g)/(2 + h*h)", "m": "f"}))
    tracemalloc.start()
    probe.agree([probe.local_spec(state)])
    probe.measure(state)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    probe.measure(state)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_matrix_is_read_as_the_array_it_is(ranks):
    field = np.arange(48.0).reshape(6, 8)
    declared = Declarations(conserved={"m": "f"})
    readings = [
        ranks.sample(declared, [State(Grid(f.shape), {"f": f})])
        for f in (field, field.view(np.matrix))
    ]
    assert ranks.bits_of(readings[0]) == ranks.bits_of(readings[1])


@pytest.mark.parametrize("kind", [np.longdouble, np.clongdouble, object])
def test_a_type_that_is_not_read_names_the_field_as_it_was_given(ranks, kind):
    with pytest.raises(SetupError, match=r"fields\['f'\] = '.*is no type of number"):
        ranks.agree(Declarations(), [State(Grid(4), {"f": np.ones(4, kind)})])
