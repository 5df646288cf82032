"""Any Python value as JSON that has one encoding, is bounded in size, and holds no secret.

This is where everything that a user hands over passes on its way into a record: parameters,
settings, declared seeds.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import math
import os
import re
import sys
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from ..model.record import Json, canonical_json, hash_bytes
from .secrets.redaction import REDACTED, is_secret_name, redact_text

DEEPEST = 12
MOST_ITEMS = 1_000
MOST_VALUES = 20_000
LONGEST_TEXT = 16_384
LONGEST_REPR = 400
LARGEST_ARRAY = 256 * 2**20
"""Bytes past which an array is described and not hashed."""
SHOWN_ELEMENTS = 16
_MARGIN = 2_048
IN_MEMORY = frozenset({"pandas", "jax", "jaxlib"})
"""Packages whose arrays hold their values, besides NumPy."""

_ADDRESS = re.compile(r"(?: at)? 0x[0-9a-fA-F]{4,}")


def plain(value: object) -> Json:
    """`value` as JSON: equal values give equal JSON, on any machine and in any process.

    Parameters
    ----------
    value : object
        Anything. Arrays become their dtype, shape and BLAKE3 of their bytes in C order (with
        the elements where they are few); callables and classes their qualified name; other
        objects their type and a repr without memory addresses.

    Returns
    -------
    None, bool, int, float, str, list or dict
        NaN and infinities are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, and
        integers past 64 bits are texts of their digits. Secrets are ``"***"``. Cycles, and
        what lies deeper than 12 levels or past 20,000 values, are cut and say so.

    Notes
    -----
    Never raises: a value that cannot be read becomes its type and the error.
    """
    return _Conversion().convert(value, 0)


def clean_text(text: str) -> str:
    """`text` as valid Unicode: the bytes of odd file names are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain_float(value: float) -> Json:
    """A float as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def qualified_name(thing: Any) -> str:
    """``module.name`` of a class or callable, without the ``builtins``."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not isinstance(name, str):
        return qualified_name(type(thing))
    module = getattr(thing, "__module__", None)
    return name if module in (None, "builtins") else clean_text(f"{module}.{name}")


def has_fields(value: object) -> bool:
    """Whether a value is a bag of named values: a dataclass, a struct, a namespace."""
    return _is_namespace(value) or (not isinstance(value, type) and _fields(value) is not None)


