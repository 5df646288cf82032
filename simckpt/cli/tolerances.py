"""Tolerances from a TOML file, so that a test suite keeps them beside its reference runs.

::

    rtol = 1e-12

    [quantities."rho.*"]
    rtol = 1e-9
    atol = 1e-14
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..compare.where.tolerance import Limits, Override, Tolerance
from ..errors import SetupError

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
        # A user with several files is told which one.
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


def _numbers(table: Any, prefix: str, known: tuple[str, ...], *tables: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SetupError(prefix.rstrip("."), table, "is not a table of tolerances", choices=known)
    for name, value in table.items():
        if name not in known:
            choices = (*known, *tables)
            raise SetupError(f"{prefix}{name}", value, "is no tolerance", choices=choices)
        kind: type | tuple[type, ...] = (int, float)
        if name == "equal_nan":
            kind = bool
        elif name == "ulp":
            kind = int
        if not isinstance(value, kind) or (name != "equal_nan" and isinstance(value, bool)):
            raise SetupError(f"{prefix}{name}", value, "is of the wrong type")
    return dict(table)
