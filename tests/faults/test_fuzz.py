"""Mutated and forged bundles: an error or a correct read, in bounded memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FUZZER = Path(__file__).with_name("fuzz_reader.py")
MEMORY = 256 << 20


def fuzz(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """How `count` reads ended; a child reads, so that a crash is seen and memory is bounded."""
    done = subprocess.run(
        [sys.executable, FUZZER, folder, str(seed), str(count)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(FUZZER.parents[2]), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stderr[-4000:]}"
    ends = json.loads(done.stdout)
    assert ends.pop("peak") < MEMORY
    assert sum(ends.values()) == count
    return ends


def test_mutated_bundles_end_in_an_error_or_a_correct_read(tmp_path: Path) -> None:
    ends = fuzz(tmp_path, 1, 600)
    assert min(ends["error"], ends["read"], ends["forged and read"]) > 10


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_mutated_bundles_end_in_an_error_or_a_correct_read(
    tmp_path: Path,
) -> None:
    for seed in range(100, 140):
        fuzz(tmp_path, seed, 2500)
