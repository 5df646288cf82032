"""Real bundles on disk, written once for all tests of the command line."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "compare"))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """A folder with bundles: base, again (2 ranks), rate, short, blown, other (a field more)."""
    from recorded_twins import Setup, write

    folder = tmp_path_factory.mktemp("bundles")
    base = Setup(name="base", n=16, steps=24, every=2, checkpoint_every=8)
    for name, setup in {
        "base": base,
        "again": base.but(ranks=2),
        "rate": base.but(rate=0.6),
        "close": base.but(reordered=True),
        "short": base.but(steps=16),
        "blown": base.but(poison=9),
        "other": base.but(fields=("x", "y")),
        "restarted": base.but(restart=8),
    }.items():
        write(folder / f"{name}.simckpt.h5", setup.but(name=name))
    return folder
