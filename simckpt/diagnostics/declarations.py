"""What a run wants measured: frozen, and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SetupError
from .conserved import Conserved
from .courant import CFL
from .expressions import Expression, parse
from .limits import Diffusion, Frequency
from .norm import Norm
from .quantity import Context, Diagnostic, Quantity, checked_name
from .stencils import Divergence, TotalVariation

RESERVED = frozenset({"step", "t", "wall", "dt", "segment", "faults"})


@dataclass(frozen=True, init=False)
class Declarations:
    """The diagnostics of a run, by the names of their columns.

    Minimum, maximum, counts of NaN, +Inf and -Inf, and tile digests are taken of every field
    without being asked for.

    Parameters
    ----------
    conserved : mapping of str to str or Conserved
        Integrals over the volume: ``{"mass": "rho"}``.
    stability : mapping of str to CFL or another diagnostic
        `CFL`, `Diffusion`, `Frequency`, `Divergence`, `TotalVariation`: such as
        ``{"courant": CFL("abs(u) + c", "abs(v) + c")}``.
    norms : mapping of str to Norm
        Such as ``{"error": Norm("p - p_exact", "L2")}``.
    derived : mapping of str to str
        Names for expressions that others use: ``{"c": "sqrt(1.4*p/rho)"}``.

    Raises
    ------
    SetupError
        If a name is taken twice or reserved, or an expression cannot be read.

    Examples
    --------
    >>> Declarations(conserved={"mass": "rho"}).facts()
    {'conserved': {'mass': 'integral of rho'}}
    """

    conserved: Mapping[str, Diagnostic] = field(default_factory=dict)
    stability: Mapping[str, Diagnostic] = field(default_factory=dict)
    norms: Mapping[str, Diagnostic] = field(default_factory=dict)
    derived: Mapping[str, Expression] = field(default_factory=dict)

    def __init__(
        self,
        conserved: Mapping[str, str | Conserved] | None = None,
        stability: Mapping[str, Any] | None = None,
        norms: Mapping[str, Any] | None = None,
        derived: Mapping[str, str] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "conserved", _read("conserved", conserved, _conserved))
        put(self, "stability", _read("stability", stability, _diagnostic))
        put(self, "norms", _read("norms", norms, _diagnostic))
        put(self, "derived", _read("derived", derived, parse))
        seen: set[str] = set()
        for group in (self.conserved, self.stability, self.norms):
            for name in group:
                if name in seen:
                    raise SetupError("Declarations", name, "is declared twice")
                seen.add(name)

    def plan(self, context: Context) -> tuple[Quantity, ...]:
        """Every declared diagnostic, planned; SetupError for the first that cannot be had."""
        for name, expression in self.derived.items():
            if name in context.fields:
                raise SetupError(
                    expression.argument, expression.text, f"{name!r} is also the name of a field"
                )
            context.tree(expression)
        return tuple(
            diagnostic.plan(name, context)
            for group in (self.conserved, self.stability, self.norms)
            for name, diagnostic in group.items()
        )

    def facts(self) -> dict[str, dict[str, str]]:
        """The declarations as plain values, for the specification of the run."""
        groups: dict[str, dict[str, str]] = {
            "conserved": {name: d.text() for name, d in self.conserved.items()},
            "stability": {name: d.text() for name, d in self.stability.items()},
            "norms": {name: d.text() for name, d in self.norms.items()},
            "derived": {name: e.text for name, e in self.derived.items()},
        }
        return {name: group for name, group in groups.items() if group}


def _read(argument: str, given: Mapping[str, Any] | None, read: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SetupError(argument, given, "is not a mapping of names", mend="Write {'name': ...}.")
    read_ones = {}
    for name, value in given.items():
        checked_name(f"{argument}[{name!r}]", name)
        if name in RESERVED:
            raise SetupError(
                f"{argument}[{name!r}]", name, "is a reserved name", mend="Choose another."
            )
        read_ones[name] = read(value, f"{argument}[{name!r}]")
    return read_ones


def _conserved(value: object, argument: str) -> Diagnostic:
    if isinstance(value, Conserved):
        return value
    return Conserved(parse(value, argument).text)


def _diagnostic(value: object, argument: str) -> Diagnostic:
    if callable(getattr(value, "plan", None)) and callable(getattr(value, "text", None)):
        return value  # type: ignore[return-value]
    raise SetupError(
        argument,
        value,
        "is not a diagnostic",
        choices=("CFL", "Diffusion", "Frequency", "Divergence", "TotalVariation", "Norm"),
        mend="Write for instance CFL('abs(u) + c', 'abs(v) + c').",
    )


__all__ = [
    "CFL",
    "Conserved",
    "Declarations",
    "Diffusion",
    "Divergence",
    "Frequency",
    "Norm",
    "TotalVariation",
]
