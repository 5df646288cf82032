"""What libraries note beside the memory is heeded, and what cannot be read is one clear error."""

from __future__ import annotations

import array
import math
import sys

import numpy as np
import pytest

from simckpt import Grid, SetupError
from simckpt.diagnostics import readable
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.devices import arrays
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

SHAPE = (3, 4)
SUMS = Declarations(conserved={"m": "f", "other": "g"})
HOST = np.arange(12.0).reshape(SHAPE)


class Noted:
    """An array that notes down a change of sign, as PyTorch does, and shares the values as held."""

    def __init__(self, held, negative):
        self.held, self.negative = held, negative
        self.shape, self.dtype = held.shape, held.dtype

    def is_neg(self):
        return self.negative

    def resolve_neg(self):
        return Noted(-self.held, False)

    def __getitem__(self, cut):
        return Noted(self.held[cut], self.negative)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()

    def __dlpack__(self, **keywords):
        return self.held.__dlpack__(**keywords)


class Refusing:
    """An array on a device that gives its values to nobody."""

    shape, dtype = SHAPE, np.dtype("f8")

    def __getitem__(self, cut):
        return self

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **keywords):
        raise BufferError("lost")


def foreign(module, name, base=object):
    """An object of a class of another library, which the machine may not have."""
    return type(name, (base,), {"__module__": module})()


def refused(value, grid=None):
    probe = RankSampler(SUMS)
    with pytest.raises(SetupError) as caught:
        probe.agree([probe.local_spec(State(grid or Grid(SHAPE), {"f": value, "g": HOST}))])
    return str(caught.value)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_a_sign_that_is_only_noted_down_is_heeded(ranks, monkeypatch):
    state = State(Grid(SHAPE), {"f": Noted(HOST, negative=True), "g": HOST})
    reading = ranks.sample(SUMS, [state])
    assert (reading["m"], reading["other"]) == (-66.0, 66.0)
    # On a device it is heeded block by block.
    monkeypatch.setattr(readable, "HOST", frozenset())
    reading = ranks.sample(SUMS, [state])
    assert (reading["m"], reading["other"]) == (-66.0, 66.0)


@pytest.mark.parametrize("way", ["shared", "copied", "reduced"])
def test_conjugate_tensors_have_the_values_they_stand_for(ranks, torch, monkeypatch, way):
    z = torch.tensor(HOST + 1j)
    fields = {"conj": z.conj(), "part": z.conj().imag, "graded": z.clone().requires_grad_().conj()}
    if way != "shared":
        monkeypatch.setattr(readable, "HOST", frozenset())
    if way == "reduced":
        pytest.importorskip("array_api_compat")
    monkeypatch.setattr(arrays, "_same_arithmetic", lambda library, device: way == "reduced")
    declared = Declarations(
        conserved={"a": "conj_re", "b": "conj_im", "c": "part", "d": "graded_im"}
    )
    reading = ranks.sample(declared, [State(Grid(SHAPE), fields)])
    assert [reading[name] for name in "abcd"] == [66.0, -12.0, -12.0, -12.0]
    host = {"conj": np.conj(HOST + 1j), "part": -np.ones(SHAPE), "graded": np.conj(HOST + 1j)}
    expected = ranks.sample(declared, [State(Grid(SHAPE), host)])
    assert ranks.bits_of(reading) == ranks.bits_of(expected)


def test_an_array_that_gives_its_values_to_nobody_is_refused_at_the_first_sample():
    text = refused(Refusing())
    assert text.startswith("fields['f'] = ")
    assert "for one cell of float64" in text


