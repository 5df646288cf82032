"""Just-in-time compilers: versions, and what they compile for."""

from __future__ import annotations

import sys
from typing import Any

from ...model.record import Facts
from ..probes import Findings
from ..source.packages import version_of


def read_compilers() -> Findings:
    """Numba's and LLVM's versions without importing them; LLVM's target once it is loaded."""
    stable: Facts = {
        name: version
        for name in ("numba", "llvmlite", "jax", "jaxlib", "torch", "cupy")
        if (version := version_of(name))
    }
    return Findings(stable=stable, volatile=_llvm())


def _llvm() -> Facts:
    # What is known only once Numba is loaded cannot be stable: a resumed run may load it later.
    binding: Any = sys.modules.get("llvmlite.binding")
    if binding is None or not hasattr(binding, "llvm_version_info"):
        return {}
    return {
        "llvm": ".".join(map(str, binding.llvm_version_info)),
        "target": binding.get_process_triple(),
        "cpu": binding.get_host_cpu_name(),
    }
