"""Makes the runs of `recorded_twins` importable by the tests of this folder, and a smallest run."""

import sys
from pathlib import Path

import pytest

from simckpt.bundle.writer import BundleWriter
from simckpt.model.documents import Manifest, Stage
from simckpt.model.series import Checkpoint, Parts, RunOpened, Segment

sys.path.append(str(Path(__file__).parents[1] / "compare"))


@pytest.fixture(scope="session")
def one_checkpoint():
    """Write a run of one job attempt and one checkpoint: `one_checkpoint(path, command, folder)`.

    Keywords go to its `Segment`.
    """

    def write(path: Path, command: tuple[str, ...], folder: str, **segment: object) -> None:
        opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
        with BundleWriter.create(path, opened) as writer:
            manifest = writer.store(
                Manifest(
                    stage=Stage(),
                    command=command,
                    working_directory=folder,
                    driver="main",
                    parameters={},
                )
            )
            writer.append(Segment(index=0, started=0.0, **{"ranks": 1, **segment}))
            writer.commit(
                Checkpoint(
                    parents=(),
                    segment=0,
                    index=0,
                    label="x",
                    reason="start",
                    step=0,
                    t=None,
                    wall=0.0,
                    parts=Parts(manifest=manifest),
                )
            )

    return write
