"""pyro's compressible solver, recorded from outside."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family

GAS = Program(
    driver="pyro_compressible",
    arguments={"n": 64, "t_end": 0.12, "problem": "kh", "cfl": 0.8, "every": 1, "bundle": "run"},
)


def settings(**told: object) -> tuple[dict[str, object], ...]:
    """Runtime parameters; an underscore pair stands for the dot in their names."""
    return ({"kind": "solver settings"} | {k.replace("__", "."): v for k, v in told.items()},)


gas = Family("gas:")
gas.add("limiter", GAS, ANSWER, "numerics:*limiter", faults=settings(compressible__limiter=1))
gas.add("Courant number", GAS, "time base", "*:cfl", arguments={"cfl": 0.7})
gas.add(
    "Riemann solver", GAS, ANSWER, ("numerics:solver", "numerics:*riemann"),
    faults=settings(compressible__riemann="CGF"),
)  # fmt: skip
gas.add(
    "dt limit", GAS, "time base", "numerics:*max_dt_change",
    faults=settings(driver__max_dt_change=1.2),
)  # fmt: skip
gas.add(
    "boundary condition on one side", GAS.but(arguments={"problem": "quad"}), ANSWER,
    ("numerics:*y*b*",), ("plane", "box", "one tile", "domain boundary"),
    faults=settings(mesh__yrboundary="reflect"),
)  # fmt: skip
gas.add(
    "initial velocity", GAS, "initial condition", "numerics:*u_1",
    faults=settings(kh__u_1=-1.001),
)  # fmt: skip
gas.add(
    "artificial viscosity", GAS, ANSWER, "numerics:*cvisc",
    faults=settings(compressible__cvisc=0.2),
)  # fmt: skip
gas.add(
    "one bit of the momentum", GAS, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 9, "field": "mx", "cell": [20, 40], "bit": 44},),
)  # fmt: skip
gas.add("another problem", GAS, "initial condition", "*:problem", arguments={"problem": "sod"})
CASES = tuple(gas.cases)
