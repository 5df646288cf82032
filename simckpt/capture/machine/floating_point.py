"""The floating-point mode of this thread, found out by arithmetic."""

from __future__ import annotations

import struct
import sys

from ..probes import Findings


def read_floating_point() -> Findings:
    """Rounding direction, and whether subnormal numbers are flushed to zero.

    Has to run in the thread that computes: the mode belongs to a thread. Some libraries
    built with ``-ffast-math`` set flush-to-zero for the whole process when they are loaded.
    """
    smallest = sys.float_info.min
    return Findings(
        stable={
            "rounding": rounding(),
            "flush_to_zero": _bits(_scaled(smallest, 0.5)) == 0,
            "denormals_are_zero": _subnormal_reads_as_zero(),
            "radix": sys.float_info.radix,
            "digits": sys.float_info.mant_dig,
        }
    )


def rounding() -> str:
    """``nearest``, ``up``, ``down`` or ``to zero``: what adding less than half an ULP does."""
    quarter = sys.float_info.epsilon / 4
    above = _sum(1.0, quarter) > 1.0
    below = _sum(-1.0, -quarter) < -1.0
    if above and below:
        return "away from zero"
    if above:
        return "up"
    if below:
        return "down"
    return "nearest" if _sum(1.0, 3 * quarter) > 1.0 else "to zero"


def _subnormal_reads_as_zero() -> bool:
    # Made from bits, since arithmetic that flushes results cannot make a subnormal number.
    (subnormal,) = struct.unpack("<d", struct.pack("<Q", 1 << 42))
    return _bits(_scaled(subnormal, 2.0**60)) == 0


def _bits(x: float) -> int:
    # A comparison with zero would read a subnormal number as zero itself.
    (bits,) = struct.unpack("<Q", struct.pack("<d", x))
    return int(bits)


# Functions, so that the compiler cannot work the results out beforehand.
def _scaled(x: float, factor: float) -> float:
    return x * factor


def _sum(x: float, y: float) -> float:
    return x + y
