"""Memory: how much the node has, and how much this job may use."""

from __future__ import annotations

from pathlib import Path

from ...model.record import Facts
from ..probes import Findings
from .pseudo_files import read_line, read_table


def read_memory(root: Path = Path("/")) -> Findings:
    """From ``/proc/meminfo`` and the control group.

    The stable fact is rounded to GiB: what the kernel keeps for itself differs by some MiB
    between equal nodes.
    """
    table = read_table(root / "proc/meminfo")
    total = _kib(table, "MemTotal")
    stable: Facts = {"total_GiB": round(total / 2**20)} if total >= 2**19 else {}
    pages = read_line(root / "sys/kernel/mm/transparent_hugepage/enabled")
    if "[" in pages:
        stable["transparent_hugepages"] = pages.partition("[")[2].partition("]")[0]
    volatile: Facts = {
        "total_KiB": total,
        "available_KiB": _kib(table, "MemAvailable"),
        "swap_KiB": _kib(table, "SwapTotal"),
    }
    limit = _job_limit(root)
    if limit:
        volatile["job_limit_KiB"] = limit
    return Findings(stable=stable, volatile=volatile)


def _kib(table: dict[str, str], name: str) -> int:
    number = table.get(name, "").partition(" ")[0]
    return int(number) if number.isdecimal() else 0


def _job_limit(root: Path) -> int:
    """The lowest memory limit of the control groups this process is in, KiB; 0 for none."""
    limits = []
    for line in read_line(root / "proc/self/cgroup").splitlines():
        number, kinds, place = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not kinds:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in kinds.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / place.strip("/")
        while folder.is_relative_to(top):
            text = read_line(folder / name)
            # Version 1 says "no limit" by a number near 2**63.
            if text.isdecimal() and int(text) < 2**60:
                limits.append(int(text) // 1024)
            folder = folder.parent
    return min(limits, default=0)
