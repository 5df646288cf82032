"""The environment of a node: every source of facts, put together.

Rank 0 captures all of it once. The other nodes capture the part that is cheap and that
every rank of a sound run has in common, and `common_part` cuts the same part out of rank 0's,
so that the fingerprints can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from ..model.changes import ABSENT, Change, diff
from ..model.documents import Circumstances, Environment
from ..model.record import Facts, content_hash
from .hardware import read_accelerators, read_memory, read_nvml, read_processor
from .packages import capture_packages, read_lockfile
from .probes import Findings, Probe, harvest
from .software import (
    COMMON,
    read_compilers,
    read_container,
    read_floating_point,
    read_interpreter,
    read_libraries,
    read_operating_system,
    read_process,
    read_software_modules,
    read_thread_pools,
    read_variables,
    read_virtual_environment,
)

NOTHING_MORE: Mapping[str, Facts] = MappingProxyType({})

_BUDGET = 5.0
_NODE_BUDGET = 1.0


def capture_environment(
    extra_sections: Mapping[str, Facts] = NOTHING_MORE,
) -> tuple[Environment, Circumstances]:
    """The stable and the volatile facts of this node and process.

    Parameters
    ----------
    extra_sections : mapping of str to dict
        Stable facts from elsewhere, such as ``{"mpi": comm.facts()}``.

    Returns
    -------
    Environment
        Its content hash is the fingerprint: equal on the same machine with the same software,
        whatever the working directory, the time, the process and the order of imports.
    Circumstances
        Host name, paths, free memory, limits, load.
    """
    harvest_result = harvest((*_NODE, *_FULL), _BUDGET)
    sections = harvest_result.stable | {
        name: dict(facts) for name, facts in extra_sections.items() if facts
    }
    environment = Environment(sections=sections, unavailable=harvest_result.unavailable)
    return environment, Circumstances(sections=harvest_result.volatile)


def capture_node() -> Environment:
    """The stable facts that all nodes of a sound run have in common, cheaply."""
    harvest_result = harvest((*_NODE, _COMMON_LIBRARIES), _NODE_BUDGET)
    return Environment(sections=harvest_result.stable, unavailable=harvest_result.unavailable)


def capture_circumstances() -> Circumstances:
    """The volatile facts of this node and process, cheaply: what its first rank tells."""
    return Circumstances(sections=harvest((*_NODE, _PROCESS), _NODE_BUDGET).volatile)


def common_part(environment: Environment) -> Environment:
    """The part of a full environment that `capture_node` would have captured on that node."""
    names = {probe.section for probe in _NODE}
    sections = {name: facts for name, facts in environment.sections.items() if name in names}
    libraries = environment.sections.get("libraries", {})
    shared = {name: identity for name, identity in libraries.items() if COMMON.match(name)}
    if shared:
        sections["libraries"] = shared
    unavailable = {
        fact: reason
        for fact, reason in environment.unavailable.items()
        if fact.partition(".")[0] in names
        or (fact.startswith("libraries.") and COMMON.match(fact.partition(".")[2]))
    }
    return Environment(sections=sections, unavailable=unavailable)


def differing_facts(reference: Environment, other: Environment) -> tuple[str, ...]:
    """The facts (``section.fact``) in which two environments differ, sorted.

    What one of them could not tell, a fact or a whole section, is unknown and no difference.
    """
    unknown = {*reference.unavailable, *other.unavailable}
    return tuple(
        change.path
        for change in diff(reference.sections, other.sections)
        if change.path and not _is_unknown(change, unknown)
    )


def _is_unknown(change: Change, unknown: set[str]) -> bool:
    """Whether the value that is missing on one side belongs to what could not be read."""
    if ABSENT not in (change.old, change.new):
        return False
    parts = change.path.split(".")
    return any(".".join(parts[:n]) in unknown for n in range(1, len(parts) + 1))


def _read_packages() -> Findings:
    packages = capture_packages()
    return Findings(stable={"hash": content_hash(packages), "count": len(packages.versions)})


# Floating point is read in the calling thread, whose mode it is.
_NODE = (
    Probe("floating_point", read_floating_point, None),
    Probe("os", read_operating_system),
    Probe("cpu", read_processor),
    Probe("memory", read_memory),
    Probe("accelerators", read_accelerators),
    Probe("container", read_container),
    Probe("modules", read_software_modules, None),
    Probe("python", read_interpreter, None),
    Probe("variables", read_variables, None),
)
_PROCESS = Probe("process", read_process, None)
_COMMON_LIBRARIES = Probe("libraries", partial(read_libraries, common=True))
_FULL = (
    Probe("virtual_environment", read_virtual_environment),
    Probe("lockfile", read_lockfile),
    Probe("packages", _read_packages),
    Probe("jit", read_compilers),
    Probe("blas", read_thread_pools),
    Probe("gpu", read_nvml, 2.0),
    Probe("libraries", read_libraries, 2.0),
    _PROCESS,
)
