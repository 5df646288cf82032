"""Integrals that a scheme conserves or that sources change, and the invariants of particles."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import nan
from typing import ClassVar, Literal, get_args

from ...errors import SetupError
from ...model.series import Column, ColumnKind
from ..exact import ExactSum, rounded
from ..expressions import parse
from ..particles import AXES
from .base import (
    Answers,
    Context,
    LocalState,
    Quantity,
    Share,
    ShareRequest,
    SumRequest,
    Weight,
    check_choice,
    first_sum,
)

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
        check_choice("Conserved.monotone", self.monotone, get_args(Monotone))
        check_choice("Conserved.weight", self.weight, get_args(Weight))

    def text(self) -> str:
        kind = "integral" if self.weight == "volume" else "sum"
        return f"{kind} of {self.expression}" + (f", {self.monotone}" if self.monotone else "")

    def plan(self, name: str, context: Context) -> Quantity:
        column = Column(
            name=name,
            kind="conserved",
            of=self.expression,
            monotone=self.monotone,
            note=f"exact {self.text()}, correctly rounded",
        )
        tree = context.parse(self.expression, f"conserved[{name!r}]")
        return Quantity(name, (column,), first_sum, sums=(SumRequest(tree, self.weight),))


ZERO = ExactSum(Fraction(0))


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
        def give(local: LocalState) -> Share:
            return Share(sums=(local.state.reported.amounts.get(name, ZERO),))

        # What is counted from a job attempt's first sample depends on where the attempt began.
        derived: tuple[tuple[str, ColumnKind, str], ...] = (
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
                    Column(name=f"{name}.{part}", kind=kind, of=name, exact=False, note=note)
                    for part, kind, note in derived
                ),
            ),
            _budget_columns,
            sums=(SumRequest(context.parse(self.expression, f"budget[{name!r}]")),),
            share=ShareRequest(give, sums=1),
            carry=_next_balance,
        )


@dataclass(frozen=True)
class _Balance:
    """The integral at the first and the last sound sample; input since the last, and all input."""

    first: ExactSum
    last: ExactSum
    pending: ExactSum = ZERO
    total: ExactSum = ZERO


def _budget_columns(answers: Answers) -> tuple[float, ...]:
    (integral,), (amount,) = answers.sums, answers.shared.sums
    balance: _Balance | None = answers.previous
    if balance is None:
        return (integral.rounded, amount.rounded, 0.0, 0.0)
    pending = balance.pending + amount
    return (
        integral.rounded,
        pending.rounded,
        _unexplained(integral, balance.last, pending),
        _unexplained(integral, balance.first, balance.total + amount),
    )


def _unexplained(integral: ExactSum, before: ExactSum, amount: ExactSum) -> float:
    if not (integral.finite and before.finite and amount.finite):
        return nan
    return rounded(integral.value - before.value - amount.value)


def _next_balance(answers: Answers, sound: bool) -> _Balance | None:
    (integral,), (amount,) = answers.sums, answers.shared.sums
    balance: _Balance | None = answers.previous
    usable = sound and integral.finite
    if balance is None:
        return _Balance(first=integral, last=integral) if usable else None
    total = balance.total + amount
    if usable:
        return _Balance(balance.first, integral, ZERO, total)
    return _Balance(balance.first, balance.last, balance.pending + amount, total)


Axis = Literal["x", "y", "z"]
About = Literal["origin", "centre_of_mass"]

_PLANES = {"x": ("y", "z"), "y": ("z", "x"), "z": ("x", "y")}


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
        check_choice("AngularMomentum.axis", self.axis, get_args(Axis))
        check_choice("AngularMomentum.about", self.about, get_args(About))

    def text(self) -> str:
        return f"angular momentum {self.axis} about the {self.about.replace('_', ' ')}"

    def plan(self, name: str, context: Context) -> Quantity:
        a, b = _PLANES[self.axis]
        missing = {a, b, f"v{a}", f"v{b}"} - set(context.particles)
        if missing:
            raise SetupError(
                f"conserved[{name!r}]",
                self.text(),
                f"needs {', '.join(sorted(missing))} of the particles",
                mend="Give Particles with position and velocity along these axes.",
            )
        terms = [_moment(a, b)]
        if self.about == "centre_of_mass":
            terms += ["mass", f"mass*{a}", f"mass*{b}", f"mass*v{a}", f"mass*v{b}"]
        column = Column(name=name, kind="conserved", of=terms[0], note=f"exact {self.text()}")
        finish = first_sum if self.about == "origin" else _about_centre
        return Quantity(name, (column,), finish, sums=_particle_sums(*terms))


def _moment(a: str, b: str) -> str:
    return f"mass*({a}*v{b} - {b}*v{a})"


def _about_centre(answers: Answers) -> tuple[float, ...]:
    momentum, mass, at_a, at_b, p_a, p_b = answers.sums
    if not all(s.finite for s in answers.sums) or not mass.value:
        return (nan,)
    orbital = (at_a.value * p_b.value - at_b.value * p_a.value) / mass.value
    return (rounded(momentum.value - orbital),)


def particle_quantities(context: Context) -> tuple[Quantity, ...]:
    """The mechanical invariants that the quantities of the particles allow.

    Every one is the exact sum over all particles of the term named in its column's note, each
    term evaluated in float64, rounded once. So it does not depend on which rank holds which
    particle, nor in what order. One energy alone and the centre of mass are not conserved, so that
    their columns are plain scalars.
    """
    names = frozenset(context.particles)
    axes = [axis for axis in AXES if axis in names or f"v{axis}" in names]
    velocities = bool(axes) and all(f"v{axis}" in names for axis in axes)
    positions = bool(axes) and all(axis in names for axis in axes)
    quantities = []
    energies = []
    if velocities:
        square = " + ".join(f"v{axis}*v{axis}" for axis in axes)
        energies.append(f"0.5*mass*({square})")
        quantities.append(_particle_sum("kinetic_energy", "scalar", energies[0]))
    if "potential" in names:
        energies.append("potential")
        quantities.append(_particle_sum("potential_energy", "scalar", "potential"))
    if len(energies) == 2:
        quantities.append(_particle_sum("total_energy", "conserved", *energies))
    if velocities:
        quantities += [
            _particle_sum(f"momentum_{axis}", "conserved", f"mass*v{axis}") for axis in axes
        ]
    if velocities and positions:
        quantities += [
            _particle_sum(f"angular_momentum_{about}", "conserved", _moment(a, b))
            for about, (a, b) in _PLANES.items()
            if {a, b} <= set(axes)
        ]
    if positions:
        quantities += [_centre_of_mass(axis) for axis in axes]
    return tuple(quantities)


def _particle_sums(*texts: str) -> tuple[SumRequest, ...]:
    return tuple(SumRequest(parse(text).tree, "one", particles=True) for text in texts)


def _particle_sum(name: str, kind: ColumnKind, *texts: str) -> Quantity:
    of = " + ".join(texts)
    return Quantity(
        name,
        (Column(name=name, kind=kind, of=of, note=f"exact sum of {of}"),),
        lambda answers: (sum(answers.sums, ZERO).rounded,),
        sums=_particle_sums(*texts),
    )


def _centre_of_mass(axis: str) -> Quantity:
    def finish(answers: Answers) -> tuple[float, ...]:
        moment, mass = answers.sums
        if not (moment.finite and mass.finite and mass.value):
            return (nan,)
        return (rounded(moment.value / mass.value),)

    name = f"centre_of_mass_{axis}"
    note = f"exact sum of mass*{axis} over exact sum of mass, rounded once"
    # It moves on at constant speed, and so is not conserved.
    column = Column(name=name, kind="scalar", of=f"mass*{axis}", note=note)
    return Quantity(name, (column,), finish, sums=_particle_sums(f"mass*{axis}", "mass"))
