"""What a run wants measured: frozen, and checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from keyword import iskeyword
from typing import Any, Self

from ..errors import SetupError
from .expressions import Expression, parse
from .quantities.base import Channel, Context, Diagnostic, Quantity, checked_name
from .quantities.integrals import AngularMomentum, Budget, Conserved, particle_quantities
from .quantities.norms import Extrema, Norm
from .quantities.reported import Count, Custom, Reported, Residual, Scalar
from .quantities.stability import CFL, Diffusion, Frequency, Growth
from .quantities.stencils import Divergence, TotalVariation
from .rank_agreement import Facts, in_order

# The groups of declarations: which diagnostics each of them takes.


KINDS: Mapping[str, tuple[type, ...]] = {
    "conserved": (Conserved, AngularMomentum),
    "budget": (Budget,),
    "stability": (CFL, Diffusion, Frequency, Divergence, TotalVariation, Growth),
    "norms": (Norm,),
    "custom": (Custom,),
}
"""The classes of which a group takes values, in the words of `Declarations`."""

_OF_TEXT: Mapping[str, Callable[[str], Diagnostic]] = {"conserved": Conserved, "budget": Budget}
"""Groups in which an expression alone says it all."""

_OPEN = frozenset({"stability", "norms"})
"""Groups that take a diagnostic of a user's own making too."""

_EXAMPLES: Mapping[str, str] = {
    "conserved": "'rho'",
    "budget": "'rho'",
    "stability": "CFL('abs(u) + c', 'abs(v) + c')",
    "norms": "Norm('rho', 'L2')",
    "custom": "Custom(function, combine='sum')",
}


def read_diagnostic(group: str, name: str, value: object, argument: str) -> Diagnostic:
    """`value`, or what its text stands for, as a diagnostic of `group` that is called `name`.

    Raises
    ------
    SetupError
        If it is of no kind that the group takes; it names where it belongs.
    """
    if isinstance(value, KINDS[group]):
        return value  # type: ignore[return-value]
    if group in _OF_TEXT and isinstance(value, str):
        return _OF_TEXT[group](parse(value, argument).text)
    home = _home(value)
    if not home and group in _OPEN and _is_diagnostic(value):
        return value  # type: ignore[return-value]
    choices = [kind.__name__ for kind in KINDS[group]]
    if group in _OF_TEXT:
        choices.append("the text of an expression")
    mend = f"Write {group}={{{name!r}: {_example(group, value)}}}."
    problem = f"is not what {group}= takes" if len(choices) > 1 else f"is not a {choices[0]}"
    if home:
        kind = type(value).__name__
        problem = f"is a {kind}, which belongs in {home}="
        mend = f"Write {home}={{{name!r}: {kind}(...)}}."
    elif isinstance(value, type) and any(value in kinds for kinds in KINDS.values()):
        problem = "is the class and not one of its values"
        mend = f"Write {value.__name__}(...), with what it is of in the brackets."
    raise SetupError(argument, value, problem, choices=choices, mend=mend)


def _home(value: object) -> str:
    """The group that `value` belongs in; empty if it is of no kind that is known."""
    return next((group for group, kinds in KINDS.items() if isinstance(value, kinds)), "")


def _is_diagnostic(value: object) -> bool:
    made = not isinstance(value, type)
    return made and all(callable(getattr(value, method, None)) for method in ("plan", "text"))


def _example(group: str, value: object) -> str:
    if group == "norms" and isinstance(value, str):
        try:
            return f"Norm({parse(value).text!r}, 'L2')"
        except SetupError:
            pass
    return _EXAMPLES[group]


RESERVED = frozenset({"step", "t", "wall", "dt", "segment", "faults"})

GROUPS = (
    "conserved",
    "budget",
    "stability",
    "norms",
    "extrema",
    "counts",
    "residuals",
    "scalars",
    "custom",
)
"""The groups of diagnostics, in the order of their columns."""


