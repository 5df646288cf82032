"""An expression summed exactly in one pass, against NumPy's temporaries."""

from __future__ import annotations

import numpy as np

from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.state import State

from .sampling import normal, ready
from .timing import Ratio, medians

SIZE = 1 << 23


def ratios() -> list[Ratio]:
    """``0.5*(mx*mx + my*my)/rho``; what the sample does beyond NumPy's sum is subtracted."""
    mx, my, rho = normal(SIZE), normal(SIZE) + 1, np.abs(normal(SIZE)) + 1
    state = State(Grid(SIZE), {"mx": mx, "my": my, "rho": rho})
    energy = Declarations(conserved={"energy": "0.5*(mx*mx + my*my)/rho"})

    def numpy_energy() -> object:
        return np.sum(0.5 * (mx * mx + my * my) / rho)

    times = medians(
        {
            "with": ready(energy, state),
            "without": ready(Declarations(), state),
            "numpy": numpy_energy,
        }
    )
    return [
        Ratio(
            "0.5*(mx*mx + my*my)/rho, added to a sample / the same in NumPy",
            (times["with"] - times["without"]) / times["numpy"],
            0.35,
            0.2,
        ),
        Ratio(
            "that sample, with extrema and digests of three fields / the same in NumPy",
            times["with"] / times["numpy"],
        ),
    ]
