"""Settings of SciPy's integrators of ordinary differential equations, and of its Krylov solvers."""

from __future__ import annotations

import inspect
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
    return {"solver": name, "integrator": name} | _given(inner, _LSODA_SETTINGS)


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
    bound = signature.bind_partial(*call.args).arguments
    facts: Facts = {"solver": call.func.__name__} | defaults | bound | call.keywords
    return facts


def describe_krylov_jacobian(jacobian: Any) -> Facts:
    """The inner solver of `scipy.optimize.newton_krylov`."""
    facts = {"solver": getattr(jacobian.method, "__name__", str(jacobian.method))}
    return facts | dict(getattr(jacobian, "method_kw", {}))


def _given(solver: Any, names: tuple[str, ...]) -> Facts:
    missing = object()
    values = {name: getattr(solver, name, missing) for name in names}
    return {name: value for name, value in values.items() if value is not missing}
