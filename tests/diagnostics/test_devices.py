"""Arrays of other libraries: shared where the host can read them, else reduced where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from simckpt import CFL, Components, Divergence, Grid, Norm, SetupError
from simckpt.diagnostics import readable
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.devices import arrays as devices
from simckpt.diagnostics.devices.device_sweep import Arithmetic
from simckpt.diagnostics.state import State

SHAPE = (37, 150)
DECLARED = Declarations(
    conserved={"a": "f", "b": "f*g/2 + where(g > 0, 1, -f)", "cells": "1"},
    stability={"courant": CFL("abs(f)", "sqrt(abs(g))")},
    norms={"l2": Norm("f - g", "L2")},
)


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape)


def wide_range(*shape):
    rng = np.random.default_rng(2)
    return np.ldexp(rng.uniform(-1, 1, shape), rng.integers(-1074, 1000, shape))


def with_odd_values():
    values = normal(*SHAPE)
    values[3, 4], values[5, 6], values[7, 7] = np.nan, np.inf, -np.inf
    values[9, 9], values[9, 10], values[10, 10] = -0.0, 5e-324, -1.7e308
    return values


@pytest.fixture
def device(monkeypatch):
    """A function that puts arrays on a device whose memory the host cannot read."""
    strict = pytest.importorskip("array_api_strict")
    host = strict.Device("CPU_DEVICE")
    kind = type(strict.asarray(0.0))
    place = kind.__dlpack_device__
    monkeypatch.setattr(
        kind, "__dlpack_device__", lambda self: place(self) if self.device == host else (2, 0)
    )
    return lambda array: strict.asarray(array, device=strict.Device("device1"))


def assert_same(ranks, found, expected):
    assert ranks.bits_of(found) == ranks.bits_of(expected)
    assert found.origins == expected.origins


def both(ranks, put, fields, grid, declared=DECLARED, more=None):
    """Readings of the same values on the device and on the host."""
    there = {name: put(array) for name, array in fields.items()} | (more or {})
    here = fields | (more or {})
    return (
        ranks.sample(declared, [State(grid, there, dt=0.1)]),
        ranks.sample(declared, [State(grid, here, dt=0.1)]),
    )


def test_a_field_on_a_device_has_the_bits_it_has_on_the_host(ranks, device):
    fields = {"f": wide_range(*SHAPE), "g": normal(*SHAPE)}
    found, expected = both(ranks, device, fields, Grid(SHAPE, 0.5))
    assert_same(ranks, found, expected)
    assert found["a"] == float(ranks.exact_sum(fields["f"]) / 4)


def test_odd_values_masks_and_widths_on_a_device(ranks, device):
    fields = {"f": with_odd_values(), "g": normal(*SHAPE)}
    mask = normal(*SHAPE) > -0.5
    grid = Grid(SHAPE, (0.1, np.linspace(1, 2, SHAPE[1])), where=mask)
    assert_same(ranks, *both(ranks, device, fields, grid))


@pytest.mark.parametrize("kind", ["f4", "i8", "u8", "i4", "u4", "i2", "u1", "?"])
def test_each_number_type_on_a_device(ranks, device, kind):
    fields = {"f": (normal(*SHAPE) * 1e4).astype(kind), "g": normal(*SHAPE)}
    if kind in ("i8", "u8"):
        fields["f"] = np.random.default_rng(3).integers(0, 2**62, SHAPE).astype(kind) * 2 + 1
    assert_same(ranks, *both(ranks, device, fields, Grid(SHAPE)))


def test_complex_values_and_components_on_a_device(ranks, device):
    psi = np.empty(SHAPE, complex)
    psi.real, psi.imag = normal(*SHAPE), with_odd_values()
    vector = normal(2, *SHAPE)
    declared = Declarations(conserved={"e": "psi_re*psi_re + U_1"})
    readings = [
        ranks.sample(
            declared, [State(Grid(SHAPE), {"psi": put(psi), "U": Components(put(vector))})]
        )
        for put in (device, np.asarray)
    ]
    assert_same(ranks, *readings)


def test_stencils_read_the_ghost_layers_on_a_device(ranks, device):
    padded = normal(SHAPE[0] + 2, SHAPE[1] + 2)
    declared = Declarations(stability={"div": Divergence("u", "v")})
    fields = {"u": padded, "v": padded[::-1].copy()}
    assert_same(ranks, *both(ranks, device, fields, Grid(SHAPE, 0.5, ghost=1), declared))


def test_fields_of_the_host_go_with_fields_of_a_device(ranks, device):
    fields, more = {"f": normal(*SHAPE)}, {"g": np.asfortranarray(normal(*SHAPE)).astype(">f4")}
    assert_same(ranks, *both(ranks, device, fields, Grid(SHAPE), more=more))


def test_the_record_says_where_a_field_was_reduced(ranks, device):
    found, expected = both(ranks, device, {"f": normal(*SHAPE), "g": normal(*SHAPE)}, Grid(SHAPE))
    note = found.schema.columns[found.schema.column("f.nan")].note
    assert "reduced by array_api_strict on" in note
    assert "one NaN is as another" in note
    assert "reduced" not in str(expected.schema)


def test_a_device_with_other_arithmetic_is_copied_block_by_block(ranks, device, monkeypatch):
    # As a library without float64, or one that flushes subnormal numbers, would have it.
    monkeypatch.setattr(devices, "_same_arithmetic", lambda library, device: False)
    fields = {"f": wide_range(*SHAPE), "g": with_odd_values()}
    grid = Grid(SHAPE, (0.1, np.linspace(1, 2, SHAPE[1])), where=normal(*SHAPE) > 0)
    found, expected = both(ranks, device, fields, grid)
    assert_same(ranks, found, expected)
    note = found.schema.columns[found.schema.column("f.nan")].note
    assert "copied block by block" in note


def test_blocks_that_are_copied_keep_their_ghost_layers(ranks, device, monkeypatch):
    monkeypatch.setattr(devices, "_same_arithmetic", lambda library, device: False)
    padded = normal(204, 304)
    fields = {"u": padded, "v": padded[::-1].copy()}
    declared = Declarations(conserved={"m": "u"}, stability={"div": Divergence("u", "v")})
    assert_same(ranks, *both(ranks, device, fields, Grid((200, 300), ghost=2), declared))


def test_a_type_that_numpy_does_not_know_is_refused():
    class Brain:
        dtype = "torch.bfloat16"
        shape = (4,)

        def __getitem__(self, cut):
            raise AssertionError

        def __dlpack__(self, **keywords):
            raise BufferError

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(SetupError, match="no type of number"):
        readable.readable(Brain(), "fields['f']")


def test_bits_are_found_without_a_view_of_them(device):
    strict = pytest.importorskip("array_api_strict")
    values = np.concatenate(
        [
            wide_range(3000),
            [0.0, -0.0, 5e-324, -5e-324, np.inf, -np.inf, 1.0, 1.7976931348623157e308],
            np.ldexp(1.0, np.arange(-1074, 1024)),
            np.nextafter(np.ldexp(1.0, np.arange(-1073, 1024)), 0),
        ]
    )
    arithmetic = Arithmetic(strict, strict.Device("device1"))
    for kind in ("f8", "f4"):
        with np.errstate(over="ignore", under="ignore"):
            given = values.astype(kind)
            bits = arithmetic.float_bits(device(given), given.itemsize)
        words = given.view(f"u{given.itemsize}").astype(np.uint64)
        found = np.from_dlpack(bits.to_device(strict.Device("CPU_DEVICE")))
        assert np.array_equal(found.astype(np.uint64), words)


def test_memory_that_jax_holds_on_the_host_is_shared_and_not_copied(ranks):
    jax = pytest.importorskip("jax")
    array = jax.numpy.asarray(normal(*SHAPE).astype("f4"))
    host = readable.readable(array, "fields['f']")
    assert host.ctypes.data == array.unsafe_buffer_pointer()
    reading = ranks.sample(Declarations(conserved={"a": "f"}), [State(Grid(SHAPE), {"f": array})])
    assert reading["a"] == float(ranks.exact_sum(np.asarray(array)))


@pytest.mark.parametrize("gradients", [False, True])
def test_memory_that_torch_holds_on_the_host_is_shared_and_not_copied(ranks, gradients):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(normal(*SHAPE), requires_grad=gradients)
    host = readable.readable(tensor, "fields['f']")
    assert host.ctypes.data == tensor.data_ptr()
    reading = ranks.sample(
        Declarations(conserved={"a": "f"}), [State(Grid(SHAPE), {"f": tensor.T.T})]
    )
    assert reading["a"] == float(ranks.exact_sum(tensor.detach().numpy()))


def test_torch_and_jax_reduce_as_the_host_does_where_they_must(ranks, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    monkeypatch.setattr(readable, "HOST", frozenset())
    fields = {"f": wide_range(*SHAPE), "g": with_odd_values()}
    assert_same(ranks, *both(ranks, torch.asarray, fields, Grid(SHAPE)))


@pytest.fixture
def jax(monkeypatch):
    """JAX, whose arrays lie on a device whose memory the host cannot read."""
    jax = pytest.importorskip("jax")
    pytest.importorskip("array_api_compat")
    monkeypatch.setattr(readable, "HOST", frozenset())
    return jax


def test_jax_on_a_device_has_the_bits_of_the_host_in_double_precision(ranks, jax):
    fields = {"f": with_odd_values(), "g": normal(*SHAPE)}
    declared = Declarations(conserved={"a": "f", "b": "f*g/3 + sqrt(abs(g))"}, extrema=["f", "g"])
    grid = Grid(SHAPE, (0.1, np.linspace(1, 2, SHAPE[1])), where=normal(*SHAPE) > -1)
    jax.config.update("jax_enable_x64", True)
    try:
        found, expected = both(ranks, jax.numpy.asarray, fields, grid, declared)
    finally:
        jax.config.update("jax_enable_x64", False)
    assert_same(ranks, found, expected)
    assert found.origins["f"] == (3, 4)
    assert "jax" in found.schema.columns[found.schema.column("f.nan")].note


def test_jax_without_double_precision_is_copied_and_says_so(ranks, jax):
    with np.errstate(over="ignore"):
        fields = {"f": with_odd_values().astype("f4"), "g": normal(*SHAPE).astype("f4")}
    fields["g"][2, 3] = 1e-42
    declared = Declarations(conserved={"a": "f*g", "b": "g"}, extrema=["f", "g"])
    found, expected = both(ranks, jax.numpy.asarray, fields, Grid(SHAPE), declared)
    assert_same(ranks, found, expected)
    note = found.schema.columns[found.schema.column("f.nan")].note
    assert "copied block by block from jax" in note


@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "?"])
def test_extrema_and_the_first_value_that_is_not_finite_are_found_on_a_device(ranks, device, kind):
    values = (normal(*SHAPE) * 100).astype(kind)
    if kind[0] == "f":
        values[30, 140], values[31, 2] = np.nan, -np.inf
    declared = Declarations(extrema=["f"])
    found, expected = both(ranks, device, {"f": values}, Grid(SHAPE, where=normal(*SHAPE) > -1),
                           declared)  # fmt: skip
    assert_same(ranks, found, expected)
    assert found["f.max.i"] >= 0
    if kind[0] == "f":
        assert found.origins["f"] in {(30, 140), (31, 2)}
