"""What part a recorded difference plays in a computation, and what its effect would look like.

Each role has a profile: how readily such a difference changes an answer at all, and how likely
it then is to be seen first at step 0, in the first interval, or later; at roundoff level or
above; in one place or everywhere. The numbers are judgements, one set for all cases, and they
are in this file alone.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from ..model.record import Record
from .differences import IDLE, RecordedDifference

Role: TypeAlias = Literal[
    "initial state",
    "seed",
    "idle generator",
    "scheme",
    "time step",
    "tolerance",
    "precision",
    "parameter",
    "extent",
    "code",
    "numerical package",
    "arithmetic",
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
    time : float
        Likelihood of changing the simulated time more than the state.
    acts : str
        How it acts, for the reason: completes "it ...".
    """

    prior: float
    onset: tuple[float, float, float]
    size: tuple[float, float, float]
    place: tuple[float, float, float] = (1.0, 0.3, 0.1)
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
        acts="is an argument of the driver",
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
    "numerical package": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.5),
        size=(1.0, 0.3, 0.1),
        acts="may order or round operations differently",
    ),
    "arithmetic": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.6),
        size=(1.0, 0.2, 0.05),
        acts="may order or round operations differently",
    ),
    "ranks": Profile(
        prior=0.5,
        onset=(0.1, 1.0, 0.6),
        size=(1.0, 0.3, 0.3),
        place=(0.8, 0.3, 1.0),
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

UNRECORDED = Profile(
    prior=0.04,
    onset=(0.1, 0.3, 1.0),
    size=(0.9, 0.6, 0.6),
    place=(0.4, 1.0, 0.7),
    time=0.05,
    acts="",
)
"""The rival of all recorded differences: nondeterminism, hardware, or something not recorded."""

_TIME_STEP = re.compile(r"^(dt|cfl|courant|time_?step|step_?size|d?t_?(max|min)|dt_.*|cfl_.*)$")
_EXTENT = re.compile(
    r"^(t_?end|t_?final|t_?max|tstop|end_?time|(n|num|max)?_?steps?|n_?steps|steps_.*|duration)$"
)
_TOLERANCE = re.compile(r"^([ar]?_?tol.*|tolerance.*|max_?it.*|n_?iter.*|eps(ilon)?)$")
_PRECISION = re.compile(r"^(precision|dtype|real|float_?type|single|double)$")
_SCHEME = re.compile(
    r"^(solver|riemann.*|integrator|scheme|method|order|limiter|reconstruction|flux.*|recon.*"
    r"|boundar.*|bcs?|precond.*|grid|theta|stencil|interp.*|filter.*)$"
)
_SEED = re.compile(r"^(seed.*|.*_seed|rng.*|random.*|entropy)$")

NUMERICAL_PACKAGES = frozenset(
    {
        "cupy", "dask", "fenics-dolfinx", "jax", "jaxlib", "llvmlite", "mkl", "mpi4py", "mpich",
        "numba", "numexpr", "numpy", "openmpi", "petsc", "petsc4py", "pyfftw", "scikit-sparse",
        "scipy", "slepc4py", "tensorflow", "torch", "mpi4py-fft", "pyro-hydro", "openblas",
        "scikit-umfpack", "pythran", "pyccel", "triton", "impi-rt", "intel-openmp",
    }
)  # fmt: skip
"""Distributions that compute; others count as bystanders."""

_ARITHMETIC = frozenset(
    {
        "accelerator", "accelerators", "blas", "compiler", "cpu", "floating_point", "gpu",
        "libraries", "mpi", "processor", "python", "threads", "variables", "numba",
    }
)  # fmt: skip


def role(difference: RecordedDifference) -> Role:
    """The part that a recorded difference plays."""
    by_part: dict[str, Role] = {
        "inputs": "initial state",
        "upstream": "initial state",
        "random": "seed",
        "ranks": "ranks",
        "nodes": "nodes",
        "restarts": "restart",
    }
    part = difference.part
    if part == "random" and difference.path.endswith(IDLE):
        return "idle generator"
    if part in by_part:
        return by_part[part]
    if difference.weight == "describes":
        return "bystander"
    if part in ("numerics", "parameters"):
        return _setting(part, difference.name.lower())
    if part == "code":
        return "code"
    if part == "events":
        return "event"
    if part == "packages":
        known = difference.path.lower().replace("_", "-") in NUMERICAL_PACKAGES
        return "numerical package" if known else "bystander"
    if part == "environment":
        section = difference.path.partition(".")[0]
        return "arithmetic" if section in _ARITHMETIC else "bystander"
    return "bystander"


def _setting(part: str, name: str) -> Role:
    patterns: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_EXTENT, "extent"),
        (_TIME_STEP, "time step"),
        (_TOLERANCE, "tolerance"),
        (_PRECISION, "precision"),
        (_SEED, "seed"),
        (_SCHEME, "scheme"),
    )
    for expression, found in patterns:
        if expression.match(name):
            return found
    return "scheme" if part == "numerics" else "parameter"
