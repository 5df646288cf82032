"""The analysis profile imports no library of data that the user has not imported."""

from __future__ import annotations

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_looking_at_arrays_loads_nothing_else() -> None:
    statement = (
        "import simckpt, numpy; from simckpt.analysis.datasets import identify; "
        "simckpt.analysis.stage; simckpt.analysis.transform('x'); identify(numpy.ones(3))"
    )
    optional = {"pandas", "polars", "pyarrow", "narwhals", "xarray", "netCDF4"}
    assert loaded_after(statement) & (optional | {"numba", "mpi4py", "rich"}) == set()
