"""What part a recorded difference plays in a computation, by where it is recorded and its name."""

from __future__ import annotations

import re

from .differences import IDLE, SEED, STREAMS, UNLOADED, RecordedDifference
from .profiles import Role

_INITIAL = re.compile(r"^(problem|case|setup|ics?|init(ial)?(_.*)?|amplitude|perturb.*|noise.*)$")
_TIME_STEP = re.compile(r"^(dt|cfl|courant|time_?step|step_?size|d?t_?(max|min)|dt_.*|cfl_.*)$")
_EXTENT = re.compile(
    r"^(t_?end|t_?final|t_?max|tstop|end_?time|(n|num|max)?_?steps?|n_?steps|steps_.*|duration)$"
)
_TOLERANCE = re.compile(r"^([ar]?_?tol.*|tolerance.*|max_?it.*|n_?iter.*)$")
_PRECISION = re.compile(r"^(precision|dtype|real|float_?type|single|double)$")
_SCHEME = re.compile(
    r"^(solver|riemann.*|integrator|scheme|method|order|limiter|reconstruction|flux.*|recon.*"
    r"|precond.*|grid|theta|stencil|interp.*|filter.*)$"
)
_BOUNDARY = re.compile(
    r"^((.*_)?boundar(y|ies)(_.*)?|.*boundary|(.*_)?bcs?(_.*)?|[xyz][lr]b|walls?|sides?(\[\d+\])?"
    r"|inflow.*|outflow.*)$"
)
_DESCRIBES = re.compile(
    r"^(verbose|quiet|debug|log(_?level|_?file)?|label|title|comment|name|notes?|plot.*|vis.*"
    r"|(n_?)?(out|print|save|dump|write|checkpoint|sample)_?(every|freq.*|interval|steps?)|every"
    r"|progress|colou?r|tag|(job|run)_?(name|id))$"
)
_ELSEWHERE = re.compile(
    r"^(TZ|LANG|LC_.*|HDF5_.*|MALLOC_.*|PYTHONMALLOC|LD_BIND_NOW|.*_VERSION_DISPLAY)$"
)
"""Variables of the environment that no arithmetic depends on."""

NUMERICAL_PACKAGES = frozenset(
    {
        "cupy", "dask", "fenics-dolfinx", "jax", "jaxlib", "llvmlite", "mkl", "mpi4py", "mpich",
        "numba", "numexpr", "numpy", "openmpi", "petsc", "petsc4py", "pyfftw", "scikit-sparse",
        "scipy", "slepc4py", "tensorflow", "torch", "mpi4py-fft", "openblas",
        "scikit-umfpack", "pythran", "pyccel", "triton", "impi-rt", "intel-openmp",
    }
)  # fmt: skip
"""Distributions that compute; others count as bystanders."""

INSTRUMENTS = frozenset(
    {
        "blake3", "certifi", "click", "cffi", "h5py", "markdown-it-py", "matplotlib", "mdurl",
        "msgspec", "netcdf4", "packaging", "pip", "pluggy", "psutil", "pygments", "pytest", "rich",
        "setuptools", "simckpt", "six", "threadpoolctl", "tqdm", "typing-extensions", "wheel",
    }
)  # fmt: skip
"""Distributions that are loaded to record, to read and to show, and do not compute."""

_ARITHMETIC = frozenset(
    {
        "accelerator", "accelerators", "blas", "compiler", "cpu", "gpu",
        "jit", "libraries", "mpi", "modules", "processor", "python", "threads", "variables",
        "numba",
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
    if part == "random" and difference.path == STREAMS:
        return "streams"
    if part in by_part:
        return by_part[part]
    if difference.weight == "describes":
        return "bystander"
    if part in ("numerics", "parameters", "command", "configuration"):
        return _setting(part, difference.name.lower())
    if part == "code":
        return "code"
    if part == "events":
        return "event"
    if part == "packages":
        return _package(difference.path.lower().replace("_", "-"))
    if part == "environment":
        return _circumstance(difference.path)
    return "bystander"


def _circumstance(path: str) -> Role:
    section, _, name = path.partition(".")
    if section == "floating_point":
        return "floating-point mode"
    if section == "variables" and _ELSEWHERE.match(name):
        return "bystander"
    return "arithmetic" if section in _ARITHMETIC or name.startswith("libc") else "bystander"


def _package(name: str) -> Role:
    if name.endswith(UNLOADED) or name in INSTRUMENTS:
        return "bystander"
    return "numerical package" if name in NUMERICAL_PACKAGES else "package in use"


def _setting(part: str, name: str) -> Role:
    patterns: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_EXTENT, "extent"),
        (_TIME_STEP, "time step"),
        (_TOLERANCE, "tolerance"),
        (_PRECISION, "precision"),
        (SEED, "seed"),
        (_DESCRIBES, "bystander"),
        (_BOUNDARY, "boundary"),
        (_INITIAL, "initial state"),
        (_SCHEME, "scheme"),
    )
    if part == "numerics" and name in ("eps", "epsilon"):
        # Of a solver it is what ends an iteration; elsewhere it may be anything small.
        return "tolerance"
    for expression, found in patterns:
        if expression.match(name):
            return found
    return "scheme" if part == "numerics" else "parameter"
