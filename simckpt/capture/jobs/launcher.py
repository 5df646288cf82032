"""How many ranks the launcher started, and which one this is, without asking MPI.

A program that was built for one MPI and is started by another's ``mpiexec`` runs as N
programs of one rank each, and nothing fails; the launcher's own variables tell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# The launcher nearest to the program wins: an mpiexec inside a SLURM step sets its own.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_NRANKS", "MPI_NRANKS")
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PALS_RANKID", "PMIX_RANK")

_FIRST_SPECIAL_STEP = 4_294_967_290
"""SLURM numbers the batch script and interactive steps from here."""


def launched_size(variables: Mapping[str, str] = os.environ) -> int | None:
    """Ranks that the launcher started; None where no launcher can be seen."""
    for name in _SIZES:
        size = _number(variables, name)
        if size:
            return size
    if _in_slurm_step(variables):
        return _number(variables, "SLURM_STEP_NUM_TASKS") or _number(variables, "SLURM_NTASKS")
    return None


def launched_rank(variables: Mapping[str, str] = os.environ) -> int | None:
    """This process's rank as the launcher numbers it; None where no launcher can be seen."""
    for name in _RANKS:
        rank = _number(variables, name)
        if rank is not None:
            return rank
    return _number(variables, "SLURM_PROCID") if _in_slurm_step(variables) else None


def _in_slurm_step(variables: Mapping[str, str]) -> bool:
    """Whether srun started this process: a batch script has SLURM_NTASKS too, but is one."""
    step = _number(variables, "SLURM_STEP_ID")
    if step is None or step >= _FIRST_SPECIAL_STEP:
        return False
    return _number(variables, "SLURM_PROCID") is not None


def _number(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "")
    return int(text) if text.isdecimal() else None
