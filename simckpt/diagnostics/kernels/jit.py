"""The one place where compiler options are set.

No fast-math and no contraction: every kernel does the arithmetic that its source says, so that
results have the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from ..cache import condition

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "boundscheck": False,
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function`, which makes no arrays, keeping the machine code where it can be kept.

    References to arrays are not counted: on a short chunk, counting costs as much as arithmetic,
    and threads would take turns at the counters.
    """
    return _compiled(function, _nrt=False)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """Compile a `function` that makes arrays of its own."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **more: Any) -> Any:
    dispatcher = numba.njit(**_OPTIONS, **more)(function)
    if dispatcher is not function:  # as it is where NUMBA_DISABLE_JIT is set
        try:
            from ..keeping import KernelCache

            dispatcher._cache = KernelCache(function)  # noqa: SLF001 - what cache=True does
        except Exception as error:  # noqa: BLE001 - a Numba with other insides keeps nothing
            condition.refused(error)
    return dispatcher
