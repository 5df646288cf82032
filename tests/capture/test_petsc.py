"""Solvers of the real PETSc, in the Python that Debian's python3-petsc4py is built for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

PLACES = sorted(Path("/usr/lib/petscdir").glob("*/*-real/lib/python3/dist-packages/petsc4py"))
INTERPRETER = Path("/usr/bin/python3")
ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json
from petsc4py import PETSc
import simckpt

ksp = PETSc.KSP().create()
ksp.setType("cg")
ksp.setTolerances(rtol=1e-9)
snes = PETSc.SNES().create()
snes.setTolerances(rtol=1e-7)
ts = PETSc.TS().create()
ts.setType("bdf")
ts.setTimeStep(0.1)
told = {"ksp": simckpt.describe(ksp), "snes": simckpt.describe(snes), "ts": simckpt.describe(ts)}

asked = simckpt.Numerics(solver=ksp, rtol=1e-9, max_iterations=200, extra={"time": ts})
with simckpt.run("x", numerics=asked) as run:
    ksp.getPC().setType("jacobi")
    run.checkpoint("set up")
    ksp.setTolerances(rtol=1e-3)
    run.checkpoint("loosened")
    ts.destroy()
    run.checkpoint("destroyed")
told["destroyed"] = simckpt.describe(ts)
with simckpt.open("x") as bundle:
    told["events"] = [e.text for e in bundle.events if e.name.startswith("numerics")]
    settings = bundle.document(bundle.checkpoints[-1].parts.numerics)
    told["effective"] = settings.effective
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not PLACES:
        pytest.skip("no petsc4py: apt-get install python3-petsc4py")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    asked = (str(INTERPRETER), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    if subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() != version:
        pytest.skip(f"{INTERPRETER} is not Python {version}, of which the other packages are")
    # Debian's petsc4py needs Debian's NumPy; what simckpt needs beside it comes last.
    path = (
        PLACES[-1].parent,
        "/usr/lib/python3/dist-packages",
        ROOT,
        sysconfig.get_path("purelib"),
    )
    done = subprocess.run(
        (str(INTERPRETER), "-W", "ignore", "-c", PROGRAM),
        cwd=tmp_path_factory.mktemp("petsc"),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_krylov_solver_tells_its_tolerances(told: dict[str, Any]) -> None:
    assert (told["ksp"]["solver"], told["ksp"]["rtol"]) == ("cg", 1e-9)


def test_a_solver_that_is_not_set_up_tells_what_it_knows(told: dict[str, Any]) -> None:
    assert told["snes"]["rtol"] == 1e-7
    assert told["snes"]["linear"]["rtol"] == 1e-5
    assert (told["ts"]["integrator"], told["ts"]["dt"]) == ("bdf", 0.1)


def test_a_destroyed_solver_is_named_and_does_not_end_the_process(told: dict[str, Any]) -> None:
    assert told["destroyed"]["unavailable"] == "ReferenceError: it was destroyed"


def test_a_run_holds_a_solver_against_what_was_asked_for(told: dict[str, Any]) -> None:
    assert told["effective"]["preconditioner"] == "jacobi"
    assert told["effective"]["time"]["integrator"] == "bdf"
    assert told["events"] == [
        "max_iterations was requested as 200 and is 10000 in effect",
        "rtol was requested as 1e-09 and is 0.001 in effect",
        "the settings of time cannot be read: ReferenceError: it was destroyed",
    ]
