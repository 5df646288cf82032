"""Kernels are compiled once however many processes start at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from simckpt.diagnostics import kernel_cache as warming
from simckpt.diagnostics.local_sweep import warm_kernels

PROGRAM = """
import numpy as np
from simckpt import Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
from simckpt.diagnostics.kernels import sweep
probe = RankSampler(Declarations(conserved={"mass": "rho"}))
state = State(Grid(4), {"rho": np.ones(4)})
probe.agree([probe.local_spec(state)])
assert probe.finish(*probe.measure(state))["mass"] == 4
assert not probe.faults, probe.faults
print(sum(sweep.sweep.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_of_four_processes_on_an_empty_cache_one_compiles(tmp_path):
    environment = {**os.environ, "SIMCKPT_CACHE_DIR": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    misses = [int(p.communicate(timeout=200)[0]) for p in running]
    assert [p.returncode for p in running] == [0] * 4
    assert sorted(misses) == [0, 0, 0, 1]


def test_who_comes_second_waits_and_then_goes_in(tmp_path):
    lock = tmp_path / "lock"
    program = f"""
from pathlib import Path
from simckpt.diagnostics.kernel_cache import one_at_first
with one_at_first(Path({str(lock)!r})):
    Path({str(tmp_path / "in")!r}).touch()
"""
    with warming.one_at_first(lock):
        other = subprocess.Popen([sys.executable, "-c", program])
        time.sleep(1.0)
        assert not (tmp_path / "in").exists()
    assert other.wait(timeout=60) == 0
    assert (tmp_path / "in").exists()


def test_nobody_waits_for_ever(tmp_path):
    lock = tmp_path / "lock"
    with warming.one_at_first(lock):
        begin = time.monotonic()
        with warming.one_at_first(lock, patience=0.2):
            pass
        assert time.monotonic() - begin < 30


def test_a_place_that_cannot_be_locked_keeps_nobody_out(tmp_path):
    with warming.one_at_first(tmp_path / "missing" / "lock"):
        entered = True
    assert entered


def test_kernels_can_be_made_ready_beforehand():
    assert warm_kernels() >= 0


def test_each_version_of_the_kernels_has_a_folder_of_its_own(tmp_path, monkeypatch):
    from simckpt.diagnostics import kernel_cache as cache

    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path))
    before = cache.cache_folder()
    assert before.parent == tmp_path
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "folds.py").write_text("changed")
    monkeypatch.setattr(cache, "KERNELS", kernels)
    cache.source_hash.cache_clear()
    try:
        assert cache.cache_folder() != before
    finally:
        cache.source_hash.cache_clear()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "SIMCKPT_CACHE_DIR": str(tmp_path / "file" / "below")}
    program = "from simckpt.diagnostics.kernels.sums import normalise; import numpy as np; "
    program += "normalise(np.zeros(70, np.int64))"
    environment["NUMBA_CACHE_DIR"] = ""
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)
