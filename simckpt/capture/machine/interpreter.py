"""The Python interpreter and the environment it belongs to."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path

from ...model.record import Facts
from ..probes import Findings
from ..values import clean_text


def read_interpreter() -> Findings:
    """Version and build of the interpreter; the paths are volatile."""
    stable: Facts = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "abi": sysconfig.get_config_var("SOABI") or "",
        "optimize": sys.flags.optimize,
        "hash_randomization": bool(sys.flags.hash_randomization),
    }
    enabled = getattr(sys, "_is_gil_enabled", None)
    if enabled is not None:
        stable["gil"] = bool(enabled())
    volatile: Facts = {
        "executable": clean_text(sys.executable or ""),
        "prefix": clean_text(sys.prefix),
        "base_prefix": clean_text(sys.base_prefix),
    }
    return Findings(stable=stable, volatile=volatile)


def read_virtual_environment(prefix: Path | None = None) -> Findings:
    """Whether the interpreter is in a conda environment or a virtual one, and which."""
    prefix = Path(sys.prefix) if prefix is None else prefix
    if (prefix / "conda-meta").is_dir():
        stable: Facts = {"kind": "conda"}
        name = os.environ.get("CONDA_DEFAULT_ENV", "")
        # A path in place of a name is an environment made with --prefix.
        if name and os.sep not in name and os.environ.get("CONDA_PREFIX") == str(prefix):
            stable["name"] = clean_text(name)
        return Findings(stable=stable)
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return Findings(stable={"kind": "system"})
    pairs = (line.partition("=") for line in lines)
    settings = {name.strip(): value.strip() for name, _, value in pairs}
    system = settings.get("include-system-site-packages", "").lower() == "true"
    return Findings(stable={"kind": "venv", "system_packages": system})
