"""Where a test submits from: a folder of its own, with what its jobs left there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from slurm_cluster import OVER, Cluster, Job

from simckpt.bundle.reader import Bundle, open_bundle

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = ROOT / "slurm"
DRIVERS = Path(__file__).resolve().parent / "drivers"


@dataclass
class Desk:
    """Where a test submits from, and what its jobs left there."""

    slurm: Cluster
    folder: Path

    def submit(
        self, template: str, *words: str | Path, options: tuple[str, ...] = (), **env: str
    ) -> str:
        """``sbatch [options] template words``; the job's number."""
        told = {"TELL_FOLDER": str(self.folder)} | env
        return self.slurm.sbatch(
            "--output=%x-%A.%a.out" if template == "array.sbatch" else "--output=%x-%j.out",
            *options,
            TEMPLATES / template,
            *words,
            cwd=self.folder,
            env=told,
        )

    def heat(self, template: str, *words: str, options: tuple[str, ...] = (), **env: str) -> str:
        """Submit the driver that restarts; it records in heat.simckpt.h5."""
        bundle = {"SIMCKPT_BUNDLE": str(self.bundle_path)}
        return self.submit(
            template, "python", DRIVERS / "heat.py", *words, options=options, **bundle | env
        )

    @property
    def bundle_path(self) -> Path:
        return self.folder / "heat.simckpt.h5"

    def bundle(self) -> Bundle:
        return open_bundle(self.bundle_path)

    def output(self) -> str:
        """What all jobs printed."""
        return "\n".join(p.read_text() for p in sorted(self.folder.glob("*.out")))

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
