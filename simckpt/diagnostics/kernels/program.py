"""Expressions, one operation at a time over a chunk that lies in cache.

Each operation is a loop of its own from buffer to buffer, so no compiler can contract two of
them, and ``+ - * / sqrt abs`` give the bits that NumPy gives.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from .jit import floats_at, greatest, kept_apart, kernel, widest_vectors

(
    ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, MINIMUM, MAXIMUM, HYPOT, ARCTAN2,
    LESS, LESS_EQUAL, EQUAL, NOT_EQUAL,
) = range(13)  # fmt: skip
(
    NEGATIVE, ABS, SQRT, SQUARE, SIGN, FLOOR, CEIL, EXP, LOG, LOG10, SIN, COS, TAN, SINH, COSH,
    TANH, ARCSIN, ARCCOS, ARCTAN,
) = range(20, 39)  # fmt: skip
WHERE = 50

STRIP = 256
"""Values that go through all operations before the next ones do."""


@kernel
def arithmetic(code, out, first, second, n):
    widest_vectors()
    o = floats_at(out, n)
    a = floats_at(first, n)
    b = floats_at(second, n)
    if code == ADD:
        for j in range(o.size):
            o[j] = a[j] + b[j]
    elif code == SUBTRACT:
        for j in range(o.size):
            o[j] = a[j] - b[j]
    elif code == MULTIPLY:
        for j in range(o.size):
            o[j] = a[j] * b[j]
    else:
        for j in range(o.size):
            o[j] = a[j] / b[j]


@kernel
def two_arguments(code, out, first, second, n):
    kept_apart()
    o = floats_at(out, n)
    a = floats_at(first, n)
    b = floats_at(second, n)
    for j in range(o.size):
        x, y = a[j], b[j]
        if code == POWER:
            o[j] = x**y
        elif code == MINIMUM:
            o[j] = x + y if x != x or y != y else min(x, y)
        elif code == MAXIMUM:
            o[j] = x + y if x != x or y != y else max(x, y)
        elif code == HYPOT:
            o[j] = math.hypot(x, y)
        elif code == ARCTAN2:
            o[j] = math.atan2(x, y)
        elif code == LESS:
            o[j] = 1.0 if x < y else 0.0
        elif code == LESS_EQUAL:
            o[j] = 1.0 if x <= y else 0.0
        elif code == EQUAL:
            o[j] = 1.0 if x == y else 0.0
        else:
            o[j] = 1.0 if x != y else 0.0


@kernel
def algebraic(code, out, first, n):
    widest_vectors()
    o = floats_at(out, n)
    a = floats_at(first, n)
    if code == NEGATIVE:
        for j in range(o.size):
            o[j] = -a[j]
    elif code == ABS:
        for j in range(o.size):
            o[j] = abs(a[j])
    elif code == SQRT:
        for j in range(o.size):
            o[j] = math.sqrt(a[j])
    elif code == SQUARE:
        for j in range(o.size):
            o[j] = a[j] * a[j]
    elif code == FLOOR:
        for j in range(o.size):
            o[j] = np.floor(a[j])
    else:
        for j in range(o.size):
            o[j] = np.ceil(a[j])


@kernel
def transcendental(code, out, first, n):  # noqa: C901 - a table that must be a chain for numba
    kept_apart()
    o = floats_at(out, n)
    a = floats_at(first, n)
    for j in range(o.size):
        x = a[j]
        if code == SIGN:
            o[j] = np.sign(x)
        elif code == EXP:
            o[j] = np.exp(x)
        elif code == LOG:
            o[j] = np.log(x)
        elif code == LOG10:
            o[j] = np.log10(x)
        elif code == SIN:
            o[j] = np.sin(x)
        elif code == COS:
            o[j] = np.cos(x)
        elif code == TAN:
            o[j] = np.tan(x)
        elif code == SINH:
            o[j] = np.sinh(x)
        elif code == COSH:
            o[j] = np.cosh(x)
        elif code == TANH:
            o[j] = np.tanh(x)
        elif code == ARCSIN:
            o[j] = np.arcsin(x)
        elif code == ARCCOS:
            o[j] = np.arccos(x)
        else:
            o[j] = np.arctan(x)


@kernel
def choose(out, condition, first, second, n):
    o = floats_at(out, n)
    c = floats_at(condition, n)
    a = floats_at(first, n)
    b = floats_at(second, n)
    for j in range(o.size):
        o[j] = a[j] if c[j] != 0.0 else b[j]


@kernel
def operate(operations, places, n):
    """Run `operations`, rows of (code, out, first, second, third), on the buffers at `places`."""
    kept_apart()
    for i in range(operations.shape[0]):
        code = operations[i, 0]
        out = places[operations[i, 1]]
        first = places[operations[i, 2]]
        if code <= DIVIDE:
            arithmetic(code, out, first, places[operations[i, 3]], n)
        elif code < NEGATIVE:
            two_arguments(code, out, first, places[operations[i, 3]], n)
        elif code == WHERE:
            choose(out, first, places[operations[i, 3]], places[operations[i, 4]], n)
        elif code <= CEIL and code != SIGN:
            algebraic(code, out, first, n)
        else:
            transcendental(code, out, first, n)


@kernel
def execute(operations, places, strides, here, n):
    """Run `operations` strip by strip, so that what lies between them stays in the nearest cache.

    `strides` are the bytes from value to value of each buffer: 0 for constants, and for results
    that no one reads after the strip. `here` is room for the addresses of one strip.
    """
    kept_apart()
    for begin in range(0, n, STRIP):
        for b in range(here.size):
            here[b] = places[b] + strides[b] * np.uint64(begin)
        operate(operations, here, min(STRIP, n - begin))


@kernel
def largest(values, n):
    """The largest of `n` values that are not NaN, and how many are NaN."""
    widest_vectors()
    x = floats_at(values, n)
    top = -np.inf
    missing = 0
    for j in range(x.size):
        top = greatest(top, x[j])
        missing += 1 if x[j] != x[j] else 0
    if missing > 0:
        top = -np.inf
        for j in range(x.size):
            if x[j] > top:
                top = x[j]
    return top, missing
