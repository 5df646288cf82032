"""What launchers and batch schedulers say of a job."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..model.record import Facts
from .redaction import redact_text
from .values import clean_text

# What SLURM's accounting says of jobs that have ended, by `sacct`.
#
# For the command line only, never inside a run: it starts a process. A job that was requeued has
# one account for each of its attempts, all with the same number.


FIELDS = ("JobID", "State", "ExitCode", "Start", "End", "ElapsedRaw", "MaxRSS", "NodeList")
TIME_LIMIT = 10.0
"""Seconds after which `sacct` is given up."""

OUT_OF_MEMORY = "OUT_OF_MEMORY"

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, kw_only=True)
class Account:
    """One attempt of one job, as accounted.

    Parameters
    ----------
    job : str
        The job's number; ``array_task`` for a task of an array.
    state : str
        SLURM's word in capitals, such as ``TIMEOUT`` or ``OUT_OF_MEMORY``.
    exit_code : str
        Exit status and signal of the batch script, ``1:0``.
    start, end : float or None
        Seconds since the epoch; None where that has not happened.
    elapsed : float
        Seconds.
    max_rss : int or None
        The largest resident memory of any one task, in bytes; it is sampled, and None where no
        sample was taken.
    nodes : str
        SLURM's list of the nodes.
    step_state : str
        How a step of the job ended, if one ran out of memory: the job itself is then cancelled,
        failed, or, where it requeued itself, ``REQUEUED``.
    """

    job: str
    state: str
    exit_code: str = ""
    start: float | None = None
    end: float | None = None
    elapsed: float = 0.0
    max_rss: int | None = None
    nodes: str = ""
    step_state: str = ""

    def covers(self, moment: float) -> bool:
        """Whether this attempt was running at `moment`; SLURM's times are whole seconds."""
        if self.start is None or moment < self.start - 1.0:
            return False
        return self.end is None or moment <= self.end + 1.0


