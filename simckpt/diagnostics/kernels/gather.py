"""From any memory layout and number type into contiguous float64 values and their own bits."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from .intrinsics import (
    floats_at,
    from_bits,
    kept_apart,
    single_from_bits,
    swap2,
    swap4,
    swap8,
    u1_at,
    u2_at,
    u4_at,
    u8_at,
    words_at,
)
from .jit import kernel

FLOAT64, FLOAT32, FLOAT16 = 0, 1, 2
INT64, INT32, INT16, INT8 = 3, 4, 5, 6
UINT64, UINT32, UINT16, UINT8 = 7, 8, 9, 10

CODES = {
    "f8": FLOAT64, "f4": FLOAT32, "f2": FLOAT16,
    "i8": INT64, "i4": INT32, "i2": INT16, "i1": INT8,
    "u8": UINT64, "u4": UINT32, "u2": UINT16, "u1": UINT8, "b1": UINT8,
}  # fmt: skip


@kernel
def half_value(word):
    """The float16 with these bits, as float64 (exact)."""
    fraction = np.float64(np.int64(word & np.uint64(0x3FF)))
    exponent = np.int64((word >> np.uint64(10)) & np.uint64(0x1F))
    if exponent == 31:
        size = np.inf if fraction == 0 else np.nan
    elif exponent == 0:
        size = fraction * 2.0**-24
    else:
        size = np.ldexp(1024.0 + fraction, exponent - 25)
    return -size if word >> np.uint64(15) else size


@kernel
def value_of(word, code):
    """The number whose bits are `word`, as float64."""
    if code == FLOAT64:
        return from_bits(word)
    if code == FLOAT32:
        return single_from_bits(word)
    if code == FLOAT16:
        return half_value(word)
    if code == INT64:
        return np.float64(np.int64(word))
    if code == INT32:
        return np.float64(np.int32(word))
    if code == INT16:
        return np.float64(np.int16(word))
    if code == INT8:
        return np.float64(np.int8(word))
    return np.float64(word)


@kernel
def read_words(address, stride, n, code, swapped, words):  # noqa: C901 - one branch for each width
    """The bits of `n` items `stride` bytes apart, widened with zeros."""
    kept_apart()
    out = words_at(words, n)
    step = np.uint64(stride)
    if code in (FLOAT64, INT64, UINT64):
        for j in range(n):
            out[j] = u8_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap8(out[j])
    elif code in (FLOAT32, INT32, UINT32):
        for j in range(n):
            out[j] = u4_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap4(out[j])
    elif code in (FLOAT16, INT16, UINT16):
        for j in range(n):
            out[j] = u2_at(address + np.uint64(j) * step)[0]
        if swapped:
            for j in range(n):
                out[j] = swap2(out[j])
    else:
        for j in range(n):
            out[j] = u1_at(address + np.uint64(j) * step)[0]


@kernel
def read_row(address, stride, n, code, swapped, values, words):
    """`n` items as float64 at `values`; unless they are float64, their bits at `words`."""
    kept_apart()
    if code == FLOAT64:
        if stride == 8 and not swapped:
            source = floats_at(address, n)
            into = floats_at(values, n)
            for j in range(source.size):
                into[j] = source[j]
        else:
            read_words(address, stride, n, code, swapped, values)
        return
    read_words(address, stride, n, code, swapped, words)
    raw = words_at(words, n)
    into = floats_at(values, n)
    if code == FLOAT32:
        for j in range(raw.size):
            into[j] = single_from_bits(raw[j])
    else:
        for j in range(raw.size):
            into[j] = value_of(raw[j], code)


__all__ = ["CODES", "FLOAT64", "read_row"]
