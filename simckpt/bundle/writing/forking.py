"""A file that HDF5 has open for writing while the program may fork.

A forked child that ends by ``sys.exit`` runs HDF5's own exit, which would write what it has in
memory into the file that its parent is still writing. So the child's descriptor leads nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_open: set[int] = set()


@contextmanager
def harmless_in_forks(descriptor: int) -> Iterator[None]:
    """Whatever a child writes to `descriptor` goes nowhere, if it is forked meanwhile."""
    _open.add(descriptor)
    try:
        yield
    finally:
        _open.discard(descriptor)


def _lead_nowhere() -> None:
    for descriptor in _open:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lead_nowhere)
