"""This process: volatile facts only."""

from __future__ import annotations

import os
import resource

from ..probes import Findings

_LIMITS = {
    "stack": resource.RLIMIT_STACK,
    "address_space": resource.RLIMIT_AS,
    "core": resource.RLIMIT_CORE,
    "open_files": resource.RLIMIT_NOFILE,
    "locked_memory": resource.RLIMIT_MEMLOCK,
    "processor_seconds": resource.RLIMIT_CPU,
}


def read_process() -> Findings:
    """Process id, resource limits (None for no limit) and the load of the node."""
    limits = {name: resource.getrlimit(which)[0] for name, which in _LIMITS.items()}
    return Findings(
        volatile={
            "pid": os.getpid(),
            "limits": {k: None if v == resource.RLIM_INFINITY else v for k, v in limits.items()},
            "load": [round(x, 2) for x in os.getloadavg()],
        }
    )
