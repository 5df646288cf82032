"""The launcher's own idea of size and rank."""

from __future__ import annotations

import pytest

from simckpt.capture.jobs import launched_rank, launched_size

STEP = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "8"}


@pytest.mark.parametrize(
    ("variables", "size", "rank"),
    [
        ({}, None, None),
        ({"PMI_SIZE": "4", "PMI_RANK": "2"}, 4, 2),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0"}, 4, 0),
        ({"PMIX_RANK": "5"}, None, 5),
        (STEP, 8, 3),
        (STEP | {"SLURM_STEP_NUM_TASKS": "2"}, 2, 3),
        # A batch script has SLURM_NTASKS, but is one process.
        ({"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None, None),
        (STEP | {"SLURM_STEP_ID": "4294967291"}, None, None),
        # mpiexec inside a step is the nearer launcher.
        (STEP | {"SLURM_NTASKS": "1", "PMI_SIZE": "4", "PMI_RANK": "1"}, 4, 1),
        ({"PMI_SIZE": "nonsense"}, None, None),
    ],
)
def test_size_and_rank_are_read_from_the_launchers_variables(variables, size, rank):
    assert launched_size(variables) == size
    assert launched_rank(variables) == rank
