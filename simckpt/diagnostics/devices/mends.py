"""What to write in the place of a value that cannot be read: known by its kind, never imported."""

from __future__ import annotations

from typing import Any

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
