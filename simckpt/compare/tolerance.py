"""When two recorded numbers count as equal.

Without a tolerance, numbers are equal when their bits are: 0.0 and -0.0 differ, since one of
the runs took another path. With one, ``|a - b| <= max(rtol * max(|a|, |b|), atol)`` makes two
finite numbers equal, and so do `ulp` (at most so many representable numbers apart) and `floor`
(both smaller than it in magnitude). An infinity equals only itself. NaN equals nothing, unless
`equal_nan` says that it equals NaN.
"""

# ruff: noqa: ERA001 - a grammar and a TOML example look like code

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import force_setattr, replace

from ..errors import SetupError
from ..model.record import Record
from .run_view import Floats, Mask, Words

NOT_A_DISTANCE = np.uint64(2**64 - 1)
"""Stands for the ULP distance of a NaN."""


def _require_tolerance(name: str, value: float) -> None:
    if isinstance(value, bool) or not (value >= 0 and isfinite(value)):
        raise SetupError(name, value, "is not a finite number of zero or more")


class Limits(Record, frozen=True, kw_only=True):
    """The tolerance of one quantity."""

    rtol: float = 0.0
    atol: float = 0.0
    ulp: int = 0
    floor: float = 0.0
    equal_nan: bool = False

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "ulp", "floor"):
            _require_tolerance(name, getattr(self, name))

    @property
    def bitwise(self) -> bool:
        """Whether equality means equal bits."""
        return self.rtol == self.atol == self.ulp == self.floor == 0

    def agree(self, a: Floats, b: Floats, slack: Floats | float = 0.0) -> Mask:
        """Where `a` and `b` (same shape) are equal; `slack` is an uncertainty of ``a - b``."""
        both_nan = np.isnan(a) & np.isnan(b)
        if self.bitwise and not np.any(slack):
            equal: Mask = _bits(a) == _bits(b)
            return equal | both_nan if self.equal_nan else equal & ~both_nan
        finite = np.isfinite(a) & np.isfinite(b)
        with np.errstate(invalid="ignore", over="ignore"):
            # Halved, because the difference of two large numbers of opposite sign overflows.
            distance = np.abs(a * 0.5 - b * 0.5)
            largest = np.maximum(np.abs(a), np.abs(b))
            allowed = 0.5 * (np.maximum(self.rtol * largest, self.atol) + slack)
            same: Mask = (a == b) | finite & (distance <= allowed)
            if self.floor:
                same |= finite & (largest <= self.floor)
        if self.ulp:
            same |= finite & (ulp_distance(a, b) <= np.uint64(self.ulp))
        return same | both_nan if self.equal_nan else same


class Override(Record, frozen=True, kw_only=True):
    """Other limits for the quantities whose names match `pattern` (``*`` and ``?`` allowed)."""

    pattern: str
    rtol: float | None = None
    atol: float | None = None
    ulp: int | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "ulp", "floor"):
            value = getattr(self, name)
            if value is not None:
                _require_tolerance(f"{name}[{self.pattern!r}]", value)

    def apply(self, limits: Limits) -> Limits:
        values = {n: getattr(self, n) for n in ("rtol", "atol", "ulp", "floor")}
        return replace(limits, **{n: v for n, v in values.items() if v is not None})


