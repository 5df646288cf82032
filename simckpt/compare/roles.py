"""The roles that recorded differences play in a computation, one row each.

A row says which differences have the role and what their effect looks like: how readily such a
difference changes an answer at all, and how likely it then is to be seen first at step 0, in the
first interval or later; at roundoff level, small or large; in one location or everywhere. The
numbers are judgements, one set for all cases. ``python -m benchmarks.forensics`` scores them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .differences import IDLE, SEED, SETTINGS, STREAMS, UNLOADED, RecordedDifference

Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """How a difference shows itself.

    Parameters
    ----------
    prior : float
        How readily it changes an answer, 0 to 1.
    onset : tuple of float
        Likelihood of being seen first at step 0, in the first interval, and later.
    size : tuple of float
        Likelihood of being at roundoff level, small, or large where it is first seen.
    location : tuple of float
        Likelihood of differing tiles everywhere or widely, in one place, or in the shape of
        ranks.
    boundary : float
        Likelihood of tiles at the boundary of the domain alone, if above that of their pattern.
    time : float
        Likelihood of changing the simulated time more than the state.
    """

    prior: float
    onset: Triple
    size: Triple
    location: Triple = (1.0, 0.3, 0.1)
    boundary: float = 0.0
    time: float = 0.1


@dataclass(frozen=True, slots=True)
class Role:
    """What a recorded difference does in a computation.

    `acts` is in the report: it completes "It ...". `matches` maps a part of the record to a
    regular expression of the names that have the role there; the first row that matches counts.
    A `dated` role is itself tied to a time or a place.
    """

    name: str
    acts: str
    likelihoods: Likelihoods
    matches: Mapping[str, str] = field(default_factory=dict)
    dated: bool = False


def _in_settings(pattern: str) -> dict[str, str]:
    return dict.fromkeys(SETTINGS, pattern)


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


NUMERICAL_PACKAGES = (
    "cupy", "dask", "fenics-dolfinx", "impi-rt", "intel-openmp", "jax", "jaxlib", "llvmlite",
    "mkl", "mpi4py", "mpi4py-fft", "mpich", "numba", "numexpr", "numpy", "openblas", "openmpi",
    "petsc", "petsc4py", "pyccel", "pyfftw", "pythran", "scikit-sparse", "scikit-umfpack",
    "scipy", "slepc4py", "tensorflow", "torch", "triton",
)  # fmt: skip
"""Distributions that compute."""

TOOL_PACKAGES = (
    "blake3", "certifi", "cffi", "click", "h5py", "markdown-it-py", "matplotlib", "mdurl",
    "msgspec", "netcdf4", "packaging", "pip", "pluggy", "psutil", "pygments", "pytest", "rich",
    "setuptools", "simckpt", "six", "threadpoolctl", "tqdm", "typing-extensions", "wheel",
)  # fmt: skip
"""Distributions that are loaded to record, to read and to show, and do not compute."""

_ARITHMETIC = (
    "accelerator", "accelerators", "blas", "compiler", "cpu", "gpu", "jit", "libraries",
    "modules", "mpi", "numba", "processor", "python", "threads", "variables",
)  # fmt: skip
"""Sections of the environment that may change how numbers are computed."""

ROLES: tuple[Role, ...] = (
    Role(
        "extent",
        "says how long the run goes on",
        Likelihoods(0.05, (0.02, 0.05, 0.2), (0.2, 0.5, 0.5)),
        _in_settings(
            r"t_?end|t_?final|t_?max|tstop|end_?time|(n|num|max)?_?steps?|n_?steps|steps_.*"
            r"|duration"
        ),
    ),
    Role(
        "time step",
        "sets the length of every step",
        Likelihoods(1.0, (0.02, 1.0, 0.3), (0.1, 0.9, 1.0), time=1.0),
        _in_settings(r"dt|cfl|courant|time_?step|step_?size|d?t_?(max|min)|dt_.*|cfl_.*"),
    ),
    Role(
        "tolerance",
        "ends inner iterations elsewhere",
        Likelihoods(0.8, (0.02, 1.0, 0.6), (0.6, 1.0, 0.5)),
        _in_settings(r"[ar]?_?tol.*|tolerance.*|max_?it.*|n_?iter.*")
        # Of a solver it ends an iteration; elsewhere it may be anything small.
        | {"numerics": r"[ar]?_?tol.*|tolerance.*|max_?it.*|n_?iter.*|eps|epsilon"},
    ),
    Role(
        "precision",
        "rounds every operation differently",
        Likelihoods(1.0, (0.6, 1.0, 0.2), (0.3, 1.0, 0.4)),
        _in_settings(r"precision|dtype|real|float_?type|single|double"),
    ),
    Role(
        "idle generator",
        "may have been drawn from before the run began",
        Likelihoods(0.4, (1.0, 0.01, 0.01), (0.05, 0.6, 1.0)),
        {"random": rf".*{re.escape(IDLE)}"},
    ),
    Role(
        "streams",
        "changes the random numbers drawn on those ranks",
        Likelihoods(0.9, (0.6, 0.9, 0.3), (0.05, 0.6, 1.0), (0.7, 0.4, 1.0)),
        {"random": re.escape(STREAMS)},
        dated=True,
    ),
    Role(
        "seed",
        "changes every random number drawn",
        Likelihoods(0.9, (0.9, 0.8, 0.2), (0.05, 0.6, 1.0), (1.0, 0.2, 0.1)),
        {"random": ".*"} | _in_settings(SEED.pattern),
    ),
    Role(
        "bystander",
        "is not known to act on the state",
        Likelihoods(0.01, (0.3, 0.5, 0.5), (0.5, 0.5, 0.5)),
        _in_settings(
            r"verbose|quiet|debug|log(_?level|_?file)?|label|title|comment|name|notes?|plot.*|vis.*"
            r"|(n_?)?(out|print|save|dump|write|checkpoint|sample)_?(every|freq.*|interval|steps?)"
            r"|every|progress|colou?r|tag|(job|run)_?(name|id)"
        )
        | {
            "packages": rf".*{re.escape(UNLOADED)}|{_any_of(TOOL_PACKAGES)}",
            # Variables that no arithmetic depends on.
            "environment": r"variables\.(TZ|LANG|LC_.*|HDF5_.*|MALLOC_.*|PYTHONMALLOC"
            r"|LD_BIND_NOW|.*_VERSION_DISPLAY)",
        },
    ),
    Role(
        "boundary",
        "acts at the boundary of the domain",
        Likelihoods(1.0, (0.03, 1.0, 0.5), (0.1, 0.9, 1.0), (0.7, 0.6, 0.1), boundary=1.0),
        _in_settings(
            r"(.*_)?boundar(y|ies)(_.*)?|.*boundary|(.*_)?bcs?(_.*)?|[xyz][lr]b|walls?"
            r"|sides?(\[\d+\])?|inflow.*|outflow.*"
        ),
    ),
    Role(
        "initial state",
        "sets the initial state",
        Likelihoods(0.9, (1.0, 0.2, 0.05), (0.2, 0.8, 1.0), (1.0, 0.6, 0.1)),
        {"inputs": ".*", "upstream": ".*"}
        | _in_settings(r"problem|case|setup|ics?|init(ial)?(_.*)?|amplitude|perturb.*|noise.*"),
    ),
    Role(
        "scheme",
        "acts in every step from the first",
        Likelihoods(1.0, (0.03, 1.0, 0.2), (0.1, 0.9, 1.0), (1.0, 0.6, 0.2)),
        _in_settings(
            r"solver|riemann.*|integrator|scheme|method|order|limiter|reconstruction|flux.*"
            r"|recon.*|precond.*|grid|theta|stencil|interp.*|filter.*"
        )
        | {"numerics": ".*"},
    ),
    Role(
        "parameter",
        "is a parameter of the run",
        Likelihoods(0.6, (0.6, 0.8, 0.3), (0.2, 0.8, 1.0), (1.0, 0.5, 0.15)),
        _in_settings(".*"),
    ),
    Role(
        "code",
        "is code that ran",
        Likelihoods(0.8, (0.3, 0.9, 0.5), (0.5, 0.9, 1.0), (1.0, 0.6, 0.4)),
        {"code": ".*"},
    ),
    Role(
        "numerical package",
        "may order or round operations differently",
        Likelihoods(0.3, (0.1, 1.0, 0.4), (1.0, 0.3, 0.1), (1.0, 0.15, 0.1)),
        {"packages": _any_of(NUMERICAL_PACKAGES)},
    ),
    Role(
        "package in use",
        "is a package that the run had loaded",
        Likelihoods(0.4, (0.3, 0.9, 0.5), (0.5, 0.9, 1.0), (1.0, 0.6, 0.4)),
        {"packages": ".*"},
    ),
    Role(
        "floating-point mode",
        "changes how results are rounded, or vanish",
        Likelihoods(0.4, (0.2, 1.0, 0.6), (1.0, 0.2, 0.05), (1.0, 0.4, 0.1)),
        {"environment": r"floating_point(\..*)?"},
    ),
    Role(
        "arithmetic",
        "may order or round operations differently",
        Likelihoods(0.3, (0.1, 1.0, 0.4), (1.0, 0.2, 0.05), (1.0, 0.15, 0.1)),
        {"environment": rf"({_any_of(_ARITHMETIC)})(\..*)?|[^.]*\.libc.*"},
    ),
    Role(
        "ranks",
        "changes where halos lie and the order of reductions",
        Likelihoods(0.5, (0.03, 1.0, 0.4), (1.0, 0.3, 0.3), (0.8, 0.1, 1.0)),
        {"ranks": ".*"},
    ),
    Role(
        "nodes",
        "lets ranks on other nodes compute otherwise",
        Likelihoods(0.2, (0.1, 0.8, 1.0), (1.0, 0.4, 0.3), (0.4, 0.4, 1.0)),
        {"nodes": ".*"},
        dated=True,
    ),
    Role(
        "restart",
        "loads the state from a file",
        Likelihoods(0.8, (0.05, 0.5, 1.0), (0.8, 0.8, 0.8), (1.0, 0.4, 0.3)),
        {"restarts": ".*"},
        dated=True,
    ),
    Role(
        "event",
        "happened in one run and not in the other",
        Likelihoods(0.3, (0.2, 0.5, 1.0), (0.5, 0.8, 1.0), (0.7, 1.0, 0.8)),
        {"events": ".*"},
        dated=True,
    ),
)
BY_NAME = {role.name: role for role in ROLES}
BYSTANDER, RESTART = BY_NAME["bystander"], BY_NAME["restart"]

UNRECORDED = {
    # The order of threads or of reductions.
    "nondeterminism": Likelihoods(
        0.03, (0.1, 0.8, 0.7), (1.0, 0.1, 0.05), (0.8, 0.4, 0.3), time=0.05
    ),
    # Hardware, a race, or a missed exchange.
    "fault": Likelihoods(0.03, (0.05, 0.2, 1.0), (0.3, 0.8, 1.0), (0.2, 1.0, 0.9), time=0.05),
    # Something that is not recorded.
    "gap": Likelihoods(0.02, (0.5, 1.0, 0.4), (0.1, 0.8, 1.0), (0.8, 0.4, 0.1)),
}
"""The rivals of all recorded differences: what no record can hold, or this one does not."""


def role_of(difference: RecordedDifference) -> Role:
    """The role of a recorded difference, by the part in which it is recorded and its name."""
    if difference.weight == "describes":
        return BYSTANDER
    text = difference.path
    if difference.part in SETTINGS:
        text = difference.name.lower()
    elif difference.part == "packages":
        text = text.lower().replace("_", "-")
    for role in ROLES:
        pattern = role.matches.get(difference.part)
        if pattern is not None and re.fullmatch(pattern, text, re.DOTALL):
            return role
    return BYSTANDER
