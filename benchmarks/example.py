"""The examples as modules."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numba

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_caches: list[tempfile.TemporaryDirectory[str]] = []


def load_example(name: str) -> ModuleType:
    """An example, with a cache of its own for its compiled functions.

    What ran as a script was cached as that script's, and the other way round.
    """
    spec = importlib.util.spec_from_file_location(f"{__package__}_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    users = numba.config.CACHE_DIR
    _caches.append(tempfile.TemporaryDirectory())
    numba.config.CACHE_DIR = _caches[-1].name
    try:
        spec.loader.exec_module(module)
    finally:
        numba.config.CACHE_DIR = users
    return module
