"""Settings of Diffrax: its solvers, its step size controllers, and what an integration did."""

from __future__ import annotations

import dataclasses
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
    told = str(solution.result).partition("<")[2].rpartition(">")[0]
    return facts | {"result": told or "successful"}


def _fields(module: Any) -> Facts:
    values = {f.name: getattr(module, f.name, None) for f in dataclasses.fields(module)}
    return {name: value for name, value in values.items() if value is not None}
