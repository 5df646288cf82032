"""Operating system, kernel and C library."""

from __future__ import annotations

import os
from pathlib import Path

from ..probes import Findings


def read_operating_system(root: Path = Path("/")) -> Findings:
    """From uname, ``/etc/os-release`` and confstr; the host name is volatile."""
    name = os.uname()
    release = _os_release(root)
    stable = {
        "system": name.sysname,
        "kernel": name.release,
        "kernel_build": name.version,
        "machine": name.machine,
        "distribution": release.get("PRETTY_NAME") or release.get("NAME", ""),
        "version": release.get("VERSION_ID", ""),
        "libc": _libc(),
    }
    return Findings(
        stable={k: v for k, v in stable.items() if v},
        volatile={"host": name.nodename},
    )


def _os_release(root: Path) -> dict[str, str]:
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / place).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        pairs = (line.partition("=") for line in lines if "=" in line and line[:1] != "#")
        return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    return {}


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
