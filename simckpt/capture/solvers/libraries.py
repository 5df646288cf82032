"""Settings of Diffrax: its solvers, its step size controllers, and what an integration did."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any

from ...model.record import Facts


def describe_solver(solver: Any) -> Facts:
    """A solver by its name, with its own settings."""
    name = type(solver).__name__
    return {"solver": name, "integrator": name} | _fields(solver)


def describe_controller(controller: Any) -> Facts:
    """A step size controller with its tolerances."""
    return {"stepsize_controller": type(controller).__name__} | _fields(controller)


def describe_solution(solution: Any) -> Facts:
    """How an integration went: steps taken and rejected, and its outcome; nothing of the state."""
    facts: Facts = {name: int(count) for name, count in (solution.stats or {}).items()}
    # Shown as "RESULTS<what went wrong>", with nothing between where nothing did.
    outcome = str(solution.result).partition("<")[2].rpartition(">")[0]
    return facts | {"result": outcome or "successful"}


def _fields(module: Any) -> Facts:
    values = {f.name: getattr(module, f.name, None) for f in dataclasses.fields(module)}
    return {name: value for name, value in values.items() if value is not None}


# Settings of PETSc's linear, nonlinear and time solvers, through petsc4py.


def describe_ksp(ksp: Any) -> Facts:
    """A Krylov solver with its preconditioner, after options from the command line."""
    rtol, atol, divergence, iterations = _alive(ksp).getTolerances()
    return {
        "solver": ksp.getType(),
        **_optional("preconditioner", lambda: ksp.getPC().getType()),
        "rtol": rtol,
        "atol": atol,
        "divergence_tol": divergence,
        "max_iterations": iterations,
        **_optional("norm", ksp.getNormType),
        **_optional("side", ksp.getPCSide),
        **_optional("options_prefix", ksp.getOptionsPrefix),
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
        **_optional("linear", lambda: describe_ksp(snes.getKSP())),
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
        **_optional("nonlinear", lambda: describe_snes(ts.getSNES())),
    }


def _alive(solver: Any) -> Any:
    # PETSc, built without debugging, reads a destroyed object's null pointer and ends the process.
    if not solver:
        raise ReferenceError("it was destroyed")
    return solver


def _optional(name: str, read: Callable[[], Any]) -> Facts:
    """One fact, or none: some have no answer before the solver is set up."""
    try:
        value = read()
    except Exception:  # noqa: BLE001 - petsc4py's own error is one of many that may be raised here
        return {}
    return {} if value is None else {name: value}


# Settings of pyro, the teaching code for astrophysical hydrodynamics (pyro-hydro).


_GRID = ("nx", "ny", "ng", "xmin", "xmax", "ymin", "ymax", "dx", "dy")
_BOUNDARIES = ("xlb", "xrb", "ylb", "yrb")


def describe_pyro(pyro: Any) -> Facts:
    """A `Pyro` driver: its simulation once there is one, else its parameters so far."""
    simulation = getattr(pyro, "sim", None)
    if simulation is not None:
        return describe_simulation(simulation)
    return {"solver": pyro.solver_name, "parameters": _by_section(pyro.rp)}


def describe_simulation(simulation: Any) -> Facts:
    """A simulation: solver, problem, grid, boundary conditions and all runtime parameters."""
    facts: Facts = {
        "solver": simulation.solver_name,
        "problem": simulation.problem_name,
        "parameters": _by_section(simulation.rp),
    }
    data = getattr(simulation, "cc_data", None)
    grid = getattr(data, "grid", None)
    if grid is not None:
        facts["grid"] = {n: getattr(grid, n) for n in _GRID if hasattr(grid, n)}
    boundaries = getattr(data, "BCs", None)
    if boundaries:
        facts["boundaries"] = {
            name: {side: getattr(bc, side, None) for side in _BOUNDARIES}
            for name, bc in boundaries.items()
        }
    return facts


def _by_section(parameters: Any) -> Facts:
    """``section.name`` as two levels."""
    sections: dict[str, Facts] = {}
    for key, value in parameters.params.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    return dict(sections)


# Settings of SciPy's integrators of ordinary differential equations, and of its Krylov solvers.


_SETTINGS = ("rtol", "atol", "max_step", "newton_tol", "t_bound", "direction", "vectorized")
_LSODA_SETTINGS = (
    "rtol",
    "atol",
    "min_step",
    "max_step",
    "first_step",
    "nsteps",
    "max_order_ns",
    "max_order_s",
    "method",
    "order",
)

_FAMILIES = {1: ("adams", 12), 2: ("bdf", 5)}
"""Of VODE, with the highest order of each."""

_OF_THE_LIBRARY: dict[str, Facts] = {"odeint": {"rtol": 1.49012e-8, "atol": 1.49012e-8}}
"""Defaults that are in no signature."""

_ITERATIONS = {"gmres": 10, "cg": 10, "bicg": 10, "bicgstab": 10, "cgs": 10, "qmr": 10, "minres": 5}
"""Iterations of Krylov solvers that are given no limit, in units of the size of the system."""

_RESTART = 20


def describe_ode_solver(solver: Any) -> Facts:
    """An `OdeSolver` of `scipy.integrate`: tolerances as they are, after SciPy's own limits."""
    name = type(solver).__name__
    facts: Facts = {"solver": name, "integrator": name, "size": getattr(solver, "n", None)}
    facts |= _keywords(solver, _SETTINGS)
    # BDF changes its order as it goes: that is no setting.
    if isinstance(getattr(type(solver), "order", None), int):
        facts["order"] = type(solver).order
    inner = getattr(getattr(solver, "_lsoda_solver", None), "_integrator", None)
    return facts | _keywords(inner, _LSODA_SETTINGS)


