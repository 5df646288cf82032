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
import sys
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import msgspec

from ..model.record import Facts, Json, canonical_json, hash_bytes
from .containers import parts_of
from .fingerprints import Fingerprints
from .generators import read_generator
from .objects import (
    attributes_of,
    belongs_to_process,
    bound_values,
    is_users_own,
    name_of,
    without_addresses,
)
from .secrets.redaction import redact_text
from .secrets.trees import listed, named, under

DEEPEST = 12
MOST_ITEMS = 1_000
MOST_VALUES = 20_000
MOST_ATTRIBUTES = 2_000
LONGEST_TEXT = 16_384
LONGEST_REPR = 400
LARGEST_ARRAY = 256 * 2**20
"""Bytes past which an array is described and not hashed."""
SHOWN_ELEMENTS = 16
_MARGIN = 2_048
_LONGEST_DECIMAL = 14_000
IN_MEMORY = frozenset({"pandas", "jax", "jaxlib"})
"""Packages whose arrays hold their values, besides NumPy."""


def plain(value: object) -> Json:
    """`value` as JSON: equal values give equal JSON, on any machine and in any process.

    Parameters
    ----------
    value : object
        Anything. Arrays become their dtype, shape and BLAKE3 of their bytes in C order (with
        the elements where they are few); classes their qualified name, functions too, with what
        is bound to them; objects their type and attributes, or a repr without memory addresses.

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


qualified_name = name_of


def has_fields(value: object) -> bool:
    """Whether a value is a bag of named values: a dataclass, a struct, a namespace."""
    return _is_namespace(value) or (not isinstance(value, type) and _fields(value) is not None)


class _Conversion:
    """One call of `plain`: what is open above the present value, and how much may follow."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._left = MOST_VALUES
        self._attributes_left = MOST_ATTRIBUTES
        self._fingerprints = Fingerprints()

    def convert(self, value: Any, depth: int) -> Json:
        self._left -= 1
        if self._left < 0:
            return f"(cut: too many values, blake3 {self._fingerprints.of(value)})"
        if value is None or isinstance(value, bool):
            return value
        try:
            return self._convert(value, depth)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            return self._unreadable(value, error)

    def _convert(self, value: Any, depth: int) -> Json:
        simple, result = _simple(value)
        if simple:
            return result
        if id(value) in self._open:
            return "(cycle)"
        if depth >= DEEPEST:
            return self._cut(value, "too deep")
        self._open.add(id(value))
        try:
            return self._compound(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _compound(self, value: Any, depth: int) -> Json:
        if isinstance(value, functools.partial):
            call = {"args": value.args, "keywords": value.keywords}
            return {"partial": self.convert(value.func, depth)} | self._mapping(call, depth)
        if _is_function(value):
            bound = self._mapping(bound_values(value) or {}, depth)
            return {"callable": qualified_name(value)} | bound
        parts = parts_of(value)
        if parts is not None:
            return {"type": qualified_name(type(value))} | self._mapping(parts, depth)
        generator = read_generator(value)
        if generator is not None:
            return _generator(generator)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self._mapping(value._asdict(), depth)
        if isinstance(value, AbstractSet):
            return self._set(value, depth)
        if _is_array(value):
            return self._array(value, depth)
        if isinstance(value, Sequence):
            return self._sequence(value, depth)
        fields = _fields(value)
        if _is_namespace(value):
            return self._mapping(vars(value), depth)
        if fields is not None:
            return {"type": qualified_name(type(value))} | self._mapping(fields, depth)
        return self._opaque(value, depth)

    def _opaque(self, value: Any, depth: int) -> Json:
        """An object of a class that says nothing of itself: its attributes, or else its repr."""
        facts: dict[str, Json] = {"type": qualified_name(type(value))}
        if belongs_to_process(value):
            return facts
        shown = "__repr__" in {name for cls in type(value).__mro__[:-1] for name in vars(cls)}
        held = attributes_of(value) if is_users_own(type(value)) or not shown else None
        if held:
            self._attributes_left -= len(held)
            if self._attributes_left < 0:
                return self._cut(value, "too many attributes")
            return facts | self._mapping(held, depth)
        if shown:
            facts["repr"] = _text(without_addresses(repr(value)), LONGEST_REPR)
        return facts

    def _unreadable(self, value: Any, error: Exception) -> Json:
        facts: dict[str, Json] = {
            "type": qualified_name(type(value)),
            "unreadable": type(error).__name__,
        }
        try:
            # What it holds tells it apart, although its own code cannot be asked.
            held = attributes_of(value) if is_users_own(type(value)) else None
        except Exception:  # noqa: BLE001 - nor can that
            held = None
        return facts | ({"blake3": self._fingerprints.of(held)} if held else {})

    def _cut(self, value: Any, why: str) -> Json:
        kind = qualified_name(type(value))
        return {"type": kind, "cut": why, "blake3": self._fingerprints.of(value)}

    def _set(self, value: AbstractSet[Any], depth: int) -> Json:
        if len(value) <= MOST_ITEMS:
            return sorted((self.convert(v, depth) for v in value), key=canonical_json)
        first = sorted(value, key=repr)[:SHOWN_ELEMENTS]
        return {
            "type": qualified_name(type(value)),
            "length": len(value),
            "blake3": self._fingerprints.of(value),
            "first": [self.convert(v, depth) for v in first],
        }

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Json]:
        result: dict[str, Json] = {}
        # What is cut must not depend on the order in which a dict was filled.
        keys = value if len(value) <= MOST_ITEMS else sorted(value, key=repr)
        for i, key in enumerate(keys):
            if i >= MOST_ITEMS:
                rest = {k: value[k] for k in islice(keys, i, None)}
                result["(cut)"] = f"{len(rest)} more, blake3 {self._fingerprints.of(rest)}"
                break
            name = _key(key)
            while name in result:
                name += f" ({type(key).__name__})"
            item = value[key]
            result[name] = under(name, item, self.convert(item, depth))
        return named(result)

    def _sequence(self, value: Sequence[Any], depth: int) -> Json:
        if len(value) <= MOST_ITEMS:
            return listed(value, [self.convert(v, depth) for v in value])
        first = list(islice(value, SHOWN_ELEMENTS))
        return {
            "type": qualified_name(type(value)),
            "length": len(value),
            "blake3": self._fingerprints.of(value),
            "first": listed(first, [self.convert(v, depth) for v in first]),
        }

    def _array(self, value: Any, depth: int) -> Json:
        np: Any = sys.modules["numpy"]
        if not isinstance(value, np.ndarray) and _package(value) not in IN_MEMORY:
            # To ask a lazy array for its values may read a file or start a computation.
            shape = [self.convert(n, depth) for n in value.shape]
            return {"type": qualified_name(type(value)), "dtype": str(value.dtype), "shape": shape}
        array = np.asarray(value)
        if array.dtype.hasobject:
            return self._sequence(array.ravel().tolist(), depth)
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
        return True, int(value) if -(2**63) <= value < 2**64 else _digits(int(value))
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
    if isinstance(value, type | types.ModuleType) or _is_named_function(value):
        return True, qualified_name(value)
    return False, None


