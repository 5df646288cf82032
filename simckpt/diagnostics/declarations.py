"""What a run wants measured: frozen, and checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from difflib import get_close_matches
from keyword import iskeyword
from typing import Any, Self, TypedDict, Unpack

from ..errors import SetupError
from . import registry
from .expressions import Expression, parse
from .local_spec import Facts
from .quantities.base import Channel, Context, Diagnostic, Quantity, checked_name
from .quantities.integrals import Budget, Conserved, particle_quantities
from .quantities.norms import ExtremumLocations
from .quantities.reported import Count, Residual, Scalar
from .state import Reported

RESERVED = frozenset({"step", "t", "wall", "dt", "segment", "faults"})


class DeclarationArguments(TypedDict, total=False):
    """The arguments of `simckpt.step` that declare diagnostics, in the order of their columns.

    The values of a mapping are of the classes of `registry` that have its name as their `group`;
    a text among `conserved` and `budget` is an expression. `stability` and `norms` take a
    `Diagnostic` of a user's own too.
    """

    conserved: Mapping[str, str | Diagnostic] | None
    budget: Mapping[str, str | Diagnostic] | None
    stability: Mapping[str, Diagnostic] | None
    norms: Mapping[str, Diagnostic] | None
    extrema: Iterable[str]
    counts: Iterable[str]
    residuals: Iterable[str]
    scalars: Iterable[str]
    custom: Mapping[str, Diagnostic] | None
    derived: Mapping[str, str] | None


@dataclass(frozen=True)
class _Group:
    """An argument that takes diagnostics by name."""

    example: str
    from_text: Callable[[str], Diagnostic] | None = None
    """Makes a diagnostic of an expression alone."""
    takes_any: bool = False
    """Whether a diagnostic of a user's own making is taken too."""


_GROUPS: Mapping[str, _Group] = {
    "conserved": _Group("'rho'", Conserved),
    "budget": _Group("'rho'", Budget),
    "stability": _Group("CFL('abs(u) + c', 'abs(v) + c')", takes_any=True),
    "norms": _Group("Norm('rho', 'L2')", takes_any=True),
    "custom": _Group("Custom(function, combine='sum')"),
}
_LISTS: Mapping[str, Diagnostic] = {
    "extrema": ExtremumLocations(),
    "counts": Count(),
    "residuals": Residual(),
    "scalars": Scalar(),
}
"""The arguments that are lists of names, each name with the same diagnostic."""

ARGUMENTS = tuple(DeclarationArguments.__annotations__)

KINDS: Mapping[str, tuple[type, ...]] = {
    group: tuple(c for c in vars(registry).values() if getattr(c, "group", None) == group)
    for group in _GROUPS
}
"""The classes that each group takes, from the registry."""


