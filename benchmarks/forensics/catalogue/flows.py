"""The Kelvin-Helmholtz example: an Euler solver on MPI ranks."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family

FLOW = Program(
    driver="kelvin_helmholtz",
    arguments={
        "bundle": "run", "n": 128, "t_end": 10.0, "cfl": 0.4, "limiter": "mc", "seed": None,
        "every": 2, "steps": 20,
    },
    ranks=4,
)  # fmt: skip
EACH_STEP = FLOW.but(arguments={"every": 1})
ALONE = FLOW.but(ranks=0, arguments={"n": 64})
BANDS = EACH_STEP.but(ranks=2)
SEEDED = FLOW.but(arguments={"seed": 1})


flow = Family("flow:")
flow.add("limiter", FLOW, ANSWER, "*:limiter", arguments={"limiter": "minmod"})
flow.add("Courant number", FLOW, "time base", "*:cfl", arguments={"cfl": 0.38})
flow.add("Courant number, by 2e-6", FLOW, "time base", "*:cfl", arguments={"cfl": 0.400001})
flow.add("noise seed set", FLOW, "initial condition", "*:seed", arguments={"seed": 1})
flow.add("another noise seed", SEEDED, "initial condition", "*:seed", arguments={"seed": 2})
flow.add(
    "patched flux", ALONE, ANSWER, "code:kelvin_helmholtz",
    patches=(("s_l, s_r = min(u_l - c_l, u_r - c_r), max(u_l + c_l, u_r + c_r)",
              "s_l, s_r = min(u_l - c_l, u_r - c_r), max(u_l + c_l, u_r + c_r) * 1.01"),),
)  # fmt: skip
flow.add(
    "patched flux, other rounding", ALONE, ("roundoff, bounded", "roundoff, growing"),
    "code:kelvin_helmholtz",
    patches=(("q_l, q_r = rho_l * (s_l - u_l), rho_r * (s_r - u_r)",
              "q_l, q_r = rho_l * s_l - rho_l * u_l, rho_r * s_r - rho_r * u_r"),),
)  # fmt: skip
flow.add(
    "patched integrator", ALONE, ANSWER, "code:kelvin_helmholtz",
    patches=(("((0.0, 1.0), (3 / 4, 1 / 4), (1 / 3, 2 / 3))",
              "((0.0, 1.0), (1 / 2, 1 / 2))"),),
)  # fmt: skip
flow.add(
    "halo exchange missed every 5th step", BANDS, "decomposition or halo", NOTHING,
    "rank borders", faults=({"kind": "missed exchange", "each": 5},),
)  # fmt: skip
flow.add(
    "halo exchange missed every 8th step, 4 ranks", EACH_STEP.but(arguments={"n": 256}),
    "decomposition or halo", NOTHING, "rank borders",
    faults=({"kind": "missed exchange", "each": 8},),
)  # fmt: skip
flow.add(
    "halos in single precision", BANDS, "decomposition or halo", "code:kelvin_helmholtz",
    "rank borders",
    patches=(("ghosts[...] = received", "ghosts[...] = received.astype(np.float32)"),),
)  # fmt: skip
flow.add(
    "one bit of the energy", EACH_STEP, "local event", NOTHING, "one tile",
    faults=({"kind": "flipped bit", "step": 12, "field": "E", "cell": [40, 80], "bit": 30},),
)  # fmt: skip
flow.add(
    "a high bit of the density", FLOW, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 7, "field": "rho", "cell": [100, 45], "bit": 50},),
)  # fmt: skip
flow.add(
    "one rank in single precision", EACH_STEP, "local event", NOTHING, ("one rank", "box"),
    faults=({"kind": "rank in single precision", "of": 2, "field": "mx", "first": 9},),
)  # fmt: skip
flow.add(
    "restart from single precision", EACH_STEP, "restart seam", "restarts:at",
    stop={"step": 10, "precision": "float32"},
)  # fmt: skip
flow.add("stale restart", EACH_STEP, "restart seam", "restarts:at", stop={"step": 10, "saved": 8})
flow.add(
    "slow gain of energy", FLOW, ANSWER, NOTHING,
    faults=({"kind": "drift", "field": "E", "rate": 1e-9},),
)  # fmt: skip
flow.add(
    "a NaN", EACH_STEP, "blow-up", NOTHING, ("one tile", "box"),
    faults=({"kind": "overwritten", "step": 9, "field": "E", "cell": [70, 20], "value": "nan"},),
)  # fmt: skip
flow.add(
    "perturbed start", FLOW, "initial condition", NOTHING,
    faults=({"kind": "perturbed start", "field": "rho", "amplitude": 1e-8},),
)  # fmt: skip
flow.add(
    "another ratio of specific heats", ALONE, ANSWER,
    "code:kelvin_helmholtz", patches=(("GAMMA = 5 / 3", "GAMMA = 1.4"),),
)  # fmt: skip
flow.add(
    "fewer cells",
    ALONE,
    "resolution",
    "*:n",
    arguments={"n": 48},
)
flow.add(
    "restart with another limiter", EACH_STEP, ANSWER, "*:*limiter", stop={"step": 12},
    then={"limiter": "minmod"},
)  # fmt: skip
flow.add(
    "restart with another Courant number", EACH_STEP, "time base", "*:*cfl", stop={"step": 12},
    then={"cfl": 0.35},
)  # fmt: skip
CASES = tuple(flow.cases)
