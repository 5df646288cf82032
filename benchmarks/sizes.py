"""How large a record is: one checkpoint at which only the state changed, and many samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import simckpt
from simckpt.recording.run import Run

from .timing import Ratio

FIELDS = ("rho", "mx", "my", "mz", "E")
CELLS = 512
"""As many as give each field the most tiles there are, 64."""

SAMPLES = 10_000
CHECKPOINTS = 100
KIB, MIB = 2**10, 2**20


def ratios() -> list[Ratio]:
    """Bytes as parts of what is promised."""
    with tempfile.TemporaryDirectory() as folder:
        journal, h5, rows = _checkpoint(Path(folder))
        series = _samples(Path(folder))
    return [
        Ratio("checkpoint beside its tile rows / 4 KiB", (journal - rows) / (4 * KIB), 1, None,
              f"{journal - rows:.0f} bytes in the journal"),
        Ratio("checkpoint / 4 KiB and its tile rows, in the .h5", h5 / (4 * KIB + rows), 1, None,
              f"{h5:.0f} bytes"),
        Ratio("10,000 samples of 5 fields / 50 MiB", series / (50 * MIB), 1, None,
              f"{series / MIB:.1f} MiB"),
    ]  # fmt: skip


class _Gas:
    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        self.fields = {name: 1.0 + self._rng.random(CELLS) for name in FIELDS}
        self.step = 0

    def move(self) -> None:
        for name in self.fields:
            self.fields[name] *= 1 + 1e-3 * self._rng.standard_normal(CELLS)
        self.step += 1

    def sample(self, run: Run) -> None:
        run.sample(
            step=self.step,
            t=0.1 * self.step,
            dt=0.1,
            grid=simckpt.Grid(CELLS),
            fields=self.fields,
            conserved={f"total_{name}": name for name in FIELDS},
            stability={"courant": simckpt.CFL("abs(mx/rho)")},
        )


def _checkpoint(folder: Path) -> tuple[float, float, int]:
    """Bytes that one checkpoint adds to the journal and the ``.h5``, and its tile rows."""
    path, gas = folder / "checkpoints", _Gas()
    with simckpt.run(path) as run:
        gas.sample(run)
        simckpt.checkpoint("first of its kind")
        before = after = 0
        for _ in range(CHECKPOINTS):
            gas.move()
            gas.sample(run)
            before += _journal(path)
            simckpt.checkpoint("state")
            after += _journal(path)
    rows = len(FIELDS) * 3 * 8 * _tiles(path)
    with_them = Path(f"{path}.simckpt.h5").stat().st_size
    without, gas = folder / "none", _Gas()
    with simckpt.run(without) as run:
        gas.sample(run)
        simckpt.checkpoint("first of its kind")
        for _ in range(CHECKPOINTS):
            gas.move()
            gas.sample(run)
    h5 = (with_them - Path(f"{without}.simckpt.h5").stat().st_size) / CHECKPOINTS
    return (after - before) / CHECKPOINTS, h5, rows


def _samples(folder: Path) -> int:
    path, gas = folder / "samples", _Gas()
    with simckpt.run(path) as run:
        for _ in range(SAMPLES):
            gas.sample(run)
            gas.move()
    return Path(f"{path}.simckpt.h5").stat().st_size


def _journal(path: Path) -> int:
    return Path(f"{path}.simckpt.journal").stat().st_size


def _tiles(path: Path) -> int:
    with simckpt.open(path) as bundle:
        return int(bundle.digests(FIELDS[0]).tiles.size)
