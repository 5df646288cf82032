"""The processor: model, instruction set, microcode, counts and memory domains."""

from __future__ import annotations

import os
from pathlib import Path

from ...model.record import Facts, canonical_json, hash_bytes
from ..probes import Findings
from .pseudo_files import count_list, folders, read_line, read_table

_NAMES = {
    # x86
    "vendor_id": "vendor",
    "model name": "model",
    "cpu family": "family",
    "model": "model_number",
    "stepping": "stepping",
    "microcode": "microcode",
    # ARM
    "CPU implementer": "implementer",
    "CPU architecture": "architecture",
    "CPU variant": "variant",
    "CPU part": "part",
    "CPU revision": "revision",
    # POWER and others
    "cpu": "model",
    "uarch": "model",
    "isa": "isa",
}


def read_processor(root: Path = Path("/")) -> Findings:
    """From the first entry of ``/proc/cpuinfo`` and the topology in ``/sys``.

    Only the first processor's entry is read: on a large node the kernel interrupts every
    core to fill in the rest. The processors this process may run on are volatile.
    """
    # One entry is under 8 KiB; asking for more makes the kernel visit more cores.
    table = read_table(root / "proc/cpuinfo", limit=8_192)
    stable: Facts = {}
    for theirs, ours in _NAMES.items():
        if table.get(theirs):
            stable.setdefault(ours, table[theirs])
    flags = sorted((table.get("flags") or table.get("Features") or "").split())
    if flags:
        stable["flags_hash"] = hash_bytes(canonical_json(flags))
        stable["flags"] = dict.fromkeys(flags, True)
    stable |= _counts(root / "sys/devices/system/cpu")
    domains = folders(root / "sys/devices/system/node", "node")
    if domains:
        stable["numa"] = {d.name: read_line(d / "cpulist") for d in domains}
    return Findings(stable=stable, volatile=_allowed())


def _counts(cpus: Path) -> Facts:
    online = read_line(cpus / "online")
    if not online:
        return {"logical": os.cpu_count()}
    facts: Facts = {"logical": count_list(online)}
    cores: set[tuple[str, str]] = set()
    for cpu in folders(cpus, "cpu"):
        package = read_line(cpu / "topology/physical_package_id")
        if package:
            cores.add((package, read_line(cpu / "topology/thread_siblings_list")))
    if cores:
        facts["cores"] = len(cores)
        facts["sockets"] = len({package for package, _ in cores})
    return facts


def _allowed() -> Facts:
    allowed = sorted(os.sched_getaffinity(0))
    return {"allowed": len(allowed), "allowed_list": _ranges(allowed)}


def _ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
