"""Angular momentum of particles about the origin, or about their centre of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import SetupError
from ...model.series import Column
from ..exact import rounded
from ..expressions import parse
from .quantity import Answers, Context, Quantity, SumRequest

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
