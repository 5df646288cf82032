"""The heated rod: one dimension, serial, and nothing but NumPy."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family

ROD = Program(driver="heat_serial", arguments={"t_end": 0.004, "diffusion_number": 0.4}, every=5)

rod = Family("rod:")
rod.add(
    "diffusion number", ROD, "time base", "*:diffusion_number", arguments={"diffusion_number": 0.39}
)
rod.add(
    "one end held", ROD, ANSWER, "code:heat_serial", ("one tile", "domain boundary"),
    patches=(("append=T[-1]) / DX", "append=0.0) / DX"),),
)  # fmt: skip
rod.add(
    "one bit", ROD, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 43, "field": "T", "cell": [57], "bit": 10},),
)  # fmt: skip
rod.add(
    "a slow leak from step 31 on", ROD, ANSWER, NOTHING,
    faults=({"kind": "drift", "field": "T", "rate": -1e-8, "first": 31},),
)  # fmt: skip
rod.add(
    "a cell set to infinity", ROD, "blow-up", NOTHING, ("one tile", "box"),
    faults=({"kind": "overwritten", "step": 60, "field": "T", "cell": [5], "value": "inf"},),
)  # fmt: skip
rod.add(
    "a mixed-up sign in the start", ROD, "initial condition", "code:heat_serial",
    patches=(("Rod(1 + np.cos(np.pi * x))", "Rod(1 - np.cos(np.pi * x))"),),
)  # fmt: skip
CASES = tuple(rod.cases)
