"""The one place where compiler options are set.

No fast-math and no contraction: every kernel does the arithmetic that its source says, so that
results have the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import config as _config

from ..cache import cache_folder

config: Any = _config  # its attributes are made at run time

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "boundscheck": False,
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function`, which makes no arrays, keeping the machine code in `cache_folder`.

    References to arrays are not counted: on a short chunk, counting costs as much as arithmetic,
    and threads would take turns at the counters.
    """
    return _compiled(function, _nrt=False)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """Compile a `function` that makes arrays of its own."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **more: Any) -> Any:
    users = config.CACHE_DIR
    # Numba reads its setting when a function is decorated; the user's own functions keep theirs.
    config.CACHE_DIR = str(cache_folder())
    try:
        return numba.njit(**_OPTIONS, **more)(function)
    finally:
        config.CACHE_DIR = users
