"""The one place where compiler options are set.

No fast-math and no contraction: every kernel does the arithmetic that its source says, so that
results have the same bits on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba
from numba.core import config as _config

config: Any = _config  # its attributes are made at run time

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "boundscheck": False,
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function`, keeping the machine code on disk.

    The cache lies where NUMBA_CACHE_DIR says, else SIMCKPT_CACHE_DIR, else beside the source.
    """
    users = config.CACHE_DIR
    ours = os.environ.get("SIMCKPT_CACHE_DIR", "")
    # Numba reads its setting when a function is decorated; the user's own functions keep theirs.
    if ours and not users:
        config.CACHE_DIR = ours
    try:
        return numba.njit(**_OPTIONS)(function)
    finally:
        config.CACHE_DIR = users
