"""Few samples and few tiles, as most runs are recorded: what spreads in between is seen late."""

from __future__ import annotations

from ..case import ANSWER, NOTHING
from .clusters import STARS
from .family import Family
from .flows import FLOW
from .noisy import BY_ROW, NOISE
from .plates import EXPLICIT, PLATE, ROUNDOFF
from .rods import ROD

SPARSE = FLOW.but(arguments={"n": 64, "every": 10, "steps": 60})
COARSE = ROD.but(every=25)
CLUSTER = STARS.but(every=20)

sparse = Family("sparse:")
sparse.add(
    "one bit", SPARSE, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 37, "field": "E", "cell": [20, 40], "bit": 46},),
)  # fmt: skip
sparse.add(
    "one bit, long before the sample", SPARSE, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 32, "field": "mx", "cell": [50, 10], "bit": 49},),
)  # fmt: skip
sparse.add("limiter", SPARSE, ANSWER, "*:limiter", arguments={"limiter": "minmod"})
sparse.add("Courant number", SPARSE, "time base", "*:cfl", arguments={"cfl": 0.39})
sparse.add(
    "restart from single precision", SPARSE, "restart seam", "restarts:at",
    stop={"step": 30, "precision": "float32"},
)  # fmt: skip
sparse.add(
    "restart between samples", SPARSE, "restart seam", "restarts:at",
    stop={"step": 34, "precision": "float32"},
)  # fmt: skip
sparse.add(
    "an infinity between samples", COARSE, "blow-up", NOTHING, ("one tile", "box"),
    faults=({"kind": "overwritten", "step": 33, "field": "T", "cell": [60], "value": "inf"},),
)  # fmt: skip
sparse.add(
    "one rank in single precision", SPARSE, "local event", NOTHING, ("one rank", "box"),
    faults=({"kind": "rank in single precision", "of": 1, "field": "E", "first": 40},),
)  # fmt: skip
sparse.add(
    "slow loss of energy from step 25", SPARSE, ANSWER, NOTHING,
    faults=({"kind": "drift", "field": "E", "rate": -1e-9, "first": 25},),
)  # fmt: skip
sparse.add(
    "sum in another order", CLUSTER, ROUNDOFF, "code:nbody",
    patches=(("(away**2).sum(axis=2)", "(away[..., ::-1] ** 2).sum(axis=2)"),),
)  # fmt: skip
sparse.add("step length", CLUSTER, "time base", "*:dt", arguments={"dt": 0.0098})
sparse.add(
    "one bit of a rod", COARSE, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 61, "field": "T", "cell": [30], "bit": 45},),
)  # fmt: skip
sparse.add(
    "one end held", COARSE, ANSWER, "code:heat_serial", ("box", "domain boundary"),
    patches=(("append=T[-1]) / DX", "append=0.0) / DX"),),
)  # fmt: skip
sparse.add(
    "subnormal numbers flushed", EXPLICIT.but(arguments={"width": 0.02, "every": 20}),
    "roundoff, bounded", "environment:floating_point*", faults=({"kind": "flush to zero"},),
)  # fmt: skip
sparse.add(
    "tolerance", PLATE.but(arguments={"every": 8}), ANSWER, "*:rtol", arguments={"rtol": 1e-7}
)
sparse.add(
    "fewer ranks, streams by row", BY_ROW.but(arguments={"every": 6}), ROUNDOFF, "ranks:*", ranks=2
)
sparse.add(
    "one rank's stream is another", NOISE.but(arguments={"every": 8}), ("local event", ANSWER),
    "random:*", faults=({"kind": "wrong stream", "of": 3, "seed": 5},),
)  # fmt: skip
sparse.add("seed", NOISE.but(arguments={"every": 8}), ANSWER, "*:*seed*", arguments={"seed": 9})
CASES = tuple(sparse.cases)