@dataclass(frozen=True, init=False)
class Declarations:
    """The diagnostics of a run, by the names of their columns.

    Minimum, maximum, counts of NaN, +Inf and -Inf, and tile digests are taken of every field
    without being declared.

    Parameters
    ----------
    conserved : mapping of str to str or diagnostic
        Integrals over the volume: ``{"mass": "rho"}``.
    budget : mapping of str to str or Budget
        Integrals that sources and boundaries change, as ``run.add_source`` reports them:
        ``{"mass": "rho"}``.
    stability : mapping of str to diagnostic
        Such as ``{"courant": CFL("abs(u) + c", "abs(v) + c")}``.
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

    groups: Mapping[str, Mapping[str, Diagnostic]]
    derived: Mapping[str, Expression]

    def __init__(self, **declared: Unpack[DeclarationArguments]) -> None:
        arguments: Mapping[str, Any] = declared
        groups = {}
        for name in ARGUMENTS[:-1]:
            value = arguments.get(name)
            groups[name] = (
                _from_mapping(name, value, _diagnostic)
                if name in _GROUPS
                else _from_list(name, () if value is None else value)
            )
        object.__setattr__(self, "groups", groups)
        derived = _from_mapping("derived", arguments.get("derived"), _derived)
        object.__setattr__(self, "derived", derived)
        owners: dict[str, str] = {}
        for group, diagnostics in groups.items():
            for name in diagnostics if group != "extrema" else ():
                if name in owners:
                    raise SetupError(
                        f"{group}[{name!r}]",
                        diagnostics[name].text(),
                        f"is declared twice: {owners[name]}[{name!r}] is the same column",
                        mend="Give each column a name of its own.",
                    )
                owners[name] = group

    @classmethod
    def from_arguments(
        cls, caller: str, declared: DeclarationArguments, other_arguments: Iterable[str]
    ) -> Self:
        """The declarations among the arguments of `caller`, which has others too.

        Raises
        ------
        SetupError
            If an argument is unknown, or cannot be used.
        """
        for name, value in declared.items():
            if name not in ARGUMENTS:
                choices = sorted({*ARGUMENTS, *other_arguments})
                close = get_close_matches(name, choices, 1)
                mend = f"Did you mean {close[0]}=?" if close else ""
                problem = f"is no argument of {caller}"
                raise SetupError(name, value, problem, choices=choices, mend=mend)
        return cls(**declared)

    def plan(self, context: Context) -> tuple[Quantity, ...]:
        """Every declared diagnostic, planned; SetupError for the first that cannot be had."""
        for name, expression in self.derived.items():
            if name in context.fields:
                problem = f"{name!r} is also the name of a field"
                raise SetupError(expression.argument, expression.text, problem)
            context.tree(expression)
        owners = _automatic_columns(context)
        quantities = []
        for group, diagnostics in self.groups.items():
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
                quantities.append(quantity)
        return tuple(quantities)

    def in_order(self, facts: Facts) -> Declarations:
        """The same declarations in the order of `facts`, which are of the same names."""
        ordered = copy(self)
        groups = {
            group: {name: diagnostics[name] for name in facts.get(group, ())}
            for group, diagnostics in self.groups.items()
        }
        object.__setattr__(ordered, "groups", groups)
        derived = {name: self.derived[name] for name in facts.get("derived", ())}
        object.__setattr__(ordered, "derived", derived)
        return ordered

    def changes(self, other: Declarations) -> Iterator[str]:
        """What `other` declares otherwise, one phrase for each diagnostic."""
        old, new = self.facts(), other.facts()
        for group in dict.fromkeys((*old, *new)):
            before, after = old.get(group, {}), new.get(group, {})
            for name in dict.fromkeys((*before, *after)):
                if name not in after:
                    yield f"without {group}[{name!r}], {before[name]!r}"
                elif name not in before:
                    yield f"with {group}[{name!r}], {after[name]!r}"
                elif before[name] != after[name]:
                    yield f"{group}[{name!r}] is {after[name]!r} and was {before[name]!r}"
        if old == new:
            yield "other callables, or the same in another order"

    def undeclared(self, reported: Reported) -> Iterator[tuple[str, str, str]]:
        """The reports that nothing was declared for: the method of `Run`, the name, the mend."""
        for method, reports, group in (
            ("add_source", reported.amounts, "budget"),
            ("count", reported.counts, "counts"),
            ("residual", reported.solves, "residuals"),
            ("scalar", reported.scalars, "scalars"),
        ):
            for name in reports:
                if name not in self.groups[group]:
                    example = f"{{{name!r}: ...}}" if group == "budget" else f"[{name!r}]"
                    yield method, name, f"Declare it with {group}={example}."

    def facts(self) -> dict[str, dict[str, str]]:
        """The declarations as plain values, for the specification of the run."""
        facts = {
            group: {name: d.text() for name, d in diagnostics.items()}
            for group, diagnostics in self.groups.items()
        }
        facts["derived"] = {name: e.text for name, e in self.derived.items()}
        return {name: group for name, group in facts.items() if group}


def _automatic_columns(context: Context) -> dict[str, str]:
    """The columns that come without being declared, each with the argument that it is of."""
    owners = {}
    for name in context.fields:
        for column in Channel(name, 0, "", (), ()).columns():
            owners[column.name] = f"fields[{name!r}]"
    for quantity in particle_quantities(context):
        for column in quantity.columns:
            owners[column.name] = "particles="
    return owners


def _from_mapping(
    argument: str, values: object, read: Callable[[str, str, Any, str], Any]
) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise SetupError(argument, values, "is not a mapping of names", mend="Write {'name': ...}.")
    result: dict[str, Any] = {}
    for key, value in values.items():
        item = f"{argument}[{key!r}]"
        name = checked_name(item, key)
        if name in RESERVED:
            raise SetupError(item, name, "is a reserved name", mend="Choose another.")
        if name in result:
            raise SetupError(item, name, "is declared twice, in other letters that are the same")
        result[name] = read(argument, name, value, item)
    return result


def _from_list(argument: str, values: object) -> dict[str, Diagnostic]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SetupError(argument, values, "is not a list of names", mend="Write ['name'].")
    names = list(values)
    for name in names:
        checked_name(f"{argument}[{name!r}]", name)
        if names.count(name) > 1:
            raise SetupError(argument, name, "is declared twice")
    return _from_mapping(argument, dict.fromkeys(names), lambda *_: _LISTS[argument])


def _derived(_: str, name: str, value: object, argument: str) -> Expression:
    if iskeyword(name):
        raise SetupError(
            argument,
            name,
            "is a word of Python's: no expression could call it by that name",
            mend=f"Call it {name + '_'!r}.",
        )
    return parse(value, argument)


def _diagnostic(group: str, name: str, value: Any, argument: str) -> Diagnostic:
    """`value`, or what its text stands for, as a diagnostic of `group` that is called `name`."""
    from_text = _GROUPS[group].from_text
    if from_text and isinstance(value, str):
        return from_text(parse(value, argument).text)
    home = next((g for g, classes in KINDS.items() if isinstance(value, classes)), "")
    own = not isinstance(value, type) and all(
        callable(getattr(value, method, None)) for method in ("plan", "text")
    )
    if home == group or (own and not home and _GROUPS[group].takes_any):
        return value  # type: ignore[no-any-return]
    choices = [kind.__name__ for kind in KINDS[group]]
    if from_text:
        choices.append("the text of an expression")
    if home:
        kind = type(value).__name__
        problem = f"is a {kind}, which belongs in {home}="
        mend = f"Write {home}={{{name!r}: {kind}(...)}}."
    elif isinstance(value, type) and any(value in classes for classes in KINDS.values()):
        problem = "is the class and not one of its values"
        mend = f"Write {value.__name__}(...), with what it is of in the brackets."
    else:
        problem = f"is not what {group}= takes" if len(choices) > 1 else f"is not a {choices[0]}"
        mend = f"Write {group}={{{name!r}: {_example(group, value)}}}."
    raise SetupError(argument, value, problem, choices=choices, mend=mend)


def _example(group: str, value: object) -> str:
    if group == "norms" and isinstance(value, str):
        with suppress(SetupError):
            return f"Norm({parse(value).text!r}, 'L2')"
    return _GROUPS[group].example
