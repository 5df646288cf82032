"""Where a test submits from: a folder of its own, with what its jobs left there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from slurm_cluster import OVER, Cluster, Job

from simckpt import Bundle
from simckpt import open as open_bundle
from simckpt.report.job_chain import Attempt

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = ROOT / "slurm"
DRIVERS = Path(__file__).resolve().parent / "drivers"
EXAMPLE = ROOT / "examples" / "kelvin_helmholtz.py"
TROUBLED = DRIVERS / "troubled.py"
SMALL = ("--n", "24", "--steps", "60", "--every", "3")
RESTART = ("--restart", "restart.npz", "--save-every", "5")


@dataclass
class Desk:
    """Where a test submits from, and what its jobs left there."""

    slurm: Cluster
    folder: Path
    bundle_path: Path = field(init=False)
    templates: Path = TEMPLATES

    def __post_init__(self) -> None:
        self.bundle_path = self.folder / "kh.simckpt.h5"

    def submit(
        self,
        template: str | Path,
        *words: str | Path,
        options: tuple[str, ...] = (),
        within: str = ".",
        **env: str,
    ) -> str:
        """``sbatch [options] template words`` in the folder `within`; the job's number."""
        folder = self.folder / within
        folder.mkdir(exist_ok=True)
        told = {"TELL_FOLDER": str(self.folder)} | env
        return self.slurm.sbatch(*options, self.templates / template, *words, cwd=folder, env=told)

    def run(
        self, template: str | Path, *words: str, options: tuple[str, ...] = (), **env: str
    ) -> str:
        """Submit the example on a machine with troubles; it records in kh.simckpt.h5."""
        return self.submit(
            *(template, "python", TROUBLED, *SMALL, *RESTART, *words),
            options=options,
            **{"SIMCKPT_BUNDLE": str(self.bundle_path)} | env,
        )

    def edited(self, template: str, line: str) -> Path:
        """A copy of a template with `line` at the place that is there to be edited."""
        copy = self.folder / template
        text = (self.templates / template).read_text()
        assert text.count("\ninside=()\n") == 1
        copy.write_text(text.replace("\ninside=()\n", f"\n{line}\ninside=()\n"))
        return copy

    def bundle(self) -> Bundle:
        return open_bundle(self.bundle_path)

    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the run, with their accounts where the cluster keeps them."""
        told = self.slurm.command("simckpt", "log", "--json", self.bundle_path).stdout
        return tuple(msgspec.convert(found, Attempt) for found in json.loads(told)["jobs"])

    def same_bits(self, other: Path) -> None:
        """The run's effective series has the steps of another's, and the bits in each column."""
        with self.bundle() as here, open_bundle(other) as there:
            a, b = here.series(), there.series()
            assert a.step.tolist() == b.step.tolist()
            assert a.t.tobytes() == b.t.tobytes()
            assert set(a) == set(b)
            for name in a:
                assert a[name].tobytes() == b[name].tobytes(), name
            for field in here.fields:
                assert np.array_equal(here.digests(field).values, there.digests(field).values)

    def output(self) -> str:
        """What all jobs printed."""
        return "\n".join(p.read_text() for p in sorted(self.folder.rglob("*.out")))

    def told(self) -> list[dict[str, Any]]:
        """What the ranks of tell.py told, by rank."""
        found = [json.loads(p.read_text()) for p in self.folder.glob("*told-*.json")]
        return sorted(found, key=lambda t: (int(t["job"]), t["rank"]))

    def saved_step(self) -> int:
        """The step of the restart file; -1 while there is none."""
        path = self.folder / "restart.npz"
        if not path.exists():
            return -1
        with np.load(path) as saved:
            return int(saved["step"])

    def reached(self, number: str, step: int, timeout: float = 150.0) -> Job:
        """Wait until a job's driver has saved its state at `step` or later."""
        job = self.slurm.until(
            number,
            lambda job: self.saved_step() >= step or job.state in OVER,
            f"at step {step}",
            timeout,
        )
        assert self.saved_step() >= step, self.output()
        return job
