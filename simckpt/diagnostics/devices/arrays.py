"""Arrays that do not lie in host memory: what the host may know of them without a copy.

They are reduced where they lie, with the functions of their own library, if its arithmetic is that
of the host; otherwise they are copied block by block. Either way the results are those of the same
values in host memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SetupError

# What to write in the place of a value that cannot be read: known by its kind, never imported.


_WRITTEN = {
    ("h5py", "Dataset"): "Give its values, read once a sample: dataset[...].",
    ("netCDF4", "Variable"): "Give its values, read once a sample: variable[...].",
    ("zarr", "Array"): "Give its values, read once a sample: array[...].",
    ("xarray", "DataArray"): "Give the array inside it: .values.",
    ("xarray", "Variable"): "Give the array inside it: .values.",
    ("xarray", "Dataset"): "Give the values of each of its variables: dataset[name].values.",
    ("pandas", "Series"): "Give the array inside it: .values.",
    ("pandas", "Index"): "Give the array inside it: .values.",
    ("pandas", "DataFrame"): "Give the array of each column: frame[name].values.",
    ("polars", "Series"): "Give its values: .to_numpy().",
    ("dask", "Array"): "Give its values, computed once a sample: .compute().",
    ("scipy", "sparray"): "Give its values with the zeros: .toarray().",
    ("scipy", "spmatrix"): "Give its values with the zeros: .toarray().",
    ("sparse", "SparseArray"): "Give its values with the zeros: .todense().",
    ("pint", "PlainQuantity"): "Give the array inside it: .magnitude.",
    ("tensorflow", "Tensor"): "Give its values: .numpy().",
    ("numba", "DeviceNDArray"): "Give its values, copied once a sample: .copy_to_host().",
    ("torch", "MaskedTensor"): "Give its get_data(), and its get_mask() as Grid.where.",
    ("torch", "DTensor"): "Give this rank's part, .to_local(), with its Grid.",
    ("torch", "FakeTensor"): "Give a tensor that holds values.",
    ("jax", "Tracer"): "Take the sample outside of functions that JAX transforms.",
}

ANY = "Give a NumPy array, or one that supports DLPack."


def kind_of(value: object) -> str:
    """What a value is, for a person, such as ``"h5py.Dataset"``."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package in ("builtins", "__main__") else f"{package}.{kind.__name__}"


