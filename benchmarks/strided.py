"""Ghost layers, Fortran order and narrow types against the contiguous case."""

from __future__ import annotations

import numpy as np

from simckpt.diagnostics.declarations import Declarations

from .sampling import normal, one_field, ready
from .timing import Ratio, medians

SHAPE = (128, 512, 512)
"""Rows of 512 as a cube of 512 has them: 256 MiB."""


def ratios() -> list[Ratio]:
    """One field of `SHAPE`, laid out in several ways, per value."""
    x = normal(SHAPE)
    ghosts = np.zeros([n + 4 for n in SHAPE])
    ghosts[2:-2, 2:-2, 2:-2] = x
    declarations = Declarations(conserved={"total": "f"})
    times = medians(
        {
            "contiguous": ready(declarations, one_field(x)),
            "ghosts": ready(declarations, one_field(ghosts, shape=SHAPE, ghost=2)),
            "fortran": ready(declarations, one_field(np.asfortranarray(x))),
            "single": ready(declarations, one_field(x.astype(np.float32))),
        }
    )
    base = times["contiguous"]
    return [
        Ratio("a view with ghost layers / contiguous", times["ghosts"] / base, 1.2, 1.05),
        Ratio("Fortran order / C order", times["fortran"] / base),
        Ratio("float32 / float64", times["single"] / base),
    ]
