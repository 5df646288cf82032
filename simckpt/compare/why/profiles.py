"""What the effect of a recorded difference would look like, by the part that it plays.

Each role has a profile: how readily such a difference changes an answer at all, and how likely
it then is to be seen first at step 0, in the first interval, or later; at roundoff level or
above; in one place or everywhere. The numbers are judgements, one set for all cases, and they
are in this file alone.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from ...model.record import Record

Role: TypeAlias = Literal[
    "initial state",
    "seed",
    "streams",
    "idle generator",
    "scheme",
    "boundary",
    "time step",
    "tolerance",
    "precision",
    "parameter",
    "extent",
    "code",
    "package in use",
    "numerical package",
    "arithmetic",
    "floating-point mode",
    "ranks",
    "nodes",
    "restart",
    "event",
    "bystander",
]


class Profile(Record, frozen=True, kw_only=True):
    """How a difference shows itself.

    Parameters
    ----------
    prior : float
        How readily it changes an answer, 0 to 1.
    onset : tuple of float
        Likelihood of being seen first at step 0, in the first interval, and later.
    size : tuple of float
        Likelihood of being at roundoff level, small, or large where it is first seen.
    place : tuple of float
        Likelihood of differing tiles everywhere or widely, in one place, or in the shape of
        ranks.
    edge : float
        Likelihood of tiles at the edge of the domain alone, if above that of their figure.
    time : float
        Likelihood of changing the simulated time more than the state.
    acts : str
        How it acts, for the reason: completes "it ...".
    """

    prior: float
    onset: tuple[float, float, float]
    size: tuple[float, float, float]
    place: tuple[float, float, float] = (1.0, 0.3, 0.1)
    edge: float = 0.0
    time: float = 0.1
    acts: str


PROFILES: dict[Role, Profile] = {
    "initial state": Profile(
        prior=0.9,
        onset=(1.0, 0.2, 0.05),
        size=(0.2, 0.8, 1.0),
        place=(1.0, 0.6, 0.1),
        acts="sets the initial state",
    ),
    "seed": Profile(
        prior=0.9,
        onset=(0.9, 0.8, 0.2),
        size=(0.05, 0.6, 1.0),
        place=(1.0, 0.2, 0.1),
        acts="changes every random number drawn",
    ),
    "streams": Profile(
        prior=0.9,
        onset=(0.6, 0.9, 0.3),
        size=(0.05, 0.6, 1.0),
        place=(0.7, 0.4, 1.0),
        acts="changes the random numbers drawn on those ranks",
    ),
    "idle generator": Profile(
        prior=0.4,
        onset=(1.0, 0.01, 0.01),
        size=(0.05, 0.6, 1.0),
        acts="may have been drawn from before the run began",
    ),
    "scheme": Profile(
        prior=1.0,
        onset=(0.03, 1.0, 0.2),
        size=(0.1, 0.9, 1.0),
        place=(1.0, 0.6, 0.2),
        acts="acts in every step from the first",
    ),
    "boundary": Profile(
        prior=1.0,
        onset=(0.03, 1.0, 0.5),
        size=(0.1, 0.9, 1.0),
        place=(0.7, 0.6, 0.1),
        edge=1.0,
        acts="acts at the edge of the domain",
    ),
    "time step": Profile(
        prior=1.0,
        onset=(0.02, 1.0, 0.3),
        size=(0.1, 0.9, 1.0),
        time=1.0,
        acts="sets the length of every step",
    ),
    "tolerance": Profile(
        prior=0.8,
        onset=(0.02, 1.0, 0.6),
        size=(0.6, 1.0, 0.5),
        acts="ends inner iterations elsewhere",
    ),
    "precision": Profile(
        prior=1.0,
        onset=(0.6, 1.0, 0.2),
        size=(0.3, 1.0, 0.4),
        acts="rounds every operation differently",
    ),
    "parameter": Profile(
        prior=0.6,
        onset=(0.6, 0.8, 0.3),
        size=(0.2, 0.8, 1.0),
        place=(1.0, 0.5, 0.15),
        acts="is a parameter of the run",
    ),
    "extent": Profile(
        prior=0.05,
        onset=(0.02, 0.05, 0.2),
        size=(0.2, 0.5, 0.5),
        acts="says how long the run goes on",
    ),
    "code": Profile(
        prior=0.8,
        onset=(0.3, 0.9, 0.5),
        size=(0.5, 0.9, 1.0),
        place=(1.0, 0.6, 0.4),
        acts="is code that ran",
    ),
    "package in use": Profile(
        prior=0.4,
        onset=(0.3, 0.9, 0.5),
        size=(0.5, 0.9, 1.0),
        place=(1.0, 0.6, 0.4),
        acts="is a package that the run had loaded",
    ),
    "numerical package": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.4),
        size=(1.0, 0.3, 0.1),
        place=(1.0, 0.15, 0.1),
        acts="may order or round operations differently",
    ),
    "arithmetic": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.4),
        size=(1.0, 0.2, 0.05),
        place=(1.0, 0.15, 0.1),
        acts="may order or round operations differently",
    ),
    "floating-point mode": Profile(
        prior=0.4,
        onset=(0.2, 1.0, 0.6),
        size=(1.0, 0.2, 0.05),
        place=(1.0, 0.4, 0.1),
        acts="changes how results are rounded, or vanish",
    ),
    "ranks": Profile(
        prior=0.5,
        onset=(0.03, 1.0, 0.4),
        size=(1.0, 0.3, 0.3),
        place=(0.8, 0.1, 1.0),
        acts="changes where halos lie and the order of reductions",
    ),
    "nodes": Profile(
        prior=0.2,
        onset=(0.1, 0.8, 1.0),
        size=(1.0, 0.4, 0.3),
        place=(0.4, 0.4, 1.0),
        acts="lets ranks on other nodes compute otherwise",
    ),
    "restart": Profile(
        prior=0.8,
        onset=(0.05, 0.5, 1.0),
        size=(0.8, 0.8, 0.8),
        place=(1.0, 0.4, 0.3),
        acts="loads the state from a file",
    ),
    "event": Profile(
        prior=0.3,
        onset=(0.2, 0.5, 1.0),
        size=(0.5, 0.8, 1.0),
        place=(0.7, 1.0, 0.8),
        acts="happened in one run and not in the other",
    ),
    "bystander": Profile(
        prior=0.01,
        onset=(0.3, 0.5, 0.5),
        size=(0.5, 0.5, 0.5),
        acts="is not known to act on the state",
    ),
}

UNRECORDED: dict[str, Profile] = {
    "nondeterminism": Profile(
        prior=0.03,
        onset=(0.1, 0.8, 0.7),
        size=(1.0, 0.1, 0.05),
        place=(0.8, 0.4, 0.3),
        time=0.05,
        acts="order of threads or of reductions",
    ),
    "fault": Profile(
        prior=0.03,
        onset=(0.05, 0.2, 1.0),
        size=(0.3, 0.8, 1.0),
        place=(0.2, 1.0, 0.9),
        time=0.05,
        acts="hardware, a race, or a missed exchange",
    ),
    "gap": Profile(
        prior=0.02,
        onset=(0.5, 1.0, 0.4),
        size=(0.1, 0.8, 1.0),
        place=(0.8, 0.4, 0.1),
        time=0.1,
        acts="something that is not recorded",
    ),
}
"""The rivals of all recorded differences: what no record can hold, or this one does not."""