def reason_of(error: Exception) -> str:
    """Kind and first words of what a library raised: some tell all that they have."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first if len(first) <= 100 else first[:97] + '...'}"


def mend_of(value: Any) -> str:
    """What to write instead of `value`, an imperative sentence."""
    for base in type(value).__mro__:
        written = _WRITTEN.get((base.__module__.partition(".")[0], base.__name__))
        if written:
            return written
    try:
        return _of_its_state(value) or _of_its_form(value)
    except Exception:  # noqa: BLE001 - whatever it answers, there is something to say
        return ANY


def _of_its_state(value: Any) -> str:
    """For arrays of a kind that can be read, of which this one cannot."""
    if hasattr(value, "is_deleted") and value.is_deleted():
        return "Give an array whose memory was not donated or deleted."
    if str(getattr(value, "device", "")) == "meta":
        return "Give a tensor that holds values: those on the device meta have none."
    if getattr(value, "is_nested", False) is True:
        return "Give its values in one box: .to_padded_tensor(0.0)."
    if str(getattr(value, "layout", "torch.strided")) != "torch.strided":
        return "Give its values with the zeros: .to_dense()."
    if not getattr(value, "is_fully_addressable", True):
        return "Give this process's part, .addressable_data(0), with its Grid."
    return ""


def _of_its_form(value: Any) -> str:
    if isinstance(value, list | tuple) and any(hasattr(item, "shape") for item in value):
        return "Give one array; a list of arrays goes with a list of Grids, one for each."
    if callable(value) and not hasattr(value, "__array__"):
        return "Give what it returns, an array."
    if isinstance(value, list | tuple | range | bool | int | float | complex) or any(
        hasattr(value, name) for name in ("__array__", "__buffer__", "tobytes")
    ):
        return "Give it as an array: np.asarray(...)."
    return ANY


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array of another library, with the few words that the host uses.

    `component` is "real" or "imag" for one part of complex values, "high" or "low" for one half
    of integers of 64 bits.
    """

    array: Any
    library: Any
    """Its array-API namespace; None if it has none, and is copied."""
    component: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in NumPy's terms."""
        kind = np.dtype(str(self.array.dtype).rpartition(".")[2])
        if self.component in ("high", "low"):
            return np.dtype(np.int64)
        return kind.type(0).real.dtype if self.component else kind

    @property
    def real(self) -> DeviceArray:
        """The real parts of complex values."""
        return replace(self, component="real")

    @property
    def imag(self) -> DeviceArray:
        """The imaginary parts of complex values."""
        return replace(self, component="imag")

    def __getitem__(self, cut: Any) -> DeviceArray:
        return replace(self, array=self.array[cut])

    def half(self, which: str) -> DeviceArray:
        """The high or the low 32 bits of wide integers, as what the host makes of them."""
        return replace(self, component=which)

    @property
    def place(self) -> str:
        """Library and device, for a person."""
        return f"{type(self.array).__module__.partition('.')[0]} on {self.device}"

    @property
    def device(self) -> Any:
        """The device as its library has it."""
        return getattr(self.array, "device", None)

    def values(self) -> Any:
        """The values themselves, on the device: of a block only, as complex parts are copies."""
        if self.component in ("high", "low"):
            words = self.library.astype(self.array, self.library.int64)
            if self.component == "low":
                return words & 0xFFFFFFFF
            high = words >> 32
            return high & 0xFFFFFFFF if "uint" in str(self.array.dtype) else high
        part = getattr(self.library, self.component)(self.array) if self.component else self.array
        return settled(part)

    def copied(self) -> NDArray[Any]:
        """The values in host memory: of a block only."""
        array = settled(self.array)
        try:
            host = np.from_dlpack(array, device="cpu", copy=True)
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            host = np.asarray(array.cpu() if hasattr(array, "cpu") else array)
        return getattr(host, self.component) if self.component else host


def settled(array: Any) -> Any:
    """`array` with what PyTorch has only noted down beside the memory: made true, or let go.

    A tensor that records gradients refuses to be shared; its values are the same without them. A
    conjugate, or its imaginary part, has the memory of the original and a bit that says what is
    to be done with the values. DLPack refuses the one bit and ignores the other: such a tensor is
    copied.
    """
    if getattr(array, "requires_grad", False):
        array = array.detach()
    for noted, done in (("is_conj", "resolve_conj"), ("is_neg", "resolve_neg")):
        if hasattr(array, done) and getattr(array, noted)():
            array = getattr(array, done)()
    return array


COPIED_BLOCK = 1 << 14
"""Cells of a block that is copied to the host, at most, unless a row is longer."""


