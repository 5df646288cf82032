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
import sysconfig
import types
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import blake3
import msgspec

from ..model.record import Facts, Hash, Json, canonical_json, hash_bytes
from .random_state import read_generator
from .redaction import listed, named, redact_text, under

# What tells two objects of a class of the user's own apart: attributes, bound values, code.
#
# Equal objects give equal facts in any process, so that nothing that belongs to the process alone
# is taken for a fact: memory addresses, threads, locks, open files, and times of day.


_ADDRESS = re.compile(r"(?: at)? 0x[0-9a-fA-F]{4,}")
_HANDLE = re.compile(r"(?<![\w.])\d{5,}(?![\w.])")
_OF_THE_MOMENT = re.compile(
    r"_*(pid|tid|host_?name|uuid|(start_?|creation_?)?(time_?stamp|wall_?(time|clock))"
    r"|(started|created|modified)_?(at|on)|creation_?time)",
    re.IGNORECASE,
)
_KEPT_ASIDE = re.compile(
    r"_+(.*(cache|hash|lock|callback|weak|memo).*|u?id|mangled.*)", re.IGNORECASE
)
_OF_THE_PROCESS = frozenset(
    {
        "_asyncio", "_io", "_queue", "_socket", "_thread", "_weakref", "asyncio", "concurrent",
        "io", "logging", "mpi4py", "multiprocessing", "queue", "select", "selectors", "socket",
        "ssl", "subprocess", "tempfile", "threading", "weakref", "_weakrefset",
    }
)  # fmt: skip
"""Packages whose objects are nothing outside of the process that made them."""

_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_MOST_CONSTANTS = 1_000


