"""Everything about one contiguous field against NumPy's passes and a plain read of memory."""

from __future__ import annotations

import numba
import numpy as np

from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.kernels.sums import LIMBS, sum_into

from .sampling import SIZE, normal, one_field, ready
from .timing import Ratio, medians


@numba.njit(fastmath=True)
def read(x):  # type: ignore[no-untyped-def]
    """The fastest sum there is, whatever it gives."""
    total = 0.0
    for i in range(x.size):
        total += x[i]
    return total


def ratios() -> list[Ratio]:
    """Four NumPy passes, one read, and one sum, each against its counterpart here."""
    x = normal(SIZE)
    limbs = np.zeros(LIMBS, np.int64)
    times = medians(
        {
            "sample": ready(Declarations(conserved={"total": "f"}), one_field(x)),
            "four": lambda: (x.sum(), x.min(), x.max(), np.isfinite(x).all()),
            "read": lambda: read(x),
            "exact": lambda: sum_into(limbs, x),
            "sum": x.sum,
        }
    )
    each = f"{times['sample'] / SIZE * 1e9:.2f} ns a value"
    return [
        Ratio(
            "exact sum, extrema, counts, digests / NumPy's sum, min, max, isfinite",
            times["sample"] / times["four"],
            0.5,
            0.35,
            each,
        ),
        Ratio("the same / a plain vectorized read", times["sample"] / times["read"], 2.5, 1.5),
        Ratio(
            "exact sum alone / np.sum",
            times["exact"] / times["sum"],
            1.6,
            1.1,
            f"{times['exact'] / SIZE * 1e9:.2f} ns a value",
        ),
    ]
