"""A hash of any value, for what a record cuts: a change past the cut is still seen.

Equal values have equal hashes on any machine. The work is bounded: of what is no plain JSON,
values past 100,000 count by number and type alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import blake3
import msgspec

from ..model.record import Hash
from .containers import parts_of
from .objects import attributes_of, belongs_to_process, bound_values, name_of, without_addresses

MOST_VALUES = 100_000
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
        self._left = MOST_VALUES
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
            for key in sorted(value, key=_key):
                hasher.update(_key(key).encode("utf-8", "backslashreplace"))
                self._add(hasher, value[key], depth, above)
        elif isinstance(value, AbstractSet):
            # Their order is another one in each process, and so is that in which work runs out.
            items = sorted(_key(item) for item in value)
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
            hasher.update(_key(value).encode("utf-8", "backslashreplace"))


def _encoded(value: object) -> bytes | None:
    try:
        return msgspec.json.encode(value, order="sorted")
    except Exception:  # noqa: BLE001 - whatever it is, the value is then opened
        return None


def _token(value: object) -> bytes:
    return f"{type(value).__name__} {value!r};".encode("utf-8", "backslashreplace")


def _key(value: object) -> str:
    return without_addresses(repr(value))


def _length(value: object) -> int:
    try:
        return len(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - the value's own code may raise anything
        return -1
