"""The star cluster: particles, and a chaotic system."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family

STARS = Program(
    driver="nbody",
    arguments={"stars": 100, "t_end": 0.8, "dt": 0.01, "seed": 1, "bundle": "run"},
    every=2,
)
ROUNDOFF = ("roundoff, bounded", "roundoff, growing")

stars = Family("stars:")
stars.add("seed", STARS, "initial condition", "*:*seed*", arguments={"seed": 2})
stars.add("step length", STARS, "time base", "*:dt", arguments={"dt": 0.0099})
stars.add(
    # The potential that is recorded at step 0 is softened too.
    "softening", STARS, ANSWER, "code:nbody",
    patches=(("\nSOFTENING = 0.05", "\nSOFTENING = 0.051"),),
)  # fmt: skip
stars.add(
    "half a kick forgotten", STARS, ANSWER, "code:nbody",
    patches=(("    cluster.attract()\n    cluster.v += 0.5 * dt * cluster.acceleration\n",
              "    cluster.attract()\n    cluster.v += 0.499 * dt * cluster.acceleration\n"),),
)  # fmt: skip
stars.add(
    "sum in another order", STARS, ROUNDOFF, "code:nbody",
    patches=(("(away**2).sum(axis=2)", "(away[..., ::-1] ** 2).sum(axis=2)"),),
)  # fmt: skip
stars.add(
    "processor features switched off", STARS, ROUNDOFF, "environment:*NPY_DISABLE_CPU_FEATURES",
    environment={"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3"},
)  # fmt: skip
stars.add("one star more", STARS, "resolution", "*:stars", arguments={"stars": 101})
stars.add(
    "positions moved by 1e-13", STARS, ("initial condition", *ROUNDOFF), NOTHING,
    faults=({"kind": "perturbed start", "field": "particles.x", "amplitude": 1e-13},),
)  # fmt: skip
stars.add(
    "slow loss of speed", STARS, ANSWER, NOTHING,
    faults=({"kind": "drift", "field": "particles.vx", "rate": -1e-7},),
)  # fmt: skip
CASES = tuple(stars.cases)
