"""What SLURM's accounting says of jobs that have ended, by `sacct`.

For the command line only, never inside a run: it starts a process. A job that was requeued has
one account for each of its attempts, all with the same number.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    sacct, wanted = shutil.which("sacct"), sorted(set(jobs))
    if sacct is None or not wanted:
        return ()
    command = (
        *(sacct, "--parsable2", "--noheader", "--duplicates"),
        *(f"--format={','.join(FIELDS)}", f"--jobs={','.join(wanted)}"),
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
    found: list[Account] = []
    for line in text.splitlines():
        words = line.split("|")
        if len(words) != len(FIELDS):
            continue
        row = dict(zip(FIELDS, words, strict=True))
        memory = _bytes(row["MaxRSS"])
        number, step = row["JobID"].partition(".")[::2]
        if step:
            if found and found[-1].job == number:
                found[-1] = _with_step(found[-1], _state(row["State"]), memory)
            continue
        found.append(
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
    return tuple(found)


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