def cuts(shape: Sequence[int], most: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Begin and end, along each axis, of blocks of at most `most` cells or one row."""
    sides = list(shape)
    for axis in range(len(shape) - 1):
        sides[axis] = max(1, min(shape[axis], most // max(1, prod(shape[axis + 1 :]))))
    yield from product(
        *(
            [(a, min(a + side, n)) for a in range(0, n, max(1, side))]
            for n, side in zip(shape, sides, strict=True)
        )
    )


def device_array(value: Any, argument: str) -> DeviceArray:
    """`value` as an array that stays where it is.

    Raises
    ------
    SetupError
        If its numbers have no counterpart in NumPy.
    """
    kind = getattr(value, "dtype", None)
    if kind is None or not hasattr(value, "shape") or not hasattr(value, "__getitem__"):
        raise SetupError(
            argument,
            kind_of(value),
            "lies in the memory of a device, and is no array of a library that is known",
            mend="Give a copy on the host.",
        )
    array = DeviceArray(value, _namespace(value))
    if not _has_counterpart(array):
        raise SetupError(
            argument,
            str(kind),
            "is no type of number that can be measured",
            mend="Give it as float32, on the host or on the device.",
        )
    return array


def _has_counterpart(array: DeviceArray) -> bool:
    try:
        # Libraries teach NumPy types of their own, as JAX does with bfloat16: still no kernel's.
        return array.dtype.isbuiltin == 1
    except TypeError:
        return False


def check_copied(array: DeviceArray, argument: str) -> None:
    """SetupError if one cell of `array` cannot be had on the host: then nothing of it can.

    What cannot be copied is so found out before the sweep, in which it would spoil all fields.
    """
    if not array.size:
        return
    try:
        cell = array[(slice(0, 1),) * array.ndim].copied()
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the field is named
        problem = f"cannot be copied to the host ({reason_of(error)})"
    else:
        if cell.shape == (1,) * array.ndim and cell.dtype == array.dtype:
            return
        problem = f"gives {cell.dtype} of shape {cell.shape} for one cell of {array.dtype}"
    raise SetupError(argument, kind_of(array.array), problem, mend=mend_of(array.array))


def reducible(array: DeviceArray) -> bool:
    """Whether its library does float64 and int64 arithmetic as the host does, where it lies."""
    if array.library is None:
        return False
    try:
        return _same_arithmetic(array.library, array.device)
    except TypeError:  # a device that cannot be a key
        return _same_arithmetic.__wrapped__(array.library, array.device)


def statement(array: DeviceArray) -> str:
    """How `array` is measured, in a few words for the record."""
    if not reducible(array):
        return f"copied block by block from {array.place}"
    text = f"reduced by {array.place}, whose exp, log and the like are its own"
    return text if hasattr(array.array, "view") else f"{text}, and one NaN is as another"


_HARD = (1.0, 2.0, 3.0, 7.0, 49.0, 1e16 + 2, 1e-300, 3.5e-310, 5e-324, 2.0**1023, 0.1, 1 / 3)


@cache
def _same_arithmetic(library: Any, device: Any) -> bool:
    """Whether trials come out as on the host; False where a library cannot even do them."""
    try:
        with np.errstate(all="ignore"):
            return _trials(library, device)
    except Exception:  # noqa: BLE001 - whatever a library says, it will not do
        return False


def _trials(library: Any, device: Any) -> bool:
    """Try what libraries and devices differ in: width, subnormal numbers, the last bit."""
    x = library.asarray(_HARD, dtype=library.float64, device=device)
    y = library.asarray(_HARD[::-1], dtype=library.float64, device=device)
    n = library.asarray([-(2**62) - 3], dtype=library.int64, device=device)
    if "float64" not in str(x.dtype) or "int64" not in str(n.dtype):
        return False
    pairs = list(zip(_HARD, _HARD[::-1], strict=True))
    expected = (
        [a + b for a, b in pairs],
        [a * b for a, b in pairs],
        [float(np.float64(a) / np.float64(b)) for a, b in pairs],
        [sqrt(a) for a in _HARD],
    )
    results = (x + y, x * y, x / y, library.sqrt(x))
    same = all(
        [float(v[i]) for i in range(len(_HARD))] == e
        for v, e in zip(results, expected, strict=True)
    )
    wraps = int((n * n)[0]) == (((2**62 + 3) ** 2 + 2**63) % 2**64) - 2**63
    return same and wraps


def _namespace(value: Any) -> Any:
    if hasattr(value, "__array_namespace__"):
        return value.__array_namespace__()
    try:
        from array_api_compat import array_namespace
    except ImportError:
        return None
    try:
        return array_namespace(value)
    except TypeError:
        return None
