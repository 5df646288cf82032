"""Accelerators and their drivers, as the kernel shows them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...model.record import Facts
from ..probes import Findings
from .pseudo_files import folders, read_line, read_table

_PCI_CLASSES = {"0x0302": "3D controller", "0x1200": "processing accelerator"}


def read_accelerators(root: Path = Path("/")) -> Findings:
    """NVIDIA and AMD devices by model and count, other accelerators by PCI id.

    Serial numbers are volatile: equal nodes have different ones.
    """
    stable: Facts = {}
    volatile: Facts = {}
    for read in (_nvidia, _amd, _pci):
        found, serials = read(root)
        stable |= found
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
    found: Counter[str] = Counter()
    for device in _entries(root / "sys/bus/pci/devices"):
        kind = _PCI_CLASSES.get(read_line(device / "class")[:6])
        if kind:
            vendor, model = read_line(device / "vendor"), read_line(device / "device")
            found[f"{kind} {vendor}:{model}"] += 1
    return ({"pci": dict(found)} if found else {}), {}


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
