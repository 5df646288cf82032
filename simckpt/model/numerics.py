"""Numerical settings: what was asked for, and what was in effect."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ..errors import SetupError
from .record import Document, Facts


class Numerics(Document, tag="numerics", frozen=True, kw_only=True, omit_defaults=True):
    """The numerical settings that the driver asks for.

    Every setting is optional; what has no name here goes into `extra`.

    Parameters
    ----------
    solver : str
        The scheme that gives the answer: Riemann solver, linear solver, force law.
    integrator : str
        Time integrator, such as ``"SSPRK3"``.
    order : int or float
        Formal order of accuracy in space.
    rtol, atol : float
        Relative and absolute tolerance of the integrator or of the outer solve.
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

    Raises
    ------
    SetupError
        If a tolerance, `dt` or `cfl` is not positive.
    """

    solver: str | None = None
    integrator: str | None = None
    order: float | None = None
    rtol: float | None = None
    atol: float | None = None
    dt: float | None = None
    cfl: float | None = None
    limiter: str | None = None
    preconditioner: str | None = None
    boundary: str | None = None
    precision: str | None = None
    grid: str | None = None
    max_iterations: int | None = None
    rng: str | None = None
    seed: int | None = None
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        for name in ("order", "rtol", "atol", "dt", "cfl", "max_iterations"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SetupError(f"Numerics.{name}", value, "is not a number of zero or more")
        for name in ("dt", "cfl", "max_iterations"):
            if getattr(self, name) == 0:
                raise SetupError(
                    f"Numerics.{name}", 0, "is zero", mend="Leave it out if it does not apply."
                )

    def settings(self) -> Facts:
        """The settings that were given, by name, with those of `extra` among them."""
        given = {k: v for k, v in structs.asdict(self).items() if v is not None and k != "extra"}
        return given | dict(self.extra)


class NumericalSettings(Document, tag="numerical_settings", frozen=True, kw_only=True):
    """Settings as requested, and as the run reported or was seen to use them.

    A name that is in both with different values is a fall-back that the record must show.
    """

    requested: Facts = {}
    effective: Facts = {}

    def fallbacks(self) -> dict[str, tuple[Any, Any]]:
        """Names whose effective value is not the requested one: (requested, effective)."""
        return {
            name: (self.requested[name], value)
            for name, value in self.effective.items()
            if name in self.requested and self.requested[name] != value
        }
