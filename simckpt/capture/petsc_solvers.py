"""Settings of PETSc's linear, nonlinear and time solvers, through petsc4py."""

from __future__ import annotations

from typing import Any

from ..model.record import Facts


def describe_ksp(ksp: Any) -> Facts:
    """A Krylov solver with its preconditioner, after options from the command line."""
    rtol, atol, divergence, iterations = ksp.getTolerances()
    facts: Facts = {
        "solver": ksp.getType(),
        "preconditioner": ksp.getPC().getType(),
        "rtol": rtol,
        "atol": atol,
        "divergence_tol": divergence,
        "max_iterations": iterations,
        "norm": ksp.getNormType(),
        "side": ksp.getPCSide(),
    }
    prefix = ksp.getOptionsPrefix()
    return facts | ({"options_prefix": prefix} if prefix else {})


def describe_snes(snes: Any) -> Facts:
    """A nonlinear solver with its linear one."""
    rtol, atol, step, iterations = snes.getTolerances()
    return {
        "solver": snes.getType(),
        "rtol": rtol,
        "atol": atol,
        "step_tol": step,
        "max_iterations": iterations,
        "linear": describe_ksp(snes.getKSP()),
    }


def describe_ts(ts: Any) -> Facts:
    """A time integrator with its nonlinear solver."""
    rtol, atol = ts.getTolerances()
    return {
        "integrator": ts.getType(),
        "dt": ts.getTimeStep(),
        "t_end": ts.getMaxTime(),
        "max_steps": ts.getMaxSteps(),
        "rtol": rtol,
        "atol": atol,
        "nonlinear": describe_snes(ts.getSNES()),
    }
