"""Settings of pyro, the teaching code for astrophysical hydrodynamics (pyro-hydro)."""

from __future__ import annotations

from typing import Any

from ...model.record import Facts

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
