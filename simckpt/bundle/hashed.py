"""How the variables and attributes of a file become bytes to be hashed, whatever the format."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

WINDOW = 8 << 20
"""Bytes that are read at once."""

_VOLATILE = re.compile(
    r"""history(_.*)? | (.*_)?(date|datetime|timestamp|time_stamp|version|uuid)(_.*)?
    |   (creat(ed|ion)|modifi(ed|cation))(_.*)? | host(_?name)? | user(_?name)? | pid""",
    re.IGNORECASE | re.VERBOSE,
)


def is_lasting(attribute: str) -> bool:
    """Whether an attribute says something of the contents, and not of when and how it was made."""
    return not _VOLATILE.fullmatch(attribute)


def described(dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> bytes:
    """Type and shape of an array."""
    return f"{_type_name(dtype)} {shape}".encode()


def stored_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """The elements of an array in C order, the least significant byte first."""
    if array.dtype.kind in "SUV":
        return array.tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def told_text(text: bytes) -> bytes:
    """A text with its length."""
    return b"s%d:%b" % (len(text), text)


def _type_name(dtype: np.dtype[Any]) -> str:
    if dtype.names:
        return ",".join(f"{name}:{_type_name(dtype[name])}" for name in dtype.names)
    return f"{dtype.kind}{dtype.itemsize}"