class _Conversion:
    """One call of `plain`: what is open above the present value, and how much may follow."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._left = MOST_VALUES

    def convert(self, value: Any, depth: int) -> Json:
        self._left -= 1
        if self._left < 0:
            return "(cut: too many values)"
        if value is None or isinstance(value, bool):
            return value
        try:
            return self._convert(value, depth)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            return {"type": qualified_name(type(value)), "unreadable": type(error).__name__}

    def _convert(self, value: Any, depth: int) -> Json:
        simple, result = _simple(value)
        if simple:
            return result
        if id(value) in self._open:
            return "(cycle)"
        if depth >= DEEPEST:
            return {"type": qualified_name(type(value)), "cut": "too deep"}
        self._open.add(id(value))
        try:
            return self._compound(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _compound(self, value: Any, depth: int) -> Json:
        if isinstance(value, functools.partial):
            call = {"args": value.args, "keywords": value.keywords}
            return {"partial": qualified_name(value.func)} | self._mapping(call, depth)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self._mapping(value._asdict(), depth)
        if isinstance(value, AbstractSet):
            return sorted((self.convert(v, depth) for v in _first(value)), key=canonical_json)
        if _is_array(value):
            return self._array(value, depth)
        if isinstance(value, Sequence):
            return self._sequence(value, depth)
        fields = _fields(value)
        if _is_namespace(value):
            return self._mapping(vars(value), depth)
        if fields is not None:
            return {"type": qualified_name(type(value))} | self._mapping(fields, depth)
        return _opaque(value)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Json:
        result: dict[str, Json] = {}
        for i, key in enumerate(value):
            if i >= MOST_ITEMS:
                result["(cut)"] = f"{len(value) - i} more"
                break
            name = _key(key)
            while name in result:
                name += f" ({type(key).__name__})"
            item = value[key]
            if isinstance(item, str | bytes) and item and is_secret_name(name):
                result[name] = REDACTED
            else:
                result[name] = self.convert(item, depth)
        return result

    def _sequence(self, value: Sequence[Any], depth: int) -> Json:
        if len(value) <= MOST_ITEMS:
            return [self.convert(v, depth) for v in value]
        text = _ADDRESS.sub("", repr(value)).encode("utf-8", "backslashreplace")
        return {
            "type": qualified_name(type(value)),
            "length": len(value),
            "blake3": hash_bytes(text),
            "first": [self.convert(v, depth) for v in value[:SHOWN_ELEMENTS]],
        }

    def _array(self, value: Any, depth: int) -> Json:
        np: Any = sys.modules["numpy"]
        if not isinstance(value, np.ndarray) and _package(value) not in IN_MEMORY:
            # To ask a lazy array for its values may read a file or start a computation.
            shape = [self.convert(n, depth) for n in value.shape]
            return {"type": qualified_name(type(value)), "dtype": str(value.dtype), "shape": shape}
        array = np.asarray(value)
        if array.dtype.hasobject:
            return [self.convert(v, depth) for v in array.ravel()[:MOST_ITEMS].tolist()]
        if array.ndim == 0 and array.dtype.kind in "biufcSUMm":
            return self.convert(array[()], depth)
        facts: dict[str, Json] = {"dtype": str(array.dtype), "shape": list(array.shape)}
        if array.nbytes > LARGEST_ARRAY:
            return facts | {"cut": f"{array.nbytes} bytes are too many to hash here"}
        facts["blake3"] = hash_bytes(array.tobytes(order="C"))
        if isinstance(value, np.ma.MaskedArray):
            facts["mask"] = hash_bytes(np.ma.getmaskarray(value).tobytes(order="C"))
        if array.size <= SHOWN_ELEMENTS and array.dtype.kind in "biufcSUMm":
            facts["values"] = [self.convert(v, depth) for v in array.ravel().tolist()]
        return facts


def _simple(value: Any) -> tuple[bool, Json]:
    """Whether `value` is a leaf, and its JSON."""
    if isinstance(value, enum.Enum):
        return True, f"{qualified_name(type(value))}.{value.name}"
    if isinstance(value, str):
        return True, _text(value)
    if isinstance(value, int):
        return True, int(value) if -(2**63) <= value < 2**64 else str(int(value))
    if isinstance(value, float):
        return True, plain_float(float(value))
    if isinstance(value, complex):
        return True, {"re": plain_float(value.real), "im": plain_float(value.imag)}
    if isinstance(value, os.PathLike):
        return True, _text(os.fsdecode(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return True, {"bytes": memoryview(value).nbytes, "blake3": hash_bytes(bytes(value))}
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return True, value.isoformat()
    if isinstance(value, dt.timedelta):
        return True, plain_float(value.total_seconds())
    if _is_numpy_scalar(value):
        return True, _numpy_scalar(value)
    if isinstance(value, type | types.ModuleType) or _is_function(value):
        return True, qualified_name(value)
    return False, None


def _text(text: str, longest: int = LONGEST_TEXT) -> str:
    # Cut behind what is kept, so that no secret loses the part it is known by.
    shown = redact_text(clean_text(text[: longest + _MARGIN]))
    if len(text) <= longest and len(shown) <= longest + _MARGIN:
        return shown
    rest = max(len(text), len(shown)) - longest
    return f"{shown[:longest]}... (cut: {rest} more characters)"


def _key(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return key.name
    if isinstance(key, str):
        return _text(key)
    if isinstance(key, os.PathLike):
        return _text(os.fsdecode(key))
    if isinstance(key, type) or callable(key):
        return qualified_name(key)
    return _text(_ADDRESS.sub("", repr(key.item() if _is_numpy_scalar(key) else key)))


def _first(value: AbstractSet[Any]) -> list[Any]:
    items = list(value)
    return items if len(items) <= MOST_ITEMS else sorted(items, key=repr)[:MOST_ITEMS]


def _is_function(value: Any) -> bool:
    if isinstance(value, functools.partial):
        return False
    kinds = (
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.MethodWrapperType,
    )
    # Compiled functions and ufuncs are callables with a name of their own.
    return isinstance(value, kinds) or (
        callable(value) and isinstance(getattr(value, "__name__", None), str)
    )


def _is_numpy_scalar(value: Any) -> bool:
    np = sys.modules.get("numpy")
    return np is not None and isinstance(value, np.generic)


def _numpy_scalar(value: Any) -> Json:
    if value.dtype.kind in "fc" and value.dtype.itemsize > 16 * (1 + (value.dtype.kind == "c")) - 8:
        return str(value)
    item = value.item()
    if isinstance(item, type(value)):
        return str(value)
    if value.dtype.kind == "V":
        return {"dtype": str(value.dtype), "blake3": hash_bytes(value.tobytes())}
    return item if isinstance(item, bool) else _simple(item)[1]


def _is_array(value: Any) -> bool:
    np = sys.modules.get("numpy")
    if np is None:
        return False
    return isinstance(value, np.ndarray) or (
        hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")
    )


def _fields(value: Any) -> dict[str, Any] | None:
    """The settings of an object that is a bag of named values."""
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    attributes = getattr(type(value), "__attrs_attrs__", None)
    if attributes is not None:
        return {a.name: getattr(value, a.name, None) for a in attributes}
    model = getattr(type(value), "model_fields", None)
    if isinstance(model, Mapping):
        return {name: getattr(value, name, None) for name in model}
    return None


def _is_namespace(value: Any) -> bool:
    argparse = sys.modules.get("argparse")
    return isinstance(value, types.SimpleNamespace) or (
        argparse is not None and isinstance(value, argparse.Namespace)
    )


def _package(value: Any) -> str:
    return str(type(value).__module__).partition(".")[0]


def _opaque(value: Any) -> Json:
    facts: dict[str, Json] = {"type": qualified_name(type(value))}
    if "__repr__" in {name for cls in type(value).__mro__[:-1] for name in vars(cls)}:
        facts["repr"] = _text(_ADDRESS.sub("", repr(value)), LONGEST_REPR)
    return facts
