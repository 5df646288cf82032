"""What is cheap to import stays cheap."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
from simckpt import CFL, Grid, Particles
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
probe = RankSampler(Declarations(conserved={"mass": "rho"}, stability={"courant": CFL("rho")}))
probe.agree([probe.local_spec(State(Grid(4), {"rho": np.ones(4)}))])
probe.blank()
Particles(np.arange(3))
assert "numba" not in sys.modules, "numba"
assert "mpi4py" not in sys.modules, "mpi4py"
assert "h5py" not in sys.modules, "h5py"
probe.measure(State(Grid(4), {"rho": np.ones(4)}))
assert "numba" in sys.modules
"""


def test_numba_is_loaded_by_the_first_measurement_and_not_before():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)
