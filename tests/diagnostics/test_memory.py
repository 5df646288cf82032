"""What a sample needs beside the fields does not grow with them."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from simckpt import CFL, Cells, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

MIB = 2**20
DECLARED = Declarations(
    conserved={"s": "sqrt(f*f + g*g)/(2 + h*h)", "m": "f"},
    stability={"c": CFL("abs(f) + h", "abs(g)")},
)


def state_of(n):
    f = np.random.default_rng(1).normal(size=(n, n))
    grid = Grid((n, n), (0.1, np.linspace(1, 2, n)), where=f < 2)
    return State(grid, {"f": f, "g": f.T, "h": f[::-1].astype(">f4")}, dt=0.1)


def traced_peak(n):
    state = state_of(n)
    probe = RankSampler(DECLARED)
    probe.agree([probe.local_spec(state)])
    probe.measure(state)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        probe.finish(*probe.measure(state))
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_sample_allocates_the_same_little_for_any_size_of_field():
    small, large = traced_peak(256), traced_peak(1536)
    assert large < 4 * MIB
    assert large < small + MIB


def test_an_offer_makes_no_temporary_of_the_fields_size():
    state = state_of(1536)
    state.fields["f"][3, 4] = np.inf
    probe = RankSampler(DECLARED)
    tracemalloc.start()
    try:
        probe.local_spec(state)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["i4", ">i8", "u4", "strided"])
def test_ids_of_any_type_are_not_copied_whole(kind):
    n = 1_000_000
    ids = np.random.default_rng(1).permutation(n)
    if kind == "strided":
        given = np.zeros((n, 2), np.int64)[:, 0]
        given[:] = ids
    else:
        given = ids.astype(kind)
    values = np.random.default_rng(2).normal(size=n)
    readings = []
    for each in (ids, given):
        state = State(Cells(each, n), {"f": values})
        probe = RankSampler(Declarations(conserved={"m": "f*f"}))
        probe.agree([probe.local_spec(state)])
        probe.measure(state)
        tracemalloc.start()
        try:
            message = probe.measure(state)
            assert tracemalloc.get_traced_memory()[1] < 3 * MIB
        finally:
            tracemalloc.stop()
        readings.append(probe.finish(*message))
    assert readings[0].values.tobytes() == readings[1].values.tobytes()
    assert np.array_equal(readings[0].digests, readings[1].digests)


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from simckpt import CFL, Cells, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
def sample(n):
    f = np.ones((n, n))
    state = State(Grid((n, n)), {"f": f, "g": f.T, "h": f[::-1]}, dt=0.1)
    declared = Declarations(conserved={"s": "f*g + h"}, stability={"c": CFL("f", "g")})
    probe = RankSampler(declared)
    def peak():
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    before = peak()
    for _ in range(2):
        if not probe.agreed:
            probe.agree([probe.local_spec(state)])
        probe.finish(*probe.measure(state))
    assert not probe.faults
    return peak() - before
sample(64)
print(sample(int(sys.argv[1])))
"""


@pytest.mark.parametrize("n", [512, 2048])
def test_the_process_grows_by_less_than_four_mebibytes(n):
    # What tracemalloc cannot see, such as compiled code's own memory, is in the resident set.
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(n)], check=True, capture_output=True, text=True
    )
    assert int(ran.stdout) < 4 * MIB
