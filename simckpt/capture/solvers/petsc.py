"""Settings of PETSc's linear, nonlinear and time solvers, through petsc4py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...model.record import Facts


def describe_ksp(ksp: Any) -> Facts:
    """A Krylov solver with its preconditioner, after options from the command line."""
    rtol, atol, divergence, iterations = _alive(ksp).getTolerances()
    return {
        "solver": ksp.getType(),
        **_known("preconditioner", lambda: ksp.getPC().getType()),
        "rtol": rtol,
        "atol": atol,
        "divergence_tol": divergence,
        "max_iterations": iterations,
        **_known("norm", ksp.getNormType),
        **_known("side", ksp.getPCSide),
        **_known("options_prefix", ksp.getOptionsPrefix),
    }


def describe_snes(snes: Any) -> Facts:
    """A nonlinear solver with its linear one."""
    rtol, atol, step, iterations = _alive(snes).getTolerances()
    return {
        "solver": snes.getType(),
        "rtol": rtol,
        "atol": atol,
        "step_tol": step,
        "max_iterations": iterations,
        **_known("linear", lambda: describe_ksp(snes.getKSP())),
    }


def describe_ts(ts: Any) -> Facts:
    """A time integrator with its nonlinear solver."""
    rtol, atol = _alive(ts).getTolerances()
    return {
        "integrator": ts.getType(),
        "dt": ts.getTimeStep(),
        "t_end": ts.getMaxTime(),
        "max_steps": ts.getMaxSteps(),
        "rtol": rtol,
        "atol": atol,
        **_known("nonlinear", lambda: describe_snes(ts.getSNES())),
    }


def _alive(solver: Any) -> Any:
    # PETSc, built without debugging, reads a destroyed object's null pointer and ends the process.
    if not solver:
        raise ReferenceError("it was destroyed")
    return solver


def _known(name: str, read: Callable[[], Any]) -> Facts:
    """One fact, or none: some have no answer before the solver is set up."""
    try:
        value = read()
    except Exception:  # noqa: BLE001 - petsc4py's own error is one of many that may be raised here
        return {}
    return {} if value is None else {name: value}
