"""What is measured: grids, declarations, expressions, and the probe that takes samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declarations import CFL, Declarations
    from .grid import Grid
    from .particles import Particles
    from .probe import Probe, Reading
    from .state import State

__all__ = ["CFL", "Declarations", "Grid", "Particles", "Probe", "Reading", "State"]

_HOMES = {
    "CFL": "declarations",
    "Declarations": "declarations",
    "Grid": "grid",
    "Particles": "particles",
    "Probe": "probe",
    "Reading": "probe",
    "State": "state",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
