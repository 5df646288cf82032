"""Mechanical invariants of particles: energies, momentum, angular momentum, centre of mass."""

from __future__ import annotations

from functools import reduce

from ...model.series import Column, ColumnKind
from ..domain.particles import AXES
from ..exact import rounded
from ..expressions import parse
from .quantity import Answers, Context, Quantity, SumRequest


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