@pytest.mark.parametrize("value", [Refusing(), None, [[1.0]]])
def test_an_array_that_fails_later_spoils_the_columns_that_read_it_alone(ranks, value):
    first = State(Grid(SHAPE), {"f": HOST, "g": HOST})
    probe = RankSampler(SUMS)
    probe.agree([probe.local_spec(first)])
    reading = probe.finish(*probe.measure(State(Grid(SHAPE), {"f": value, "g": HOST}, step=1)))
    assert math.isnan(reading["m"])
    assert (reading["other"], reading["g.nan"]) == (66.0, 0.0)
    (fault,) = probe.faults
    assert "f at step 1: SetupError: fields['f']" in str(fault)


@pytest.mark.parametrize(
    ("make", "mend"),
    [
        (lambda t: t.empty(SHAPE, device="meta"), "those on the device meta have none."),
        (lambda t: t.eye(3, 4).to_sparse(), ".to_dense()."),
        (lambda t: t.eye(3, 4).to_sparse_csr(), ".to_dense()."),
        (lambda t: t.nested.nested_tensor([t.ones(3), t.ones(4)]), ".to_padded_tensor(0.0)."),
        (lambda t: t.masked.masked_tensor(t.ones(SHAPE), t.ones(SHAPE) > 0), "as Grid.where."),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_values_in_one_box_are_refused_with_what_to_write(torch, make, mend):
    text = refused(make(torch))
    assert text.startswith("fields['f'] = 'torch.")
    assert text.endswith(mend)


def test_a_tensor_whose_class_answers_for_it_is_not_read_through_its_memory():
    tensor = type(
        "Tensor", (Noted,), {"__module__": "torch", "__torch_dispatch__": None, "resolve_neg": None}
    )
    plain, fake = (type(n, (tensor,), {"__module__": "torch._x"}) for n in ("Plain", "FakeTensor"))
    fake.__torch_dispatch__ = classmethod(lambda cls: None)
    assert np.array_equal(readable.readable(plain(HOST, False), "f"), HOST)
    assert refused(fake(HOST, False)).endswith("Give a tensor that holds values.")


def test_an_array_of_jax_that_was_deleted_is_refused():
    jax = pytest.importorskip("jax")
    gone = jax.numpy.ones(SHAPE)
    gone.delete()
    assert refused(gone).endswith("Give an array whose memory was not donated or deleted.")


@pytest.mark.parametrize(
    ("value", "mend"),
    [
        (foreign("h5py._hl.dataset", "Dataset"), "dataset[...]."),
        (foreign("xarray.core.dataarray", "DataArray"), ".values."),
        (foreign("pandas.core.series", "Series"), ".values."),
        (foreign("dask.array.core", "Array"), ".compute()."),
        (foreign("project", "Mine", type(foreign("h5py._hl.dataset", "Dataset"))), "dataset[...]."),
        (HOST.tolist(), "np.asarray(...)."),
        (array.array("d", HOST.ravel()), "np.asarray(...)."),
        ([HOST, HOST], "a list of arrays goes with a list of Grids, one for each."),
        (HOST.sum, "Give what it returns, an array."),
        (None, "Give a NumPy array, or one that supports DLPack."),
    ],
)
def test_what_is_no_array_is_refused_with_what_to_write(value, mend):
    text = refused(value)
    assert "is not an array. Give " in text
    assert text.endswith(mend)


def test_kinds_of_other_libraries_are_known_as_these_have_them(tmp_path):
    h5py, xarray = pytest.importorskip("h5py"), pytest.importorskip("xarray")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["f"] = HOST
        assert refused(file["f"]).startswith("fields['f'] = 'h5py.Dataset'")
        assert refused(file["f"]).endswith("dataset[...].")
    assert refused(xarray.DataArray(HOST)).endswith(".values.")
    if "pandas" in sys.modules:  # xarray brings it
        assert refused(sys.modules["pandas"].Series(HOST.ravel())).endswith(".values.")


def test_the_choices_of_types_are_those_that_would_be_taken():
    assert "complex" not in refused(HOST, Grid(SHAPE, volume=HOST + 1j)).partition("Choices")[2]
    assert "complex128" in refused(HOST.astype("G"))
