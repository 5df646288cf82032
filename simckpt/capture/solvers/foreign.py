"""Which reader knows a foreign solver's class, found by name so that nothing is imported."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...model.record import Facts
from .diffrax import describe_controller, describe_solution, describe_solver
from .petsc import describe_ksp, describe_snes, describe_ts
from .pyro import describe_pyro, describe_simulation
from .scipy import (
    describe_call,
    describe_krylov_jacobian,
    describe_ode,
    describe_ode_result,
    describe_ode_solver,
)

Describer = Callable[[Any], Facts]

_DESCRIBERS: dict[tuple[str, str], Describer] = {
    ("scipy", "OdeSolver"): describe_ode_solver,
    ("scipy", "OdeResult"): describe_ode_result,
    ("scipy", "ode"): describe_ode,
    ("scipy", "KrylovJacobian"): describe_krylov_jacobian,
    ("diffrax", "AbstractSolver"): describe_solver,
    ("diffrax", "AbstractStepSizeController"): describe_controller,
    ("diffrax", "Solution"): describe_solution,
    ("pyro", "Pyro"): describe_pyro,
    ("pyro", "NullSimulation"): describe_simulation,
    ("petsc4py", "KSP"): describe_ksp,
    ("petsc4py", "SNES"): describe_snes,
    ("petsc4py", "TS"): describe_ts,
}
"""By top-level package and class name: where inside the package a class lives is its own affair."""


def describer_for(obj: object) -> Describer | None:
    """The reader for an object: that of its class, or of the nearest base that has one."""
    if isinstance(obj, functools.partial):
        module = str(getattr(obj.func, "__module__", ""))
        return describe_call if module.partition(".")[0] == "scipy" else None
    for base in type(obj).__mro__:
        package = base.__module__.partition(".")[0]
        found = _DESCRIBERS.get((package, base.__name__))
        if found is not None:
            return found
    return None
