"""Thread pools of the linear algebra and OpenMP libraries that are loaded."""

from __future__ import annotations

from pathlib import PurePath

from ...model.record import Facts
from ..probes import Findings


def read_thread_pools() -> Findings:
    """Vendor, version, kernel and threads of each pool, by threadpoolctl."""
    from threadpoolctl import threadpool_info

    stable: Facts = {}
    volatile: Facts = {}
    for pool in sorted(threadpool_info(), key=_order):
        library = PurePath(pool.get("filepath", "")).name
        name = pool.get("internal_api") or library
        while name in stable:
            name += "+"
        facts = {
            "library": library,
            "version": pool.get("version"),
            "threads": pool.get("num_threads"),
            "threading_layer": pool.get("threading_layer"),
            "kernel": pool.get("architecture"),
        }
        stable[name] = {k: v for k, v in facts.items() if v is not None}
        volatile[name] = {"path": pool.get("filepath", "")}
    return Findings(stable=stable, volatile=volatile)


def _order(pool: Facts) -> tuple[str, str]:
    return str(pool.get("internal_api")), PurePath(str(pool.get("filepath"))).name
