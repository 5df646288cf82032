"""The stochastic equation on MPI ranks: seeds, streams, and how the field is spread."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family

NOISE = Program(driver="noise", arguments={"bundle": "run", "n": 128}, ranks=4)
BY_ROW = NOISE.but(arguments={"streams": "row", "steps": 12})
ROUNDOFF = ("roundoff, bounded", "roundoff, growing")

noise = Family("noise:")
noise.add("seed", NOISE, ANSWER, "*:*seed*", arguments={"seed": 2})
noise.add(
    "offset of the ranks' seeds", NOISE, ANSWER, ("*:rank_offset", "random:*"),
    arguments={"rank_offset": 4},
)  # fmt: skip
noise.add(
    "one rank's stream is another", NOISE, (ANSWER, "local event"), ("random:*",),
    ("one rank", "box"), faults=({"kind": "wrong stream", "of": 2, "seed": 77},),
)  # fmt: skip
noise.add(
    "kind of generator", NOISE, ANSWER, ("numerics:rng", "random:*"),
    arguments={"bits": "Philox"},
)  # fmt: skip
noise.add("fewer ranks", NOISE, ANSWER, "ranks:*", ranks=2)
noise.add("fewer ranks, streams by row", BY_ROW, ROUNDOFF, "ranks:*", ranks=3)
noise.add(
    "uneven decomposition", BY_ROW, ROUNDOFF, ("ranks:*", "numerics:cut"),
    arguments={"cut": "uneven"},
)  # fmt: skip
noise.add(
    "restart without the generators", NOISE, "restart seam", "restarts:at",
    stop={"step": 12, "without": ["generator"]},
)  # fmt: skip
noise.add("temperature", NOISE, ANSWER, "*:temperature", arguments={"temperature": 0.021})
noise.add("mean not held", NOISE, ANSWER, "*:hold_mean", arguments={"hold_mean": False})
noise.add(
    "one bit on one rank", NOISE, "local event", NOTHING, ("one tile", "box", "plane", "one rank"),
    faults=({"kind": "flipped bit", "step": 15, "field": "phi", "cell": [50, 60], "bit": 40},),
)  # fmt: skip
CASES = tuple(noise.cases)
