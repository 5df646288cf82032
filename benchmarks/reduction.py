"""What a sample's reduction takes on two ranks here, and on many by the model from it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np

from simckpt import CFL, Grid
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State

from .timing import Ratio

RANKS = (64, 1024, 16_384, 100_000)
SHARES = (0.0, 0.25, 0.5, 1.0)
"""Of the sample's message: between nothing and all of it lies the line of the model."""


def ratios() -> list[Ratio]:
    """Milliseconds: a hop, and a binomial tree of hops."""
    words, pairs = message()
    sizes = [(max(1, int(words * s)), max(1, int(pairs * s))) for s in SHARES]
    launcher = Path(sys.executable).parent / "mpiexec"
    done = subprocess.run(
        [
            launcher,
            "-n",
            "2",
            sys.executable,
            "-m",
            "benchmarks.hop",
            *(f"{w},{p}" for w, p in sizes),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    times = json.loads(done.stdout)
    seconds = [times[f"{w},{p}"] for w, p in sizes]
    kilobytes = [(8 * w + 16 * p) / 1e3 for w, p in sizes]
    slope, latency = np.polyfit(kilobytes, seconds, 1)
    hop = latency + slope * kilobytes[-1]
    detail = f"{latency * 1e6:.1f} us and {slope * 1e6:.2f} us a KB"
    lines = [
        Ratio(
            f"reduction of a sample, {kilobytes[-1]:.0f} KB, 2 ranks: ms",
            hop * 1e3,
            None,
            None,
            detail,
        )
    ]
    for ranks in RANKS:
        depth = math.ceil(math.log2(ranks))
        what = f"the same on {ranks:,} ranks, by a binomial tree of such hops: ms"
        lines.append(Ratio(what, depth * hop * 1e3, None, None, f"{depth} hops, not measured"))
    return lines


def message() -> tuple[int, int]:
    """Sums and maxima of a sample of five fields, four integrals and a Courant number."""
    fields = {name: np.ones((512, 512)) for name in ("rho", "mx", "my", "E", "p")}
    conserved = {name: name for name in ("rho", "mx", "my", "E")}
    declarations = Declarations(
        conserved={f"total_{name}": name for name in conserved},
        stability={"courant": CFL("abs(mx/rho)")},
    )
    state = State(Grid((512, 512)), fields)
    probe = RankSampler(declarations)
    probe.agree([probe.local_spec(state)])
    sums, maxima = probe.blank()
    return sums.size, maxima.size