def name_of(thing: Any) -> str:
    """``module.name`` of a class or callable, without the ``builtins``; of others their type's."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not isinstance(name, str):
        return name_of(type(thing))
    module = getattr(thing, "__module__", None)
    text = name if module in (None, "builtins") else f"{module}.{name}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def without_addresses(text: str) -> str:
    """A repr without what differs from process to process."""
    text = _ADDRESS.sub("", text)
    # Between such brackets stands a description and no value: long numbers are handles.
    return _HANDLE.sub("", text) if text.startswith("<") else text


def belongs_to_process(value: object) -> bool:
    """Whether an object is nothing outside of this process: a thread, a lock, an open file."""
    modules = (base.__module__ for base in type(value).__mro__[:-1])
    return any(str(module).partition(".")[0] in _OF_THE_PROCESS for module in modules)


def is_users_own(cls: type) -> bool:
    """Whether a class comes from neither the standard library nor an installed package."""
    name = str(cls.__module__)
    if name in ("__main__", "__mp_main__"):
        return True
    if name.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        # A cell of a notebook, or a class made by hand; an extension without a file is installed.
        return name not in sys.builtin_module_names
    return not any(folder in file for folder in (*_PACKAGE_FOLDERS, _standard_library()))


@functools.cache
def _standard_library() -> str:
    return sysconfig.get_path("stdlib") + "/"


def attributes_of(value: Any) -> Facts | None:
    """The attributes that an object holds itself, by name; None for one that holds none.

    Nothing is computed: properties are not asked. Of a class from an installed package, what it
    keeps for itself under names such as ``_cache`` is left out.
    """
    if isinstance(value, type | types.ModuleType) or belongs_to_process(value):
        return None
    kind = type(value)
    own = is_users_own(kind)
    if not own and kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return None
    held = dict(getattr(value, "__dict__", None) or {})
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            place = f"_{base.__name__.lstrip('_')}{name}" if _is_private(name) else name
            if hasattr(value, place):
                held.setdefault(name, getattr(value, place))
    found = {
        name: item
        for name, item in held.items()
        if isinstance(name, str)
        and not (name.startswith("__") and name.endswith("__"))
        and name != "__weakref__"
        and (own or not _KEPT_ASIDE.fullmatch(name))
        and not _OF_THE_MOMENT.fullmatch(name)
    }
    return found or None


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


def bound_values(function: Any) -> Facts | None:
    """What sets a function apart from others of its name; None where its name says all.

    A closure has the values it closes over, one that was made in passing its constants and
    defaults too, a bound method its object.
    """
    if isinstance(function, types.MethodType | types.BuiltinMethodType):
        owner = function.__self__
        if owner is None or isinstance(owner, type | types.ModuleType):
            return None
        return {"of": owner}
    # What Numba compiles, and NumPy vectorizes, is a function of Python's too.
    plain = getattr(function, "py_func", getattr(function, "pyfunc", function))
    code = getattr(plain, "__code__", None)
    if not isinstance(plain, types.FunctionType) or not isinstance(code, types.CodeType):
        return None
    if "<" not in plain.__qualname__:
        return None
    facts: Facts = {"code": hash_bytes("\n".join(_code(code)).encode("utf-8", "backslashreplace"))}
    cells = zip(code.co_freevars, plain.__closure__ or (), strict=True)
    closed = {name: _contents(cell) for name, cell in cells}
    if closed:
        facts["closure"] = closed
    names = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(names), reversed(plain.__defaults__ or ()), strict=False))
    if defaults | (plain.__kwdefaults__ or {}):
        facts["defaults"] = defaults | (plain.__kwdefaults__ or {})
    return facts


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet, as that of a function that calls itself
        return None


def _code(code: types.CodeType) -> list[str]:
    """What a function computes: its instructions and constants, of it and those within it."""
    found = [code.co_code.hex(), repr(code.co_names)]
    for constant in code.co_consts[:_MOST_CONSTANTS]:
        if isinstance(constant, types.CodeType):
            found += _code(constant)
        elif not isinstance(constant, frozenset):  # in another order in each process
            found.append(repr(constant))
    return found


# Arrays with something around them, as the arrays that they hold: tables and sparse matrices.
#
# No library is imported: an object of one that is not loaded cannot be there. What lies in a file,
# or is not computed yet, is told by type and shape.


def parts_of(value: Any) -> Facts | None:
    """The parts of a sparse matrix, labelled array or data frame; None for anything else."""
    package = str(type(value).__module__).partition(".")[0]
    read = _READERS.get((package, _kind(package, value)))
    return read(value) if read is not None else None


def _kind(package: str, value: Any) -> str:
    if package == "scipy":
        sparse: Any = sys.modules.get("scipy.sparse")
        return "sparse" if sparse is not None and sparse.issparse(value) else ""
    return type(value).__name__


def _sparse(matrix: Any) -> Facts:
    rows = matrix.tocsr() if matrix.ndim == 2 else matrix.tocoo()
    facts: Facts = {
        "format": matrix.format,
        "shape": [int(n) for n in matrix.shape],
        "stored": int(rows.nnz),
    }
    if matrix.ndim != 2:
        return facts | {"coordinates": list(rows.coords), "data": rows.data}
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    # The width of the indices is no choice of the user's.
    return facts | {
        "data": rows.data,
        "indices": rows.indices.astype("i8"),
        "indptr": rows.indptr.astype("i8"),
    }


def _labelled(array: Any) -> Facts:
    facts: Facts = {"dims": list(array.dims), "values": _held(array)}
    if array.name is not None:
        facts["name"] = array.name
    coordinates = {name: _held(c) for name, c in array.coords.items() if c is not array}
    return facts | ({"coords": coordinates} if coordinates else {})


def _held(array: Any) -> Any:
    if array.variable._in_memory:  # noqa: SLF001 - to ask for the values would read them
        return array.values
    return {"dtype": str(array.dtype), "shape": list(array.shape)}


def _pandas(frame: Any) -> Facts:
    # A list of pairs, since columns may share a name.
    columns = [[str(name), column.to_numpy()] for name, column in frame.items()]
    return {"index": frame.index.to_numpy(), "columns": columns}


def _polars(frame: Any) -> Facts:
    return {"columns": [[column.name, column.to_numpy()] for column in frame.get_columns()]}


def _polars_series(series: Any) -> Facts:
    return {"name": series.name, "values": series.to_numpy()}


def _arrow(table: Any) -> Facts:
    pairs = zip(table.column_names, table.columns, strict=True)
    return {"columns": [[name, column.to_numpy()] for name, column in pairs]}


_READERS = {
    ("scipy", "sparse"): _sparse,
    ("xarray", "DataArray"): _labelled,
    ("pandas", "DataFrame"): _pandas,
    ("polars", "DataFrame"): _polars,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow,
}


# A hash of any value, for what a record cuts: a change past the cut is still seen.
#
# Equal values have equal hashes on any machine. The work is bounded: of what is no plain JSON,
# values past 100,000 count by number and type alone.


MOST_VALUES_FINGERPRINTS = 100_000
LARGEST = 256 * 2**20
"""Bytes of arrays, all together, past which an array counts by dtype and shape alone."""

_DEEPEST = 64
_LEAVES = frozenset({int, float, bool, str, type(None)})
_CONTAINERS = frozenset({list, tuple, dict})
_TRIED = 4
"""Levels at which a container is tried as JSON: it is fast, and fails for what is not plain."""


class Fingerprints:
    """Hashes values as long as there is work left for them all together."""

    def __init__(self) -> None:
        self._left = MOST_VALUES_FINGERPRINTS
        self._bytes_left = LARGEST

    def of(self, value: Any) -> Hash:
        """The hash of one value. Never raises: what cannot be read counts by its type."""
        hasher = blake3.blake3()
        self._add(hasher, value, 0, ())
        return hasher.hexdigest()

    def of_all(self, values: Iterable[Any]) -> Hash:
        """The hash of values in their order."""
        return self.of(list(values))

    def _add(self, hasher: Any, value: Any, depth: int, above: tuple[int, ...]) -> None:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST or id(value) in above:
            hasher.update(f"cut {name_of(type(value))} {_length(value)};".encode())
            return
        try:
            self._open(hasher, value, depth + 1, above)
        except Exception as error:  # noqa: BLE001 - the value's own code may raise anything
            hasher.update(f"unreadable {name_of(type(value))} {type(error).__name__};".encode())

    def _open(self, hasher: Any, value: Any, depth: int, above: tuple[int, ...]) -> None:
        if type(value) in _LEAVES:
            hasher.update(_token(value))
            return
        if depth <= _TRIED and type(value) in _CONTAINERS:
            encoded = _encoded(value)
            if encoded is not None:
                hasher.update(b"json " + encoded)
                return
        if isinstance(value, bytes | bytearray | memoryview):
            hasher.update(b"bytes " + bytes(value))
            return
        np: Any = sys.modules.get("numpy")
        above = (*above, id(value))
        if np is not None and isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._array(hasher, value)
        elif (parts := parts_of(value)) is not None:
            self._add(hasher, parts, depth, above)
        elif isinstance(value, Mapping):
            hasher.update(f"mapping {len(value)};".encode())
            for key in sorted(value, key=_key_fingerprints):
                hasher.update(_key_fingerprints(key).encode("utf-8", "backslashreplace"))
                self._add(hasher, value[key], depth, above)
        elif isinstance(value, AbstractSet):
            # Their order is another one in each process, and so is that in which work runs out.
            items = sorted(_key_fingerprints(item) for item in value)
            hasher.update(f"set {items}".encode("utf-8", "backslashreplace"))
        elif hasattr(value, "__len__") and hasattr(value, "__getitem__"):
            self._sequence(hasher, value, depth, above)
        else:
            self._object(hasher, value, depth, above)

    def _array(self, hasher: Any, value: Any) -> None:
        hasher.update(f"array {value.dtype} {value.shape};".encode())
        self._bytes_left -= value.nbytes
        if self._bytes_left >= 0:
            hasher.update(value.tobytes(order="C"))

    def _sequence(self, hasher: Any, value: Any, depth: int, above: tuple[int, ...]) -> None:
        hasher.update(f"sequence {len(value)};".encode())
        for item in islice(value, max(self._left, 0)):
            self._add(hasher, item, depth, above)

    def _object(self, hasher: Any, value: Any, depth: int, above: tuple[int, ...]) -> None:
        hasher.update(name_of(type(value)).encode())
        attributes = attributes_of(value)
        if attributes is not None:
            self._add(hasher, attributes, depth, above)
        elif callable(value):
            hasher.update(name_of(value).encode())
            self._add(hasher, bound_values(value), depth, above)
        elif belongs_to_process(value):
            return
        else:
            hasher.update(_key_fingerprints(value).encode("utf-8", "backslashreplace"))


def _encoded(value: object) -> bytes | None:
    try:
        return msgspec.json.encode(value, order="sorted")
    except Exception:  # noqa: BLE001 - whatever it is, the value is then opened
        return None


def _token(value: object) -> bytes:
    return f"{type(value).__name__} {value!r};".encode("utf-8", "backslashreplace")


def _key_fingerprints(value: object) -> str:
    return without_addresses(repr(value))


def _length(value: object) -> int:
    try:
        return len(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - the value's own code may raise anything
        return -1


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
