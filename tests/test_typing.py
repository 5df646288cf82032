"""What a type checker sees of the public face, on the script of a user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import simckpt

SCRIPT = """
import numpy as np
from numpy.typing import NDArray

import simckpt


class Flow:
    t: float = 0.0
    rho: NDArray[np.float64] = np.ones(8)


@simckpt.step(
    grid=lambda flow: simckpt.Grid(8, spacing=0.5),
    fields=lambda flow: {"rho": flow.rho},
    conserved={"mass": "rho"},
    every=simckpt.MaxOverhead(0.01),
)
def advance(flow: Flow, dt: float) -> float:
    flow.t += dt
    return flow.t


@simckpt.run(
    "runs/{n}.simckpt.h5",
    intent=lambda n: simckpt.Intent(goal=f"{n} steps"),
    numerics={"cfl": 0.4},
    if_exists="rename",
    triggers=["drift(mass) > 1e-12", simckpt.Trigger("anomaly", actions=["recent_samples"])],
)
def main(n: int = 3) -> Flow:
    flow = Flow()
    while n > 0 and not simckpt.should_stop():
        n -= advance(flow, 0.1) > 0
    return flow


@simckpt.run
def bare(n: int) -> int:
    return n


with simckpt.run("x", durability="flush") as run:
    run.sample(fields={"rho": np.ones(8)}, grid=simckpt.Grid(8), conserved={"mass": "rho"}, step=1)
    run.event("remeshed", cells=8)
"""

USES = {
    "reveal_type(main)": "def (n: int =) -> ",
    "reveal_type(advance)": "dt: float) -> float",
    "reveal_type(bare)": "def (n: int) -> int",
    'simckpt.step(conservd={"mass": "rho"})': 'Unexpected keyword argument "conservd"',
    'simckpt.run("x", intnt="a goal")': "No overload variant",
    'simckpt.run("x", if_exists="new")': "No overload variant",
    "advance()": 'Missing positional arguments "flow", "dt"',
    'run.sample(conservd={"mass": "rho"})': 'Unexpected keyword argument "conservd"',
    "simckpt.Grid(8, spaceing=1)": 'has incompatible type "int"; expected "Never"',
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What ``mypy --strict`` says of each line that it says something of."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "script.py").write_text("\n".join([SCRIPT, *USES, ""]))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "script.py"]
    source = Path(simckpt.__file__).parents[1]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"MYPYPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said: dict[int, str] = {}
    for line in done.stdout.splitlines():
        place, _, text = line.partition(": ")
        if place.startswith("script.py:"):
            number = int(place.split(":")[1])
            said[number] = f"{said.get(number, '')}{text}\n"
    assert said, done.stdout + done.stderr
    return said


def test_a_script_that_uses_simckpt_is_sound(lines: dict[int, str]) -> None:
    end = SCRIPT.count("\n") + 1
    assert {number: text for number, text in lines.items() if number <= end} == {}


@pytest.mark.parametrize("use", USES)
def test_signatures_and_misspelt_keywords_are_known(lines: dict[int, str], use: str) -> None:
    number = SCRIPT.count("\n") + 2 + list(USES).index(use)
    assert USES[use] in lines[number]