def describe_ode(solver: Any) -> Facts:
    """The older `scipy.integrate.ode`."""
    inner = solver._integrator  # noqa: SLF001 - scipy.integrate.ode has no public name for it
    name = type(inner).__name__
    facts: Facts = {"solver": name, "integrator": name}
    facts |= _keywords(inner, _LSODA_SETTINGS)
    if (family := getattr(inner, "meth", None)) in _FAMILIES:
        # VODE lowers an order that its formulas do not have.
        facts["method"], highest = _FAMILIES[family]
        facts["order"] = min(getattr(inner, "order", highest), highest)
    return facts


def describe_ode_result(result: Any) -> Facts:
    """What `solve_ivp` did: steps (or output times), evaluations, and how it ended."""
    facts: Facts = {"function": "solve_ivp", "times": len(result["t"])}
    for name in ("nfev", "njev", "nlu", "status", "success", "message"):
        facts[name] = result.get(name)
    return facts


def describe_call(call: Any) -> Facts:
    """A solver function such as ``gmres`` or ``solve_ivp``, with arguments bound by `partial`.

    What is not bound has the default of the installed version.
    """
    signature = inspect.signature(call.func)
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty and parameter.default is not None
    }
    bound = signature.bind_partial(*call.args).arguments | call.keywords
    name = call.func.__name__
    facts: Facts = {"solver": name} | _OF_THE_LIBRARY.get(name, {}) | defaults
    facts |= _defaults_of_method(call.func, bound.get("method", facts.get("method")))
    facts |= {key: value for key, value in bound.items() if value is not None or key not in facts}
    return facts | _krylov_limits(name, facts)


def _defaults_of_method(function: Any, method: Any) -> Facts:
    """Tolerances and limits of the integrator that `solve_ivp` would use."""
    methods = getattr(sys.modules.get(function.__module__), "METHODS", {})
    solver = methods.get(method) if isinstance(method, str) else method
    if not isinstance(solver, type):
        return {}
    parameters = inspect.signature(solver).parameters
    return {
        name: parameters[name].default
        for name in ("rtol", "atol", "max_step", "min_step")
        if name in parameters and parameters[name].default is not inspect.Parameter.empty
    }


def _krylov_limits(name: str, facts: Facts) -> Facts:
    """What stands for limits that were not given: they follow from the size of the system."""
    factor = _ITERATIONS.get(name)
    if factor is None:
        return {}
    size = next(
        (shape[0] for key in ("A", "b") if (shape := getattr(facts.get(key), "shape", None))), None
    )
    limits: Facts = {}
    if facts.get("maxiter") is None:
        limits["maxiter"] = f"{factor} times the size" if size is None else factor * size
    if name == "gmres":
        restart = facts.get("restart") or _RESTART
        limits["restart"] = restart if size is None else min(restart, size)
    return limits


def describe_krylov_jacobian(jacobian: Any) -> Facts:
    """The inner solver of `scipy.optimize.newton_krylov`."""
    facts = {"solver": getattr(jacobian.method, "__name__", str(jacobian.method))}
    return facts | dict(getattr(jacobian, "method_kw", {}))


def _keywords(solver: Any, names: tuple[str, ...]) -> Facts:
    missing = object()
    values = {name: getattr(solver, name, missing) for name in names}
    return {name: value for name, value in values.items() if value is not missing}
