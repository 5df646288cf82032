"""Capturing loads no heavy package of its own accord."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from simckpt.capture import artifacts, configuration, environment, jobs, manifest, rng, values
from simckpt.capture.solvers import describe
from simckpt.model.documents import Stage
manifest.capture_manifest(
    driver="x", parameters={"n": 1}, inputs=[], outputs=[], stage=Stage(), upstream=[]
)
environment.capture_environment()
rng.capture_random({"seed": 1})
describe.describe({"a": 1})
print(sorted({"numpy", "numba", "h5py", "mpi4py", "scipy"} & set(sys.modules)))
"""


def test_no_heavy_package_is_loaded_by_capturing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
