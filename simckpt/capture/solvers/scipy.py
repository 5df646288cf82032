"""Settings of SciPy's integrators of ordinary differential equations, and of its Krylov solvers."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from ...model.record import Facts

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
    facts |= _given(solver, _SETTINGS)
    # BDF changes its order as it goes: that is no setting.
    if isinstance(getattr(type(solver), "order", None), int):
        facts["order"] = type(solver).order
    inner = getattr(getattr(solver, "_lsoda_solver", None), "_integrator", None)
    return facts | _given(inner, _LSODA_SETTINGS)


def describe_ode(solver: Any) -> Facts:
    """The older `scipy.integrate.ode`."""
    inner = solver._integrator  # noqa: SLF001 - scipy.integrate.ode has no public name for it
    name = type(inner).__name__
    facts: Facts = {"solver": name, "integrator": name}
    facts |= _given(inner, _LSODA_SETTINGS)
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
    known = getattr(sys.modules.get(function.__module__), "METHODS", {})
    solver = known.get(method) if isinstance(method, str) else method
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


def _given(solver: Any, names: tuple[str, ...]) -> Facts:
    missing = object()
    values = {name: getattr(solver, name, missing) for name in names}
    return {name: value for name, value in values.items() if value is not missing}
