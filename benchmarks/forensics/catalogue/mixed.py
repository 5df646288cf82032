"""One thing changed that matters, or a fault nobody recorded, beside what cannot matter."""

from __future__ import annotations

from ..case import ANSWER, NOTHING
from .clusters import STARS
from .family import Family
from .flows import BANDS, EACH_STEP, FLOW
from .gas import GAS, settings
from .noisy import NOISE
from .plates import LOOSE, PLATE, ROUNDOFF
from .rods import ROD

ELSEWHERE = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8"}
OTHERLIB = {"platelib": "1.0", "otherlib": "2.0"}

mixed = Family("mixed:")
mixed.add(
    "limiter, and fewer ranks elsewhere", FLOW, ANSWER, "*:limiter",
    arguments={"limiter": "minmod", "bundle": "other"}, ranks=2, environment=ELSEWHERE, host="n17",
)  # fmt: skip
mixed.add(
    "one bit, and fewer ranks elsewhere", EACH_STEP, "local event", NOTHING, ("one tile", "box"),
    faults=({"kind": "flipped bit", "step": 6, "field": "my", "cell": [90, 20], "bit": 48},),
    ranks=2, environment=ELSEWHERE, goal="the same for another reason",
)  # fmt: skip
mixed.add(
    "tolerance, and another package", PLATE, ANSWER, "*:rtol", arguments={"rtol": 1e-5},
    packages=OTHERLIB, environment=PLATE.environment | {"PYTHONHASHSEED": "3"},
)  # fmt: skip
mixed.add(
    "package version, and another package", PLATE, ANSWER, "packages:platelib",
    packages={"platelib": "1.1", "otherlib": "2.0"}, host="n17",
)  # fmt: skip
mixed.add(
    "BLAS threads, and another package", PLATE, ROUNDOFF,
    ("environment:*OPENBLAS_NUM_THREADS", "environment:blas*"),
    packages=OTHERLIB, environment=ELSEWHERE | {"OPENBLAS_NUM_THREADS": "2"},
)  # fmt: skip
mixed.add(
    "one bit of the noise, and another time zone", NOISE, "local event", NOTHING,
    ("one tile", "box", "plane"), environment=ELSEWHERE,
    faults=({"kind": "flipped bit", "step": 9, "field": "phi", "cell": [10, 100], "bit": 45},),
)  # fmt: skip
mixed.add(
    "diffusion number, in another folder", ROD, "time base", "*:diffusion_number",
    arguments={"diffusion_number": 0.37}, folder="deep/er", files={"notes.txt": "nothing"},
)  # fmt: skip
mixed.add(
    "restart from single precision, elsewhere", EACH_STEP, "restart seam", "restarts:at",
    stop={"step": 8, "precision": "float32"}, host="n17", environment=ELSEWHERE,
)  # fmt: skip
mixed.add(
    "limiter of the gas, and threads", GAS, ANSWER, "numerics:*limiter",
    faults=settings(compressible__limiter=0), environment=ELSEWHERE | {"OMP_NUM_THREADS": "2"},
)  # fmt: skip
mixed.add(
    "missed halos, and another time zone", BANDS, "decomposition or halo", NOTHING,
    "rank borders", faults=({"kind": "missed exchange", "each": 3},), environment=ELSEWHERE,
)  # fmt: skip
mixed.add(
    "unordered sum, and another package", LOOSE, ROUNDOFF, NOTHING,
    packages=OTHERLIB, environment=LOOSE.environment | ELSEWHERE,
)  # fmt: skip
mixed.add(
    "seed, and threads that it does not use", STARS, "initial condition", "*:*seed*",
    arguments={"seed": 3}, environment={"OPENBLAS_NUM_THREADS": "2"}, host="n17",
)  # fmt: skip
mixed.add(
    "a NaN, and fewer ranks", EACH_STEP, "blow-up", NOTHING, ("one tile", "box"), ranks=2,
    faults=({"kind": "overwritten", "step": 5, "field": "rho", "cell": [9, 99], "value": "nan"},),
)  # fmt: skip
CASES = tuple(mixed.cases)
