"""The job is described from the scheduler's variables."""

from __future__ import annotations

from simckpt.capture.jobs import scheduler_facts


def test_outside_a_job_there_is_nothing():
    assert scheduler_facts({"SLURM_NTASKS": "4", "JOB_ID": "7"}) == {}


def test_a_slurm_job():
    facts = scheduler_facts(
        {
            "SLURM_JOB_ID": "17",
            "SLURM_ARRAY_JOB_ID": "16",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_RESTART_COUNT": "2",
            "SLURM_JOB_NODELIST": "n[1-3]",
            "SLURM_JOB_PARTITION": "short",
            "SLURM_NTASKS": "8",
            "SLURM_JOB_START_TIME": "1000",
            "SLURM_JOB_END_TIME": "4600",
            "SLURM_JOB_ACCOUNT": "physics",
            "SLURM_SECRET_OF_THE_SITE": "hunter2xyz",
        }
    )
    assert facts == {
        "scheduler": "slurm",
        "job_id": "17",
        "array_job_id": "16",
        "array_task_id": 3,
        "restarts": 2,
        "nodes": "n[1-3]",
        "partition": "short",
        "tasks": 8,
        "started": 1000,
        "ends": 4600,
        "time_limit_s": 3600,
        "account": "physics",
    }


def test_a_job_that_was_never_restarted_says_so():
    assert scheduler_facts({"SLURM_JOB_ID": "17"})["restarts"] == 0


def test_other_schedulers_are_named():
    assert scheduler_facts({"PBS_JOBID": "1.pbs"}) == {"scheduler": "pbs", "job_id": "1.pbs"}