class Tolerance(Record, frozen=True, kw_only=True):
    """Limits for all quantities, and overrides for some, of which later ones win.

    Examples
    --------
    >>> loose = Override(pattern="mass", rtol=1e-12)
    >>> Tolerance(overrides=[loose]).limits("mass").rtol
    1e-12
    >>> Tolerance(overrides=[loose]).limits("energy").bitwise
    True
    """

    default: Limits = Limits()
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.overrides, tuple):
            force_setattr(self, "overrides", tuple(self.overrides))

    @property
    def bitwise(self) -> bool:
        """Whether no quantity has a tolerance."""
        return self.default.bitwise and all(o.apply(self.default).bitwise for o in self.overrides)

    def limits(self, quantity: str) -> Limits:
        """The limits that hold for `quantity`; what holds for ``rho`` holds for ``rho.min`` too."""
        limits = self.default
        for override in self.overrides:
            if _matches(quantity, override.pattern):
                limits = override.apply(limits)
        return limits

    def judges(self, field: str) -> bool:
        """Whether a field is judged by its numbers, not its bits: some limit is meant for it."""
        names = (field, f"{field}.min", f"{field}.max", f"{field}.mean")
        return not all(self.limits(name).bitwise for name in names)

    def unused(self, quantities: Sequence[str]) -> tuple[str, ...]:
        """Patterns of overrides that match none of the quantities: most likely misspelt."""
        return tuple(
            o.pattern for o in self.overrides if not any(_matches(q, o.pattern) for q in quantities)
        )


def _matches(quantity: str, pattern: str) -> bool:
    return fnmatchcase(quantity, pattern) or fnmatchcase(quantity.rpartition(".")[0], pattern)


def ulp_distance(a: Floats, b: Floats) -> Words:
    """How many representable float64 numbers lie from `a` to `b`, element by element.

    The two zeros are 0 apart. Where either is NaN the result is `NOT_A_DISTANCE`.
    """
    i, j = _ordinal(a), _ordinal(b)
    # The difference of two int64 can need 64 bits: wrap-around as unsigned gives it exactly.
    distance = (np.maximum(i, j) - np.minimum(i, j)).view(np.uint64)
    return np.where(np.isnan(a) | np.isnan(b), NOT_A_DISTANCE, distance)


def _bits(values: Floats) -> Words:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def _ordinal(values: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    magnitude = bits & np.int64(0x7FFF_FFFF_FFFF_FFFF)
    return np.where(bits < 0, -magnitude, magnitude)


# Tolerances from a TOML file, so that a test suite keeps them beside its reference runs.
#
# ::
#
#     rtol = 1e-12
#
#     [quantities."rho.*"]
#     rtol = 1e-9
#     atol = 1e-14


NUMBERS = ("rtol", "atol", "ulp", "floor")


def read_tolerances(path: Path) -> Tolerance:
    """The tolerance that a file states.

    Raises
    ------
    SetupError
        If it cannot be read, is not TOML, or holds a key or a value that means nothing.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError("--tolerances", str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError("--tolerances", str(path), f"is not TOML ({error})") from error
    try:
        return _tolerance(table)
    except SetupError as error:
        # A user may have several files.
        raise SetupError(
            f"{path}: {error.argument}", error.value, error.problem, choices=error.choices
        ) from None


def _tolerance(table: dict[str, Any]) -> Tolerance:
    quantities = table.pop("quantities", {})
    if not isinstance(quantities, dict):
        raise SetupError("quantities", quantities, "is not a table")
    default = Limits(**_numbers(table, "", (*NUMBERS, "equal_nan"), "quantities"))
    overrides = tuple(
        Override(pattern=pattern, **_numbers(limits, f"quantities.{pattern}.", NUMBERS))
        for pattern, limits in quantities.items()
    )
    return Tolerance(default=default, overrides=overrides)


def _numbers(table: Any, prefix: str, names: tuple[str, ...], *tables: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SetupError(prefix.rstrip("."), table, "is not a table of tolerances", choices=names)
    for name, value in table.items():
        if name not in names:
            choices = (*names, *tables)
            raise SetupError(f"{prefix}{name}", value, "is no tolerance", choices=choices)
        kind: type | tuple[type, ...] = (int, float)
        if name == "equal_nan":
            kind = bool
        elif name == "ulp":
            kind = int
        if not isinstance(value, kind) or (name != "equal_nan" and isinstance(value, bool)):
            raise SetupError(f"{prefix}{name}", value, "is of the wrong type")
    return dict(table)
