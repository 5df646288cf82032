"""Fixtures: the cluster, the drivers, and a folder from which a test submits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from slurm_cluster import Cluster, cluster, missing
from slurm_desk import EXAMPLE, ROOT, SMALL, Desk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the cluster, so that it can be left out by ``-m 'not slurm'``."""
    for item in items:
        if "slurm" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def slurm(kernel_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real cluster of three nodes, or a skip that says why not."""
    if problem := missing():
        pytest.skip(problem)
    commands = tmp_path_factory.mktemp("commands")
    # Where the package is run from a checkout without being installed.
    command = commands / "simckpt"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m simckpt.cli.main "$@"\n')
    command.chmod(0o755)
    path = (Path(sys.executable).parent, commands, os.environ["PATH"])
    environment = {
        "PATH": os.pathsep.join(map(str, path)),
        "PYTHONPATH": str(ROOT),
        "SIMCKPT_CACHE_DIR": str(kernel_cache),
        "NUMBA_CACHE_DIR": str(kernel_cache),
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    with cluster(environment) as up:
        yield up


@pytest.fixture(scope="session")
def unbroken(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run of the example on one rank that nothing interrupted."""
    folder = tmp_path_factory.mktemp("unbroken")
    subprocess.run(
        [sys.executable, EXAMPLE, *SMALL, "--bundle", "kh.simckpt.h5"],
        cwd=folder,
        env=slurm.environment,
        check=True,
        timeout=240,
    )
    return folder / "kh.simckpt.h5"


@pytest.fixture
def desk(slurm: Cluster, tmp_path: Path) -> Iterator[Desk]:
    """A folder to submit from; what a test leaves in the queue is cancelled."""
    yield Desk(slurm, tmp_path)
    slurm.clear()
