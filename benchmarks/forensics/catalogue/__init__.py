"""All cases, one module for each of the programs, and one for what cannot matter.

Which half a case belongs to was declared with the case, in turn within each module, before any
comparison of it was looked at.
"""

from __future__ import annotations

from ..case import Case
from . import clusters, flows, gas, mixed, noisy, plates, rods, sparse, unchanged

CASES: tuple[Case, ...] = (
    *flows.CASES,
    *gas.CASES,
    *clusters.CASES,
    *rods.CASES,
    *plates.CASES,
    *noisy.CASES,
    *mixed.CASES,
    *sparse.CASES,
    *unchanged.CASES,
)
