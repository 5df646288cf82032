"""What is measured: grids, declarations, expressions, and the probe that takes samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declarations import (
        CFL,
        AngularMomentum,
        Budget,
        Conserved,
        Custom,
        Declarations,
        Diffusion,
        Divergence,
        Frequency,
        Growth,
        Norm,
        TotalVariation,
    )
    from .grid import Grid
    from .particles import Cells, Components, Particles
    from .probe import Probe, Reading
    from .state import State

__all__ = [
    "CFL",
    "AngularMomentum",
    "Budget",
    "Cells",
    "Components",
    "Conserved",
    "Custom",
    "Declarations",
    "Diffusion",
    "Divergence",
    "Frequency",
    "Grid",
    "Growth",
    "Norm",
    "Particles",
    "Probe",
    "Reading",
    "State",
    "TotalVariation",
]

_HOMES = {
    "AngularMomentum": "declarations",
    "Budget": "declarations",
    "Custom": "declarations",
    "Growth": "declarations",
    "CFL": "declarations",
    "Cells": "particles",
    "Components": "particles",
    "Conserved": "declarations",
    "Declarations": "declarations",
    "Diffusion": "declarations",
    "Divergence": "declarations",
    "Frequency": "declarations",
    "Norm": "declarations",
    "TotalVariation": "declarations",
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
