"""The command that continues a run, for a shell: what the job requested, and what it ran."""

from __future__ import annotations

import math
import re
import shlex
from itertools import count
from typing import TYPE_CHECKING

from ..capture.redaction import REDACTED
from ..errors import UNSAFE
from ..model.documents import Manifest
from .overview import latest_document

if TYPE_CHECKING:
    from pathlib import Path

    from ..bundle.reader import Bundle
    from ..model.series import Segment

MISSING = "fill in what was kept out of the record"
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", "'": r"\'"}


def template_of(run: Bundle) -> str:
    """The job template that the last attempt was submitted with; empty if it was none."""
    views = run.segments
    return str(views[-1].segment.scheduler.get("template", "")) if views else ""


def continuation(run: Bundle, template: str = "chain.sbatch") -> str:
    """The command that continues `run`, for a shell; empty if it finished or never began.

    Parameters
    ----------
    run : Bundle
    template : str
        The path of the script that is submitted where the run was a job of SLURM.

    Notes
    -----
    An argument that the record holds without its secret stands as ``${SECRET_1:?...}``: the
    shell refuses the command, and says why, until that variable is set or the words are replaced.
    """
    views = run.segments
    if not views or (views[-1].end is not None and views[-1].end.ending == "finished"):
        return ""
    segment = views[-1].segment
    manifest = latest_document(run, "manifest", Manifest)
    if manifest is None:
        return ""
    path = run.path.absolute()
    if path.suffix == ".journal":  # all there is of a run that was killed early
        path = path.with_suffix(".h5")
    words = list(manifest.command)
    if segment.scheduler.get("scheduler") == "slurm":
        words = ["sbatch", *_options(segment), template, *words]
        if _is_member(segment, path):
            where = f"SIMCKPT_FOLDER={quoted(str(path.parent))}"
            words.insert(1, f"--array={segment.scheduler['array_task_id']}")
            return f"cd {quoted(manifest.working_directory)} && {where} {_joined(words)}"
    elif segment.ranks > 1:
        words = ["mpiexec", "-n", str(segment.ranks), *words]
    where = f"SIMCKPT_BUNDLE={quoted(str(path))}"
    return f"cd {quoted(manifest.working_directory)} && {where} {_joined(words)}"


def quoted(word: str) -> str:
    """`word` as bash reads it, on one line and without characters that steer a terminal."""
    if not UNSAFE.search(word):
        return shlex.quote(word)
    return "$'" + re.sub(rf"[\\']|{UNSAFE.pattern}", _escaped, word) + "'"


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if short := _SHORT.get(character):
        return short
    # Half a character stands for a byte that is no text, as in the name of a file.
    how = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", how))


def _joined(words: list[str]) -> str:
    numbers = count(1)
    return " ".join(_filled_in(word, numbers) for word in words)


def _filled_in(word: str, numbers: count[int]) -> str:
    """A word for a shell, with a gap to be filled in for each secret that was kept out of it."""
    parts = word.split(REDACTED)
    quoted_parts = [quoted(part) if part else "" for part in parts]
    gaps = [f'"${{SECRET_{next(numbers)}:?{MISSING}}}"' for _ in parts[1:]]
    text = "".join(part + gap for part, gap in zip(quoted_parts, [*gaps, ""], strict=True))
    return text or "''"


def _is_member(segment: Segment, path: Path) -> bool:
    """Whether the bundle is one that array.sbatch has named."""
    task = segment.scheduler.get("array_task_id")
    return task is not None and path.name == f"member-{task}.simckpt.h5"


def _options(segment: Segment) -> list[str]:
    """What the job was given, as options of sbatch."""
    facts = segment.scheduler
    options = [f"--ntasks={segment.ranks}"]
    for option, fact in (
        ("nodes", "node_count"),
        ("cpus-per-task", "cpus_per_task"),
        ("partition", "partition"),
        ("account", "account"),
        ("qos", "qos"),
        ("job-name", "job_name"),
    ):
        if value := facts.get(fact):
            options.append(f"--{option}={value}")
    if isinstance(memory := facts.get("memory_per_node_MiB"), int):
        options.append(f"--mem={memory}M")
    if isinstance(seconds := facts.get("time_limit_s"), int):
        options.append(f"--time={math.ceil(seconds / 60)}")
    return options