def accounts(jobs: Iterable[str]) -> tuple[Account, ...]:
    """The accounts of `jobs`, each attempt of each; none where accounting cannot be asked.

    Parameters
    ----------
    jobs : iterable of str
        Numbers such as ``"71"``, or ``"70_3"`` for a task of an array.
    """
    sacct, numbers = shutil.which("sacct"), sorted(set(jobs))
    if sacct is None or not numbers:
        return ()
    command = (
        *(sacct, "--parsable2", "--noheader", "--duplicates"),
        *(f"--format={','.join(FIELDS)}", f"--jobs={','.join(numbers)}"),
    )
    try:
        done = subprocess.run(  # noqa: S603 - the site's sacct, with job numbers as arguments
            command,
            env=os.environ | {"SLURM_TIME_FORMAT": "%s"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse(done.stdout) if done.returncode == 0 else ()


def parse(text: str) -> tuple[Account, ...]:
    """The accounts in what ``sacct --parsable2`` printed, one a job attempt.

    The lines of a job's steps follow its own; the memory of an attempt is the largest of its
    steps'.
    """
    accounts_read: list[Account] = []
    for line in text.splitlines():
        words = line.split("|")
        if len(words) != len(FIELDS):
            continue
        row = dict(zip(FIELDS, words, strict=True))
        memory = _bytes(row["MaxRSS"])
        number, step = row["JobID"].partition(".")[::2]
        if step:
            if accounts_read and accounts_read[-1].job == number:
                accounts_read[-1] = _with_step(accounts_read[-1], _state(row["State"]), memory)
            continue
        accounts_read.append(
            Account(
                job=number,
                state=_state(row["State"]),
                exit_code=row["ExitCode"],
                start=_number(row["Start"]),
                end=_number(row["End"]),
                elapsed=_number(row["ElapsedRaw"]) or 0.0,
                max_rss=memory,
                nodes="" if row["NodeList"] == "None assigned" else row["NodeList"],
            )
        )
    return tuple(accounts_read)


def _with_step(job: Account, state: str, memory: int | None) -> Account:
    return replace(
        job,
        step_state=state if state == OUT_OF_MEMORY else job.step_state,
        max_rss=job.max_rss if memory is None else max(job.max_rss or 0, memory),
    )


def _state(text: str) -> str:
    """``CANCELLED`` of ``CANCELLED by 1000``: who did it is nobody's business here."""
    return text.split(" ", maxsplit=1)[0]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "Unknown", "None"
        return None


def _bytes(text: str) -> int | None:
    """``21168K`` in bytes; None for nothing, and for 0, which stands for no sample taken."""
    number = _number(text.rstrip("KMGT"))
    return int(number * _UNITS.get(text[-1:], 1)) if number else None


# How many ranks the launcher started, and which one this is, without asking MPI.
#
# A program that was built for one MPI and is started by another's ``mpiexec`` runs as N
# programs of one rank each, and nothing fails; the launcher's own variables tell.


# The launcher nearest to the program wins: an mpiexec inside a SLURM step sets its own.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_NRANKS", "MPI_NRANKS")
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PALS_RANKID", "PMIX_RANK")

_FIRST_SPECIAL_STEP = 4_294_967_290
"""SLURM numbers the batch script and interactive steps from here."""


def launched_size(variables: Mapping[str, str] = os.environ) -> int | None:
    """Ranks that the launcher started; None where no launcher can be seen."""
    for name in _SIZES:
        size = _number_launcher(variables, name)
        if size:
            return size
    if _in_slurm_step(variables):
        return _number_launcher(variables, "SLURM_STEP_NUM_TASKS") or _number_launcher(
            variables, "SLURM_NTASKS"
        )
    return None


def launched_rank(variables: Mapping[str, str] = os.environ) -> int | None:
    """This process's rank as the launcher numbers it; None where no launcher can be seen."""
    for name in _RANKS:
        rank = _number_launcher(variables, name)
        if rank is not None:
            return rank
    return _number_launcher(variables, "SLURM_PROCID") if _in_slurm_step(variables) else None


def _in_slurm_step(variables: Mapping[str, str]) -> bool:
    """Whether srun started this process: a batch script has SLURM_NTASKS too, but is one."""
    step = _number_launcher(variables, "SLURM_STEP_ID")
    if step is None or step >= _FIRST_SPECIAL_STEP:
        return False
    return _number_launcher(variables, "SLURM_PROCID") is not None


def _number_launcher(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "")
    return int(text) if text.isdecimal() else None


# What the batch scheduler says about this job, from its variables by exact name.


_TEXTS = {
    "SLURM_JOB_ID": "job_id",
    "SLURM_ARRAY_JOB_ID": "array_job_id",
    "SLURM_HET_JOB_ID": "heterogeneous_job_id",
    "SLURM_JOB_NAME": "job_name",
    "SLURM_CLUSTER_NAME": "cluster",
    "SLURM_JOB_PARTITION": "partition",
    "SLURM_JOB_QOS": "qos",
    "SLURM_JOB_ACCOUNT": "account",
    "SLURM_JOB_RESERVATION": "reservation",
    "SLURM_JOB_NODELIST": "nodes",
    "SLURM_JOB_CONSTRAINTS": "constraints",
    "SLURM_TASKS_PER_NODE": "tasks_per_node",
    "SLURM_JOB_CPUS_PER_NODE": "cpus_per_node",
    "SLURM_JOB_GPUS": "gpus",
    "SLURM_GPUS_ON_NODE": "gpus_on_node",
    "SLURM_CPU_BIND_TYPE": "cpu_binding",
    "SLURM_DISTRIBUTION": "distribution",
    "SLURM_JOB_DEPENDENCY": "dependency",
    "SLURM_SUBMIT_HOST": "submit_host",
    "SLURM_SUBMIT_DIR": "submit_folder",
    "SLURM_STEP_ID": "step_id",
    "SLURM_MPI_TYPE": "mpi_type",
    "SLURM_CONF_VERSION": "version",
    "SIMCKPT_TEMPLATE": "template",  # set by simckpt's job templates
}
_NUMBERS = {
    "SLURM_ARRAY_TASK_ID": "array_task_id",
    "SLURM_ARRAY_TASK_COUNT": "array_tasks",
    "SLURM_ARRAY_TASK_MIN": "array_first",
    "SLURM_ARRAY_TASK_MAX": "array_last",
    "SLURM_ARRAY_TASK_STEP": "array_stride",
    "SLURM_RESTART_COUNT": "restarts",
    "SLURM_JOB_NUM_NODES": "node_count",
    "SLURM_NTASKS": "tasks",
    "SLURM_CPUS_PER_TASK": "cpus_per_task",
    "SLURM_CPUS_ON_NODE": "cpus_on_node",
    "SLURM_MEM_PER_NODE": "memory_per_node_MiB",
    "SLURM_MEM_PER_CPU": "memory_per_cpu_MiB",
    "SLURM_JOB_START_TIME": "started",
    "SLURM_JOB_END_TIME": "ends",
}
_JOB_VARIABLES = {
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
    "FLUX_JOB_ID": "flux",
    "COBALT_JOBID": "cobalt",
    "JOB_ID": "grid engine",
}


def scheduler_facts(variables: Mapping[str, str] = os.environ) -> Facts:
    """The job as the scheduler names it; empty outside a job.

    Times are seconds since the epoch; `time_limit_s` is what the job was granted, where the
    scheduler tells both ends.
    """
    if not variables.get("SLURM_JOB_ID"):
        for name, scheduler in _JOB_VARIABLES.items():
            # Grid Engine's name is a common word: its companion makes sure.
            if variables.get(name) and (name != "JOB_ID" or variables.get("SGE_TASK_ID")):
                return {"scheduler": scheduler, "job_id": _clean(variables[name])}
        return {}
    facts: Facts = {"scheduler": "slurm"}
    for name, fact in _TEXTS.items():
        if variables.get(name):
            facts[fact] = _clean(variables[name])
    for name, fact in _NUMBERS.items():
        text = variables.get(name, "")
        if text.isdecimal():
            facts[fact] = int(text)
        elif text:
            facts[fact] = _clean(text)
    started, ends = facts.get("started"), facts.get("ends")
    if isinstance(started, int) and isinstance(ends, int):
        facts["time_limit_s"] = ends - started
    facts.setdefault("restarts", 0)
    return facts


def _clean(text: str) -> str:
    return redact_text(clean_text(text))[:2_000]
