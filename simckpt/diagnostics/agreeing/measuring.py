"""What the integral of one is: without it nothing says how large an integral could have been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, inf

from msgspec import UNSET, structs

from ..quantities.quantity import Quantity
from .offer import PartOffer

DIGITS = 12
"""It is a scale and nothing else: the digits that the cut into boxes moves are left out."""


def with_measure(quantity: Quantity, parts: Sequence[PartOffer]) -> Quantity:
    """The quantity; if it is an integral over the cells, its column says what that of one is."""
    if [request.particles for request in quantity.sums] != [False]:
        return quantity
    volume = quantity.sums[0].weight == "volume"
    each = (p.measured.volume if volume else float(p.measured.cells) for p in parts)
    total = float(f"{fsum(each):.{DIGITS - 1}e}")
    told = total if 0 < total < inf else UNSET
    columns = (
        structs.replace(c, measure=told) if c.kind in ("budget", "conserved") else c
        for c in quantity.columns
    )
    return replace(quantity, columns=tuple(columns))
