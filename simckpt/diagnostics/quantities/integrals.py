"""Conserved integrals: exact, and the same bits for every decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import nan
from typing import ClassVar, Literal, get_args

from ...errors import SetupError
from ...model.series import Column, ColumnKind
from ..exact import ExactSum, rounded
from ..expressions import Expression, parse
from ..particles import AXES
from .base import Answers, Context, Here, Quantity, Share, ShareRequest, SumRequest, Weight

Monotone = Literal["", "increasing", "decreasing"]


@dataclass(frozen=True)
class Conserved:
    """The integral of an expression over the volume.

    The value is the exact sum over all cells of expression times cell volume, rounded once to
    the nearest float64. The expression itself is evaluated in float64 in each cell. It is this sum
    that a scheme in conservation form keeps but for what passes the boundary (LeVeque, Finite
    Volume Methods for Hyperbolic Problems, 2002, chapter 4). It is added up in a fixed-point
    accumulator of all exponents (Kulisch and Miranker, The Arithmetic of the Digital Computer: A
    New Approach, 1986; Neal, Fast Exact Summation Using Small and Large Superaccumulators, 2015,
    arXiv:1505.05571).

    Parameters
    ----------
    expression : str
        Arithmetic on field names.
    monotone : {"", "increasing", "decreasing"}
        For entropy-like quantities: the direction in which alone it may change.
    weight : {"volume", "one"}
        Integrate over the volume, or add up plain cell values.

    Examples
    --------
    >>> Conserved("rho").text()
    'integral of rho'
    """

    group: ClassVar[str] = "conserved"

    expression: str
    monotone: Monotone = ""
    weight: Weight = "volume"

    def __post_init__(self) -> None:
        parse(self.expression, "Conserved.expression")
        if self.monotone not in get_args(Monotone):
            raise SetupError(
                "Conserved.monotone",
                self.monotone,
                "is not a choice",
                choices=map(repr, get_args(Monotone)),
            )
        if self.weight not in get_args(Weight):
            raise SetupError(
                "Conserved.weight",
                self.weight,
                "is not a choice",
                choices=map(repr, get_args(Weight)),
            )

    def text(self) -> str:
        kind = "integral" if self.weight == "volume" else "sum"
        return f"{kind} of {self.expression}" + (f", {self.monotone}" if self.monotone else "")

    def plan(self, name: str, context: Context) -> Quantity:
        expression = Expression(
            self.expression, parse(self.expression).tree, f"conserved[{name!r}]"
        )
        column = Column(
            name=name,
            kind="conserved",
            of=self.expression,
            monotone=self.monotone,
            note=f"exact {self.text()}, correctly rounded",
        )
        return Quantity(
            name=name,
            columns=(column,),
            sums=(SumRequest(context.tree(expression), self.weight),),
            finish=_only_sum,
        )


def _only_sum(answers: Answers) -> tuple[float, ...]:
    return (answers.sums[0].rounded,)


# Budgets: an integral, what the driver says has come in, and what neither explains.


NONE = ExactSum(Fraction(0))


@dataclass(frozen=True)
class Budget:
    """An integral over the volume, closed against sources and boundary fluxes.

    The driver says on any rank what has come in (or gone out, with a minus sign) by
    ``run.add_source(name, amount)``, in units of the integral. Of these, and of the integral at two
    samples, all ranks' exact values are taken, and each column is rounded once:

    ========================  ===============================================================
    ``NAME``                  the integral now
    ``NAME.input``            what was accounted since the last sound sample
    ``NAME.residual``         change since the last sound sample, minus that input
    ``NAME.imbalance``        change since the first sample of the job attempt, minus all input
    ========================  ===============================================================

    The residual is MOM6's ``mass_anom`` (MOM_sum_output). It is zero to the last bit where the
    accounted amounts are exactly what the scheme has added; what a scheme adds with rounding is
    off by that rounding. At the first sample of a job attempt both are zero: the budget begins
    there, and what was accounted before counts as no input. A sample whose integral is not finite
    is passed over: the next sound one closes the budget over both. So is an amount that is not
    finite, which is an event.

    Parameters
    ----------
    expression : str
        The density that is integrated, arithmetic on field names.

    Examples
    --------
    >>> Budget("rho").text()
    'budget of the integral of rho'
    """

    group: ClassVar[str] = "budget"

    expression: str

    def __post_init__(self) -> None:
        parse(self.expression, "Budget.expression")

    def text(self) -> str:
        return f"budget of the integral of {self.expression}"

    def plan(self, name: str, context: Context) -> Quantity:
        tree = context.tree(
            Expression(self.expression, parse(self.expression).tree, f"budget[{name!r}]")
        )

        def give(here: Here) -> Share:
            return Share(sums=(here.state.reported.amounts.get(name, NONE),))

        # What is counted from a job attempt's first sample depends on where the attempt began.
        rest: tuple[tuple[str, ColumnKind, str], ...] = (
            ("input", "scalar", "accounted since the last sample, exact over ranks and time"),
            ("residual", "residual", "change since the last sample minus input, rounded once"),
            ("imbalance", "residual", "change since the job attempt's first sample minus input"),
        )
        integral = f"exact integral of {self.expression}, correctly rounded"
        return Quantity(
            name,
            (
                Column(name=name, kind="budget", of=self.expression, note=integral),
                *(
                    Column(name=f"{name}.{what}", kind=kind, of=name, exact=False, note=note)
                    for what, kind, note in rest
                ),
            ),
            _columns,
            sums=(SumRequest(tree),),
            share=ShareRequest(give, sums=1),
            carry=_carry,
        )


@dataclass(frozen=True)
class _Book:
    """The integral at the first and the last sound sample; input since the last, and all input."""

    first: ExactSum
    last: ExactSum
    pending: ExactSum = NONE
    total: ExactSum = NONE


def _columns(answers: Answers) -> tuple[float, ...]:
    (now,), (given,) = answers.sums, answers.shared.sums
    book: _Book | None = answers.past
    if book is None:
        return (now.rounded, given.rounded, 0.0, 0.0)
    pending = book.pending + given
    return (
        now.rounded,
        pending.rounded,
        _unexplained(now, book.last, pending),
        _unexplained(now, book.first, book.total + given),
    )


def _unexplained(now: ExactSum, then: ExactSum, given: ExactSum) -> float:
    if not (now.finite and then.finite and given.finite):
        return nan
    return rounded(now.value - then.value - given.value)


def _carry(answers: Answers, sound: bool) -> _Book | None:
    (now,), (given,) = answers.sums, answers.shared.sums
    book: _Book | None = answers.past
    usable = sound and now.finite
    if book is None:
        return _Book(first=now, last=now) if usable else None
    total = book.total + given
    if usable:
        return _Book(book.first, now, NONE, total)
    return _Book(book.first, book.last, book.pending + given, total)


# Angular momentum of particles about the origin, or about their centre of mass.


Axis = Literal["x", "y", "z"]
About = Literal["origin", "centre_of_mass"]

PLANES = {"x": ("y", "z"), "y": ("z", "x"), "z": ("x", "y")}


@dataclass(frozen=True)
class AngularMomentum:
    """A component of the particles' angular momentum.

    About the origin ``sum(m (a v_b - b v_a))``; about the centre of mass the part of the centre
    of mass is taken off, ``- (sum(m a) sum(m v_b) - sum(m b) sum(m v_a)) / sum(m)`` (Goldstein,
    Classical Mechanics, section 1.2), so that it does not change where the frame moves. Each
    product under a sum is a float64; the sums and what is made of them are exact, rounded once.

    Parameters
    ----------
    axis : {"x", "y", "z"}
        Which component; particles in a plane have ``"z"`` alone.
    about : {"centre_of_mass", "origin"}
        About what.

    Examples
    --------
    >>> AngularMomentum("z").text()
    'angular momentum z about the centre of mass'
    """

    group: ClassVar[str] = "conserved"

    axis: Axis = "z"
    about: About = "centre_of_mass"

    def __post_init__(self) -> None:
        for name, choices in (("axis", get_args(Axis)), ("about", get_args(About))):
            if getattr(self, name) not in choices:
                raise SetupError(
                    f"AngularMomentum.{name}",
                    getattr(self, name),
                    "is not a choice",
                    choices=choices,
                )

    def text(self) -> str:
        return f"angular momentum {self.axis} about the {self.about.replace('_', ' ')}"

    def plan(self, name: str, context: Context) -> Quantity:
        a, b = PLANES[self.axis]
        missing = {a, b, f"v{a}", f"v{b}"} - set(context.particles)
        if missing:
            raise SetupError(
                f"conserved[{name!r}]",
                self.text(),
                f"needs {', '.join(sorted(missing))} of the particles",
                mend="Give Particles with position and velocity along these axes.",
            )
        terms = [f"mass*({a}*v{b} - {b}*v{a})"]
        if self.about == "centre_of_mass":
            terms += ["mass", f"mass*{a}", f"mass*{b}", f"mass*v{a}", f"mass*v{b}"]
        return Quantity(
            name,
            (Column(name=name, kind="conserved", of=terms[0], note=f"exact {self.text()}"),),
            _about_origin if self.about == "origin" else _about_centre,
            sums=tuple(SumRequest(parse(t).tree, "one", particles=True) for t in terms),
        )


def _about_origin(answers: Answers) -> tuple[float, ...]:
    return (answers.sums[0].rounded,)


def _about_centre(answers: Answers) -> tuple[float, ...]:
    whole, mass, at_a, at_b, p_a, p_b = answers.sums
    if not all(s.finite for s in answers.sums) or not mass.value:
        return (float("nan"),)
    orbital = (at_a.value * p_b.value - at_b.value * p_a.value) / mass.value
    return (rounded(whole.value - orbital),)


# Mechanical invariants of particles: energies, momentum, angular momentum, centre of mass.


def particle_quantities(context: Context) -> tuple[Quantity, ...]:
    """The invariants that the given quantities allow.

    Every one is the exact sum over all particles of the term named in its column's note, each
    term evaluated in float64, rounded once. So it does not depend on which rank holds which
    particle, nor in what order. One energy alone and the centre of mass are not conserved, so that
    their columns are plain scalars.
    """
    given = frozenset(context.particles)
    axes = [axis for axis in AXES if axis in given or f"v{axis}" in given]
    moving = bool(axes) and all(f"v{axis}" in given for axis in axes)
    placed = bool(axes) and all(axis in given for axis in axes)
    quantities = []
    energies = []
    if moving:
        square = " + ".join(f"v{axis}*v{axis}" for axis in axes)
        energies.append(f"0.5*mass*({square})")
        quantities.append(_sum("kinetic_energy", energies[0], "scalar"))
    if "potential" in given:
        energies.append("potential")
        quantities.append(_sum("potential_energy", "potential", "scalar"))
    if len(energies) == 2:
        quantities.append(_total_energy(energies))
    if moving:
        quantities += [_sum(f"momentum_{axis}", f"mass*v{axis}") for axis in axes]
    if moving and placed:
        pairs = {2: [("x", "y", "z")], 3: [("y", "z", "x"), ("z", "x", "y"), ("x", "y", "z")]}
        for a, b, about in pairs.get(len(axes), []):
            quantities.append(_sum(f"angular_momentum_{about}", f"mass*({a}*v{b} - {b}*v{a})"))
    if placed:
        quantities += [_centre(axis) for axis in axes]
    return tuple(quantities)


def _request(text: str) -> SumRequest:
    return SumRequest(parse(text).tree, "one", particles=True)


def _sum(name: str, text: str, kind: ColumnKind = "conserved") -> Quantity:
    return Quantity(
        name=name,
        columns=(Column(name=name, kind=kind, of=text, note=f"exact sum of {text}"),),
        sums=(_request(text),),
        finish=lambda answers: (answers.sums[0].rounded,),
    )


def _total_energy(texts: list[str]) -> Quantity:
    of = " + ".join(texts)

    def finish(answers: Answers) -> tuple[float, ...]:
        whole = reduce(lambda a, b: a + b, answers.sums)
        return (whole.rounded,)

    return Quantity(
        name="total_energy",
        columns=(Column(name="total_energy", kind="conserved", of=of, note=f"exact sum of {of}"),),
        sums=tuple(_request(text) for text in texts),
        finish=finish,
    )


def _centre(axis: str) -> Quantity:
    def finish(answers: Answers) -> tuple[float, ...]:
        moment, mass = answers.sums
        if not (moment.finite and mass.finite and mass.value):
            return (float("nan"),)
        return (rounded(moment.value / mass.value),)

    name = f"centre_of_mass_{axis}"
    return Quantity(
        name=name,
        columns=(
            Column(
                name=name,
                kind="scalar",  # it moves on at constant speed
                of=f"mass*{axis}",
                note=f"exact sum of mass*{axis} over exact sum of mass, rounded once",
            ),
        ),
        sums=(_request(f"mass*{axis}"), _request("mass")),
        finish=finish,
    )
