"""Settings of SciPy's integrators of ordinary differential equations."""

from __future__ import annotations

from typing import Any

from ..model.record import Facts

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
    facts: Facts = {"solver": type(solver).__name__, "size": getattr(solver, "n", None)}
    facts |= _given(solver, _SETTINGS)
    # BDF changes its order as it goes: that is no setting.
    if isinstance(getattr(type(solver), "order", None), int):
        facts["order"] = type(solver).order
    inner = getattr(getattr(solver, "_lsoda_solver", None), "_integrator", None)
    return facts | _given(inner, _LSODA_SETTINGS)


def describe_ode(solver: Any) -> Facts:
    """The older `scipy.integrate.ode`."""
    inner = solver._integrator  # noqa: SLF001 - scipy.integrate.ode has no public name for it
    return {"solver": type(inner).__name__} | _given(inner, _LSODA_SETTINGS)


def describe_ode_result(result: Any) -> Facts:
    """What `solve_ivp` did: steps (or output times), evaluations, and how it ended."""
    facts: Facts = {"solver": "solve_ivp", "times": len(result["t"])}
    for name in ("nfev", "njev", "nlu", "status", "success", "message"):
        facts[name] = result.get(name)
    return facts


def _given(solver: Any, names: tuple[str, ...]) -> Facts:
    missing = object()
    values = {name: getattr(solver, name, missing) for name in names}
    return {name: value for name, value in values.items() if value is not missing}
