"""The processor, memory and accelerators of a node, from /proc, /sys and NVIDIA's library."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..model.record import Facts, canonical_json, hash_bytes
from .probes import Findings, reason_of

_COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")


def read_nvml(root: Path = Path("/")) -> Findings:
    """Driver, CUDA version, and each kind of NVIDIA device, by nvidia-ml-py where it is installed.

    Without a driver the library is not loaded: it might start a program that makes the devices'
    nodes.
    """
    if not any((root / place).exists() for place in ("proc/driver/nvidia", "dev/nvidiactl")):
        return Findings(unavailable={"nvml": "no NVIDIA driver is loaded"})
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except Exception as error:  # noqa: BLE001 - a missing package or library, or one that refuses
        return Findings(unavailable={"nvml": reason_of(error)})
    try:
        return _read_nvml(nvml)
    except nvml.NVMLError as error:
        return Findings(unavailable={"nvml": reason_of(error)})
    finally:
        nvml.nvmlShutdown()


def _read_nvml(nvml: Any) -> Findings:
    system: dict[str, Callable[[], Any]] = {
        "driver": nvml.nvmlSystemGetDriverVersion,
        "nvml": nvml.nvmlSystemGetNVMLVersion,
        "cuda": lambda: _cuda(nvml.nvmlSystemGetCudaDriverVersion_v2()),
    }
    facts = _available(nvml, system)
    kinds: Counter[str] = Counter()
    settings: dict[str, Facts] = {}
    volatile: list[Facts] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        name = nvml.nvmlDeviceGetName(device)
        kinds[name] += 1
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        stable = _device_settings(nvml, device) | {"memory_MiB": memory.total // 2**20}
        # Devices of one model that are set up otherwise are told apart.
        while name in settings and settings[name] != stable:
            name += "+"
        settings[name] = stable
        uuid = _available(nvml, {"uuid": partial(nvml.nvmlDeviceGetUUID, device)})
        volatile.append({"free_MiB": memory.free // 2**20} | uuid)
    facts |= {"count": dict(kinds), "devices": settings}
    return Findings(stable=facts, volatile={"devices": volatile} if volatile else {})


def _device_settings(nvml: Any, device: Any) -> Facts:
    return _available(
        nvml,
        {
            "compute_capability": lambda: ".".join(
                map(str, nvml.nvmlDeviceGetCudaComputeCapability(device))
            ),
            "ecc": lambda: bool(nvml.nvmlDeviceGetEccMode(device)[0]),
            "mig": lambda: bool(nvml.nvmlDeviceGetMigMode(device)[0]),
            "compute_mode": lambda: _mode(nvml.nvmlDeviceGetComputeMode(device)),
            "power_limit_W": lambda: nvml.nvmlDeviceGetPowerManagementLimit(device) / 1000,
            "vbios": lambda: nvml.nvmlDeviceGetVbiosVersion(device),
        },
    )


def _available(nvml: Any, reads: Mapping[str, Callable[[], Any]]) -> Facts:
    """The facts that this device and driver have: not every model has each feature."""
    facts: Facts = {}
    for name, read in reads.items():
        with suppress(nvml.NVMLError):
            facts[name] = read()
    return facts


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _mode(number: int) -> str:
    return _COMPUTE_MODES[number] if number < len(_COMPUTE_MODES) else str(number)


def read_line(path: Path) -> str:
    """The stripped text of a small file; "" where it is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError:
        return ""


def read_table(path: Path, limit: int = 65_536) -> dict[str, str]:
    """The ``name: value`` lines of a file up to its first blank line."""
    with path.open("rb") as file:
        text = file.read(limit).decode("utf-8", "replace")
    table: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon:
            table.setdefault(name.strip(), value.strip())
    return table


def folders(path: Path, prefix: str) -> list[Path]:
    """The entries of `path` named `prefix` and a number, by that number."""
    try:
        names = [p for p in path.iterdir() if p.name.removeprefix(prefix).isdecimal()]
    except OSError:
        return []
    numbered = [p for p in names if p.name.startswith(prefix)]
    return sorted(numbered, key=lambda p: int(p.name.removeprefix(prefix)))


def count_list(text: str) -> int:
    """How many numbers a kernel list such as ``0-3,8-11`` names."""
    count = 0
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal():
            count += int(last) - int(first) + 1 if dash else 1
    return count


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
    for name, fact in _NAMES.items():
        if table.get(name):
            stable.setdefault(fact, table[name])
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


_PCI_CLASSES = {"0x0302": "3D controller", "0x1200": "processing accelerator"}


def read_accelerators(root: Path = Path("/")) -> Findings:
    """NVIDIA and AMD devices by model and count, other accelerators by PCI id.

    Serial numbers are volatile: equal nodes have different ones.
    """
    stable: Facts = {}
    volatile: Facts = {}
    for read in (_nvidia, _amd, _pci):
        facts, serials = read(root)
        stable |= facts
        volatile |= serials
    return Findings(stable=stable, volatile=volatile)


def _nvidia(root: Path) -> tuple[Facts, Facts]:
    cards = _entries(root / "proc/driver/nvidia/gpus")
    driver = read_line(root / "sys/module/nvidia/version")
    if not cards:
        return ({"nvidia_driver": driver} if driver else {}), {}
    tables = [_table(card / "information") for card in cards]
    facts: Facts = {
        "nvidia": dict(Counter(t.get("Model", "unknown") for t in tables)),
        "nvidia_firmware": sorted({t["GPU Firmware"] for t in tables if "GPU Firmware" in t}),
        "nvidia_video_bios": sorted({t["Video BIOS"] for t in tables if "Video BIOS" in t}),
    }
    if not driver:
        version = read_line(root / "proc/driver/nvidia/version").splitlines()
        driver = version[0].partition(":")[2].strip() if version else ""
    if driver:
        facts["nvidia_driver"] = driver
    uuids = [t["GPU UUID"] for t in tables if "GPU UUID" in t]
    return {k: v for k, v in facts.items() if v}, ({"nvidia_uuids": uuids} if uuids else {})


def _amd(root: Path) -> tuple[Facts, Facts]:
    models: Counter[str] = Counter()
    serials = []
    for node in folders(root / "sys/class/kfd/kfd/topology/nodes", ""):
        target = _words(node / "properties")
        # Processors are nodes too; they have no compute units.
        if target.get("simd_count", "0") == "0":
            continue
        models[read_line(node / "name") or target.get("gfx_target_version", "unknown")] += 1
        if target.get("unique_id"):
            serials.append(target["unique_id"])
    if not models:
        return {}, {}
    facts: Facts = {"amd": dict(models)}
    driver = read_line(root / "sys/module/amdgpu/version")
    if driver:
        facts["amd_driver"] = driver
    return facts, ({"amd_ids": serials} if serials else {})


def _pci(root: Path) -> tuple[Facts, Facts]:
    devices: Counter[str] = Counter()
    for device in _entries(root / "sys/bus/pci/devices"):
        kind = _PCI_CLASSES.get(read_line(device / "class")[:6])
        if kind:
            vendor, model = read_line(device / "vendor"), read_line(device / "device")
            devices[f"{kind} {vendor}:{model}"] += 1
    return ({"pci": dict(devices)} if devices else {}), {}


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _table(path: Path) -> dict[str, str]:
    try:
        return read_table(path)
    except OSError:
        return {}


def _words(path: Path) -> dict[str, str]:
    """The ``name value`` lines of a file."""
    pairs = (line.partition(" ") for line in read_line(path).splitlines())
    return {name: value.strip() for name, _, value in pairs}
