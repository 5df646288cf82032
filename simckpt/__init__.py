"""simckpt: the instrument that simulation codes carry.

`run` goes around the driver that holds the loop, `step` around the function that advances one
step; `open` reads what they wrote. Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import analysis
    from .bundle.reader import Bundle
    from .bundle.reader import open_bundle as open  # noqa: A004
    from .capture.solvers.describe import describe
    from .diagnostics.declarations import (
        CFL,
        AngularMomentum,
        Budget,
        Conserved,
        Custom,
        Diffusion,
        Divergence,
        Frequency,
        Growth,
        Norm,
        TotalVariation,
    )
    from .diagnostics.grid import Grid
    from .diagnostics.particles import Cells, Components, Particles
    from .errors import BundleError, SetupError, SimckptError, SimckptWarning
    from .model.documents import Intent
    from .model.numerics import Numerics
    from .recording.anomaly import Anomaly
    from .recording.bounds import Bound
    from .recording.cadence import MaxOverhead
    from .recording.run import active_run, checkpoint, run, should_stop
    from .recording.step import step
    from .recording.triggers import Trigger

__version__ = "0.1.0"

_HOMES = {
    "run": "recording.run",
    "active_run": "recording.run",
    "checkpoint": "recording.run",
    "should_stop": "recording.run",
    "step": "recording.step",
    "MaxOverhead": "recording.cadence",
    "Grid": "diagnostics.grid",
    "Particles": "diagnostics.particles",
    "CFL": "diagnostics.declarations",
    "Cells": "diagnostics.particles",
    "Components": "diagnostics.particles",
    "AngularMomentum": "diagnostics.declarations",
    "Budget": "diagnostics.declarations",
    "Conserved": "diagnostics.declarations",
    "Custom": "diagnostics.declarations",
    "Diffusion": "diagnostics.declarations",
    "Divergence": "diagnostics.declarations",
    "Frequency": "diagnostics.declarations",
    "Growth": "diagnostics.declarations",
    "Norm": "diagnostics.declarations",
    "TotalVariation": "diagnostics.declarations",
    "describe": "capture.solvers.describe",
    "Intent": "model.documents",
    "Numerics": "model.numerics",
    "Bundle": "bundle.reader",
    "open": "bundle.reader:open_bundle",
    "Trigger": "recording.triggers",
    "Bound": "recording.bounds",
    "Anomaly": "recording.anomaly",
    "SimckptError": "errors",
    "SetupError": "errors",
    "BundleError": "errors",
    "SimckptWarning": "errors",
}

__all__ = [
    "CFL",
    "AngularMomentum",
    "Anomaly",
    "Bound",
    "Budget",
    "Bundle",
    "BundleError",
    "Cells",
    "Components",
    "Conserved",
    "Custom",
    "Diffusion",
    "Divergence",
    "Frequency",
    "Grid",
    "Growth",
    "Intent",
    "MaxOverhead",
    "Norm",
    "Numerics",
    "Particles",
    "SetupError",
    "SimckptError",
    "SimckptWarning",
    "TotalVariation",
    "Trigger",
    "__version__",
    "active_run",
    "analysis",
    "checkpoint",
    "describe",
    "open",
    "run",
    "should_stop",
    "step",
]


def __getattr__(name: str) -> object:
    if name == "analysis":
        return import_module(".analysis", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'simckpt' has no attribute {name!r}")
    home, _, other = _HOMES[name].partition(":")
    value = getattr(import_module(f".{home}", __name__), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
