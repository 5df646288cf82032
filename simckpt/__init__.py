"""simckpt: a library that records and compares simulation runs.

`run` goes around the driver that holds the loop, `step` around the function that advances one
step; `open` reads what they wrote. Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import analysis as analysis
    from .bundle.reader import Bundle as Bundle
    from .bundle.reader import open_bundle
    from .capture.solvers.describe import describe as describe
    from .diagnostics.grid import Grid as Grid
    from .diagnostics.particles import Cells as Cells
    from .diagnostics.particles import Components as Components
    from .diagnostics.particles import Particles as Particles
    from .diagnostics.registry import *  # noqa: F403 - each of its rows is a public name
    from .errors import BundleError as BundleError
    from .errors import SetupError as SetupError
    from .errors import SimckptError as SimckptError
    from .errors import SimckptWarning as SimckptWarning
    from .model.documents import Intent as Intent
    from .model.numerics import Numerics as Numerics
    from .recording.anomaly import Anomaly as Anomaly
    from .recording.bounds import Bound as Bound
    from .recording.cadence import MaxOverhead as MaxOverhead
    from .recording.run import active_run as active_run
    from .recording.run import checkpoint as checkpoint
    from .recording.run import run as run
    from .recording.run import should_stop as should_stop
    from .recording.step import step as step
    from .recording.triggers import Trigger as Trigger

    open = open_bundle  # noqa: A001
else:
    # Each public name that is not a row of diagnostics.registry, and its module.
    _REGISTRY = "diagnostics.registry"
    _MODULES = {
        "Anomaly": "recording.anomaly",
        "Bound": "recording.bounds",
        "Bundle": "bundle.reader",
        "BundleError": "errors",
        "Cells": "diagnostics.particles",
        "Components": "diagnostics.particles",
        "Grid": "diagnostics.grid",
        "Intent": "model.documents",
        "MaxOverhead": "recording.cadence",
        "Numerics": "model.numerics",
        "Particles": "diagnostics.particles",
        "SetupError": "errors",
        "SimckptError": "errors",
        "SimckptWarning": "errors",
        "Trigger": "recording.triggers",
        "active_run": "recording.run",
        "checkpoint": "recording.run",
        "describe": "capture.solvers.describe",
        "open": "bundle.reader:open_bundle",
        "run": "recording.run",
        "step": "recording.step",
        "should_stop": "recording.run",
    }

    def __getattr__(name: str) -> object:
        if name == "__all__":
            return __dir__()
        if name == "analysis":
            return import_module(".analysis", __name__)
        value = None
        if not name.startswith("_"):
            module, _, attribute = _MODULES.get(name, _REGISTRY).partition(":")
            value = getattr(import_module(f".{module}", __name__), attribute or name, None)
        if value is None:
            raise AttributeError(f"module 'simckpt' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        rows = [row for row in vars(import_module(f".{_REGISTRY}", __name__)) if row[0] != "_"]
        return sorted([*_MODULES, *rows, "__version__", "analysis"])