@dataclass(frozen=True, init=False)
class Declarations:
    """The diagnostics of a run, by the names of their columns.

    Minimum, maximum, counts of NaN, +Inf and -Inf, and tile digests are taken of every field
    without being asked for.

    Parameters
    ----------
    conserved : mapping of str to str, Conserved or AngularMomentum
        Integrals over the volume: ``{"mass": "rho"}``.
    budget : mapping of str to str or Budget
        Integrals that sources and boundaries change, as ``run.add_source`` tells:
        ``{"mass": "rho"}``.
    stability : mapping of str to CFL or another diagnostic
        `CFL`, `Diffusion`, `Frequency`, `Divergence`, `TotalVariation`, `Growth`: such as
        ``{"courant": CFL("abs(u) + c", "abs(v) + c")}``.
    norms : mapping of str to Norm
        Such as ``{"error": Norm("p - p_exact", "L2")}``.
    extrema : sequence of str
        Fields of which the places of minimum and maximum are recorded.
    counts, residuals, scalars : sequence of str
        Names that the driver reports under: by ``run.count``, ``run.residual``, ``run.scalar``.
    custom : mapping of str to Custom
        Numbers that callables of the user's own make: ``{"q": Custom(function, "sum")}``.
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
    budget: Mapping[str, Diagnostic] = field(default_factory=dict)
    stability: Mapping[str, Diagnostic] = field(default_factory=dict)
    norms: Mapping[str, Diagnostic] = field(default_factory=dict)
    extrema: Mapping[str, Diagnostic] = field(default_factory=dict)
    counts: Mapping[str, Diagnostic] = field(default_factory=dict)
    residuals: Mapping[str, Diagnostic] = field(default_factory=dict)
    scalars: Mapping[str, Diagnostic] = field(default_factory=dict)
    custom: Mapping[str, Diagnostic] = field(default_factory=dict)
    derived: Mapping[str, Expression] = field(default_factory=dict)

    def __init__(
        self,
        conserved: Mapping[str, str | Conserved | AngularMomentum] | None = None,
        stability: Mapping[str, Any] | None = None,
        norms: Mapping[str, Any] | None = None,
        derived: Mapping[str, str] | None = None,
        *,
        budget: Mapping[str, str | Budget] | None = None,
        extrema: Iterable[str] = (),
        counts: Iterable[str] = (),
        residuals: Iterable[str] = (),
        scalars: Iterable[str] = (),
        custom: Mapping[str, Custom] | None = None,
    ) -> None:
        put = object.__setattr__
        for group, given in (
            ("conserved", conserved),
            ("budget", budget),
            ("stability", stability),
            ("norms", norms),
            ("custom", custom),
        ):
            put(self, group, _read(group, given, partial(read_diagnostic, group)))
        put(self, "extrema", _named("extrema", extrema, Extrema()))
        put(self, "counts", _named("counts", counts, Count()))
        put(self, "residuals", _named("residuals", residuals, Residual()))
        put(self, "scalars", _named("scalars", scalars, Scalar()))
        put(self, "derived", _read("derived", derived, _derived))
        first: dict[str, str] = {}
        for group, diagnostics in self._groups():
            for name in diagnostics if group != "extrema" else ():
                if name in first:
                    raise SetupError(
                        f"{group}[{name!r}]",
                        diagnostics[name].text(),
                        f"is declared twice: {first[name]}[{name!r}] is the same column",
                        mend="Give each column a name of its own.",
                    )
                first[name] = group

    @classmethod
    def given(cls, caller: str, arguments: Mapping[str, Any], others: Iterable[str]) -> Self:
        """The declarations among the arguments of `caller`, which has `others` of its own.

        Raises
        ------
        SetupError
            If an argument is unknown, or cannot be used.
        """
        groups = (*GROUPS, "derived")
        for name, value in arguments.items():
            if name not in groups:
                choices = sorted({*groups, *others})
                near = get_close_matches(name, choices, 1)
                mend = f"Did you mean {near[0]}=?" if near else ""
                raise SetupError(
                    name, value, f"is no argument of {caller}", choices=choices, mend=mend
                )
        return cls(**arguments)

    def _groups(self) -> Iterator[tuple[str, Mapping[str, Diagnostic]]]:
        for group in GROUPS:
            yield group, getattr(self, group)

    def plan(self, context: Context) -> tuple[Quantity, ...]:
        """Every declared diagnostic, planned; SetupError for the first that cannot be had."""
        for name, expression in self.derived.items():
            if name in context.fields:
                raise SetupError(
                    expression.argument, expression.text, f"{name!r} is also the name of a field"
                )
            context.tree(expression)
        owners = _owners(context)
        planned = []
        for group, diagnostics in self._groups():
            for name, diagnostic in diagnostics.items():
                argument = f"{group}[{name!r}]"
                quantity = diagnostic.plan(name, context)
                for column in quantity.columns:
                    if column.name in owners:
                        raise SetupError(
                            argument,
                            diagnostic.text(),
                            f"makes the column {column.name!r}, as {owners[column.name]} does",
                            mend=f"Give it another name than {name!r}.",
                        )
                    owners[column.name] = argument
                planned.append(quantity)
        return tuple(planned)

    def in_order(self, facts: Facts) -> Declarations:
        """The same declarations in the order of `facts`, which are of the same names."""
        ordered = copy(self)
        for group, texts in facts.items():
            object.__setattr__(ordered, group, in_order(getattr(self, group), texts))
        return ordered

    def changes(self, other: Declarations) -> Iterator[str]:
        """What `other` declares otherwise, one phrase for each diagnostic."""
        here, there = self.facts(), other.facts()
        for group in dict.fromkeys((*here, *there)):
            old, new = here.get(group, {}), there.get(group, {})
            for name in dict.fromkeys((*old, *new)):
                if name not in new:
                    yield f"without {group}[{name!r}], {old[name]!r}"
                elif name not in old:
                    yield f"with {group}[{name!r}], {new[name]!r}"
                elif old[name] != new[name]:
                    yield f"{group}[{name!r}] is {new[name]!r} and was {old[name]!r}"
        if here == there:
            yield "other callables, or the same in another order"

    def undeclared(self, reported: Reported) -> Iterator[tuple[str, str, str]]:
        """The reports that nothing was declared for: the method of `Run`, the name, the mend."""
        for method, given, group in (
            ("add_source", reported.amounts, "budget"),
            ("count", reported.counts, "counts"),
            ("residual", reported.solves, "residuals"),
            ("scalar", reported.scalars, "scalars"),
        ):
            declared: Mapping[str, Diagnostic] = getattr(self, group)
            for name in given:
                if name not in declared:
                    mend = f"Declare it with {group}=" + (
                        f"{{{name!r}: ...}}." if group == "budget" else f"[{name!r}]."
                    )
                    yield method, name, mend

    def facts(self) -> dict[str, dict[str, str]]:
        """The declarations as plain values, for the specification of the run."""
        facts = {
            group: {name: d.text() for name, d in diagnostics.items()}
            for group, diagnostics in self._groups()
        }
        facts["derived"] = {name: e.text for name, e in self.derived.items()}
        return {name: group for name, group in facts.items() if group}


def _owners(context: Context) -> dict[str, str]:
    """The columns that come without being asked for, each with the argument that it is of."""
    owners = {}
    for name in context.fields:
        for column in Channel(name, 0, "", (), ()).columns():
            owners[column.name] = f"fields[{name!r}]"
    for quantity in particle_quantities(context):
        for column in quantity.columns:
            owners[column.name] = "particles="
    return owners


def _read(
    argument: str,
    given: Mapping[str, Any] | None,
    read: Callable[[str, Any, str], Any],
) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SetupError(argument, given, "is not a mapping of names", mend="Write {'name': ...}.")
    read_ones = {}
    for given_name, value in given.items():
        whole = f"{argument}[{given_name!r}]"
        name = checked_name(whole, given_name)
        if name in RESERVED:
            raise SetupError(whole, name, "is a reserved name", mend="Choose another.")
        if name in read_ones:
            raise SetupError(whole, name, "is declared twice, in other letters that are the same")
        read_ones[name] = read(name, value, whole)
    return read_ones


def _named(argument: str, given: object, diagnostic: Diagnostic) -> dict[str, Diagnostic]:
    """The same diagnostic for each of a list of names."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise SetupError(argument, given, "is not a list of names", mend="Write ['name'].")
    names = list(given)
    for name in names:
        checked_name(f"{argument}[{name!r}]", name)
        if names.count(name) > 1:
            raise SetupError(argument, name, "is declared twice")
    return _read(argument, dict.fromkeys(names, diagnostic), lambda _, value, __: value)


def _derived(name: str, value: object, argument: str) -> Expression:
    if iskeyword(name):
        raise SetupError(
            argument,
            name,
            "is a word of Python's: no expression could call it by that name",
            mend=f"Call it {name + '_'!r}.",
        )
    return parse(value, argument)


__all__ = [
    "CFL",
    "AngularMomentum",
    "Budget",
    "Conserved",
    "Custom",
    "Declarations",
    "Diffusion",
    "Divergence",
    "Frequency",
    "Growth",
    "Norm",
    "TotalVariation",
]