def _digits(value: int) -> str:
    # Python refuses to write very long numbers in the decimal system.
    return str(value) if value.bit_length() < _LONGEST_DECIMAL else hex(value)


def _generator(facts: Facts) -> Json:
    """A generator among arguments: what its state is called has to tell that of chance."""
    named = {"kind": "generator", "state": "random_state"}
    return {named.get(name, name): value for name, value in facts.items()}


def _text(text: str, longest: int = LONGEST_TEXT) -> str:
    # Cut behind what is kept, so that no secret loses the part it is known by.
    shown = redact_text(clean_text(text[: longest + _MARGIN]))
    if len(text) <= longest and len(shown) <= longest + _MARGIN:
        return shown
    rest = max(len(text), len(shown)) - longest
    told = hash_bytes(text.encode("utf-8", "backslashreplace"))
    return f"{shown[:longest]}... (cut: {rest} more characters, blake3 {told})"


def _key(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return key.name
    if isinstance(key, str):
        return _text(key)
    if isinstance(key, os.PathLike):
        return _text(os.fsdecode(key))
    if isinstance(key, type) or callable(key):
        return qualified_name(key)
    return _text(without_addresses(repr(key.item() if _is_numpy_scalar(key) else key)))


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
    if isinstance(value, kinds):
        return True
    named = callable(value) and isinstance(getattr(value, "__name__", None), str)
    return named and not is_users_own(type(value))


def _is_named_function(value: Any) -> bool:
    """Whether a function is told by its name alone."""
    return _is_function(value) and bound_values(value) is None


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
