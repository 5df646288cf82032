"""What the batch scheduler says about this job, from its variables by exact name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...model.record import Facts
from ..secrets.redaction import redact_text
from ..values import clean_text

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
_OTHERS = {
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
        for name, scheduler in _OTHERS.items():
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
