"""Numerical settings: what was asked for, and what was in effect."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from ..errors import SetupError
from .changes import flatten
from .record import Document, Facts, Json


class Numerics(Document, tag="numerics", frozen=True, kw_only=True, omit_defaults=True):
    """The numerical settings that the driver asks for.

    Every setting is optional; what has no name here goes into `extra`.

    Parameters
    ----------
    solver : str or object
        The scheme that gives the answer: Riemann solver, linear solver, force law. Or the live
        object itself, from which `simckpt.describe` reads the settings in effect; so may be any
        other setting and any value of `extra`.
    integrator : str
        Time integrator, such as ``"SSPRK3"``.
    order : int or float
        Formal order of accuracy in space.
    rtol, atol : float
        Relative and absolute tolerance of the integrator or of the outer solve, or a list or
        array or dict of them, one for each component.
    dt : float
        Fixed time step, in the driver's unit of time.
    cfl : float
        Target Courant number.
    limiter, preconditioner, boundary, precision, rng, grid : str
        Names, as the driver calls them.
    max_iterations : int
        Iteration limit of the inner solve.
    seed : int
        Seed of the random numbers, where there is one.
    extra : dict
        Anything else: str keys, values of numbers, strings, lists and dicts.

    A number may also be given as its text, as YAML reads ``1e-8``, and a word such as ``"auto"``
    stands for itself.

    Raises
    ------
    SetupError
        If a tolerance, `dt` or `cfl` is not positive.
    """

    solver: Any = None
    integrator: str | None = None
    order: Any = None
    rtol: Any = None
    atol: Any = None
    dt: Any = None
    cfl: Any = None
    limiter: str | None = None
    preconditioner: str | None = None
    boundary: str | None = None
    precision: str | None = None
    grid: str | None = None
    max_iterations: Any = None
    rng: str | None = None
    seed: int | None = None
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.extra, Mapping):
            raise SetupError(
                "Numerics.extra", self.extra, "is no dict", mend="Write extra={'name': value}."
            )
        for name in ("order", "rtol", "atol", "dt", "cfl", "max_iterations"):
            value = _read(getattr(self, name))
            structs.force_setattr(self, name, value)
            if any(not number >= 0 for number in _numbers(value)):
                raise SetupError(f"Numerics.{name}", value, "is not a number of zero or more")
        for name in ("dt", "cfl", "max_iterations"):
            if any(number == 0 for number in _numbers(getattr(self, name))):
                raise SetupError(
                    f"Numerics.{name}", 0, "is zero", mend="Leave it out if it does not apply."
                )

    def settings(self) -> Facts:
        """The settings that were given, by name, with those of `extra` among them."""
        values = {k: v for k, v in structs.asdict(self).items() if v is not None and k != "extra"}
        return values | dict(self.extra)


def _read(value: Any) -> Any:
    """A number that was written as text, also in a list or dict; anything else as it is."""
    if type(value) in (list, tuple):
        return type(value)(_read(item) for item in value)
    if type(value) is dict:
        return {name: _read(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _numbers(value: Any) -> list[float]:
    """The numbers of a setting: one, or those of its components; of anything else none."""
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, Mapping):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item)]
    try:
        # Arrays, and numbers of other libraries, become those of Python.
        return _numbers(value.tolist()) if hasattr(value, "tolist") else [float(value)]
    except Exception:  # noqa: BLE001 - a word, a live object, or what is traced or on a device
        return []


class NumericalSettings(Document, tag="numerical_settings", frozen=True, kw_only=True):
    """Settings as requested, and as the run reported or was seen to use them.

    A name that is in both with different values is a fall-back that the record must show.
    """

    requested: Facts = {}
    effective: Facts = {}

    def fallbacks(self) -> dict[str, tuple[Any, Any]]:
        """Names whose effective value is not the requested one: (requested, effective).

        A setting that was requested as ``cfl`` and is in effect only as ``driver.cfl`` is
        compared with that, where no other one has this last name. Nested settings have names
        with dots. Equal are also names that differ in case alone, a class and its name, and a
        number and its value in single precision.
        """
        leaves = dict(flatten(self.effective))
        fallbacks: dict[str, tuple[Any, Any]] = {}
        for name, request in _flat_requests(self.requested):
            for value in _in_effect(name, self.effective, leaves):
                if not _same(request, value):
                    fallbacks[name] = (request, value)
        return fallbacks


def _flat_requests(requested: Facts, prefix: str = "") -> list[tuple[str, Json]]:
    """The settings with the dicts among them taken apart."""
    requests: list[tuple[str, Json]] = []
    for name, value in requested.items():
        if isinstance(value, dict) and value:
            requests += _flat_requests(value, f"{prefix}{name}.")
        else:
            requests.append((prefix + name, value))
    return requests


def _in_effect(name: str, effective: Facts, leaves: Facts) -> list[Json]:
    """The value in effect of the setting `name`: none or one."""
    node: Json = effective
    for part in name.split("."):
        node = node.get(part, _NOWHERE) if isinstance(node, dict) else _NOWHERE
    if node is not _NOWHERE:
        return [node]
    if "." in name or name in _WORDS:
        return []
    matches = [value for path, value in leaves.items() if path.rpartition(".")[2] == name]
    return matches if len(matches) == 1 else []


_NOWHERE = object()
_WORDS = frozenset({"type", "kind", "value", "name"})
"""Names that mean something else wherever they stand."""


def _same(request: Json, value: Json) -> bool:
    if request == value:
        return True
    request, value = _elements(request), _elements(value)
    if isinstance(request, str) and isinstance(value, dict):
        # An object with fields of its own, where its name was asked for.
        value = value.get("solver", value.get("type", ""))
    if isinstance(request, str) and isinstance(value, str):
        return request.casefold() in (value.casefold(), value.casefold().rpartition(".")[2])
    if isinstance(request, list) and isinstance(value, list):
        return len(request) == len(value) and all(map(_same, request, value))
    if isinstance(request, str) and isinstance(value, int | float):
        request = _read(request)
    if isinstance(request, float) and isinstance(value, float):
        return request == value or _single(request) == value
    return bool(request == value)


def _elements(value: Json) -> Json:
    """The elements of an array that was recorded with them, as a list would have them."""
    if isinstance(value, dict) and "values" in value and "dtype" in value:
        return value["values"]
    return value


def _single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return value
