"""The plate: an implicit solver with tolerances, files, a package, threads and restarts."""

from __future__ import annotations

from ..case import ANSWER, NOTHING, Program
from .family import Family


def conductivities(first: float) -> str:
    """An 8 x 8 table."""
    rows = [[1.0 + 0.05 * ((3 * i + 5 * j) % 7) for j in range(8)] for i in range(8)]
    rows[3][3] = first
    return "\n".join(" ".join(f"{v:.4f}" for v in row) for row in rows)


def temperatures(peak: float) -> str:
    """A 128 x 128 table with a block of heat."""
    rows = [
        [peak if 40 <= i < 60 and 50 <= j < 70 else 0.1 for j in range(128)] for i in range(128)
    ]
    return "\n".join(" ".join(f"{v:.6f}" for v in row) for row in rows)


PLATE = Program(
    driver="plate",
    arguments={"bundle": "run", "steps": 16},
    packages={"platelib": "1.0", "otherlib": "1.0"},
    environment={"OPENBLAS_NUM_THREADS": "1"},
)
TABLED = PLATE.but(
    arguments={"conductivity": "conductivity.txt", "initial": "start.txt"},
    files={"conductivity.txt": conductivities(1.2), "start.txt": temperatures(1.0)},
)
EXPLICIT = PLATE.but(arguments={"scheme": "explicit", "dt": 0.1, "steps": 60, "every": 2})
GROWING = EXPLICIT.but(arguments={"dt": 0.02, "dt_max": 0.1})
LOOSE = PLATE.but(faults=({"kind": "unordered sum"},))

ROUNDOFF = ("roundoff, bounded", "roundoff, growing")

plate = Family("plate:")
plate.add("tolerance", PLATE, ANSWER, "*:rtol", arguments={"rtol": 1e-6})
plate.add("iteration limit", PLATE, ANSWER, "*:max_iterations", arguments={"max_iterations": 4})
plate.add(
    "preconditioner", PLATE, (ANSWER, *ROUNDOFF), "*:preconditioner",
    arguments={"preconditioner": "jacobi"},
)  # fmt: skip
plate.add("single precision", PLATE, "precision", "*:precision", arguments={"precision": "float32"})
plate.add(
    "conductivity in the input file", TABLED, ANSWER, "inputs:conductivity.txt",
    files=TABLED.files | {"conductivity.txt": conductivities(1.3)},
)  # fmt: skip
plate.add(
    "temperature in the input file", TABLED, "initial condition", "inputs:start.txt",
    files=TABLED.files | {"start.txt": temperatures(1.00001)},
)  # fmt: skip
plate.add(
    "BLAS threads", PLATE, ROUNDOFF, ("environment:*OPENBLAS_NUM_THREADS", "environment:blas*"),
    environment={"OPENBLAS_NUM_THREADS": "2"},
)  # fmt: skip
plate.add(
    "BLAS kernel", PLATE, ROUNDOFF, ("environment:*OPENBLAS_CORETYPE", "environment:blas*"),
    environment={"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"},
)  # fmt: skip
plate.add(
    "subnormal numbers flushed", EXPLICIT.but(arguments={"width": 0.02}), "roundoff, bounded",
    "environment:floating_point*",
    faults=({"kind": "flush to zero"},),
)  # fmt: skip
plate.add(
    "package version", PLATE, ANSWER, "packages:platelib",
    packages={"platelib": "1.1", "otherlib": "1.0"},
)  # fmt: skip
plate.add(
    "one side held", EXPLICIT.but(arguments={"width": 0.2}), ANSWER, "*:sides*",
    ("plane", "domain boundary"),
    arguments={"sides": ["insulated", "fixed", "insulated", "insulated"]},
)  # fmt: skip
plate.add("dt limit", GROWING, "time base", "*:dt_max", arguments={"dt_max": 0.08})
plate.add(
    "wrong units", PLATE, ANSWER, "*:conductivity_unit", arguments={"conductivity_unit": 0.01}
)
plate.add(
    "threads add in any order",
    LOOSE,
    ROUNDOFF,
    NOTHING,
    take=1,
)
plate.add(
    "heater on at another step", EXPLICIT.but(arguments={"switch_on": 30}), (ANSWER, "local event"),
    "*:switch_on", ("one tile", "box"), arguments={"switch_on": 40},
)  # fmt: skip
plate.add(
    "restart from single precision", PLATE, "restart seam", "restarts:at",
    stop={"step": 8, "precision": "float32"},
)  # fmt: skip
plate.add("stale restart", EXPLICIT, "restart seam", "restarts:at", stop={"step": 30, "saved": 26})
plate.add("initial width", PLATE, "initial condition", "*:width", arguments={"width": 0.0500001})
CASES = tuple(plate.cases)
