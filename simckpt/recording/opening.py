"""How a run begins: every rank says where it is, and rank 0 opens the bundle."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bundle.options import WriterOptions
from ..capture.environment import capture_node, differing_facts
from ..capture.launcher import launched_rank, launched_size
from ..errors import BundleError, SimckptError, SimckptWarning
from ..model.environment import Environment, Node
from ..model.segment import Event, Segment
from ..parallel.comm import ExchangeFailed
from .bundle_scribe import BundleScribe
from .captures import Captures, capture_beginning
from .evidence import Evidence
from .lineage import Lineage, trace
from .placing import beside, open_writer
from .precedents import precedent
from .scribe import Scribe, SilentScribe
from .sentry import Sentry
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.writer import BundleWriter
    from ..model.record import Facts, Hash
    from ..parallel.comm import Comm
    from .settings import RunSettings


@dataclass(frozen=True)
class Hello:
    """What a rank says when a run begins; `node` is the fingerprint of its environment.

    `alone` says that the launcher started several ranks and that this program sees one;
    `refusal` is rank 0's reason for not opening the bundle.
    """

    host: str
    node: Hash
    launched: int = 1
    alone: bool = False
    path: str = ""
    refusal: SimckptError | None = None


def open_scribe(
    settings: RunSettings,
    comm: Comm,
    driver: str,
    parameters: Mapping[str, Any],
    timeout: float,
) -> tuple[str, Scribe]:
    """The bundle's path and this rank's scribe; collective.

    Raises
    ------
    SimckptError
        Rank 0's reason for not opening the bundle, on every rank.
    """
    launched = launched_size() or 1
    alone = settings.whole_world and comm.size == 1 and launched > 1
    writer, lineage, refusal = None, Lineage(), None
    if comm.rank == 0:
        writer, lineage, refusal = _opened(settings, driver, parameters, alone=alone)
    node = capture_node()
    mine = Hello(
        host=comm.host,
        node=node.fingerprint,
        launched=launched,
        alone=alone,
        path=str(writer.paths.h5) if writer else "",
        refusal=refusal,
    )
    try:
        hellos = comm.exchange("begin", mine, timeout)
        # The facts themselves travel once for each node, not once for each rank.
        first = next(r for r, h in enumerate(hellos) if (h.host, h.node) == (mine.host, mine.node))
        environments = comm.exchange("nodes", node if first == comm.rank else None, timeout)
    except ExchangeFailed:
        hellos, environments = [mine], [node]
        warnings.warn(
            f"not every rank entered simckpt.run within {timeout:.0f} s",
            SimckptWarning,
            stacklevel=4,
        )
    if hellos[0].refusal is not None:
        raise hellos[0].refusal
    if writer is None:
        return hellos[0].path, SilentScribe()
    beginning = capture_beginning(settings, driver, parameters, lineage.ids, comm.facts())
    captures = Captures(settings, beginning)
    return hellos[0].path, _scribe(settings, writer, captures, hellos, environments, lineage)


def _opened(
    settings: RunSettings, driver: str, parameters: Mapping[str, Any], *, alone: bool
) -> tuple[BundleWriter | None, Lineage, SimckptError | None]:
    """The writer, or why there is none: the other ranks wait for the answer, so none raises."""
    # Each sample outlives a killed process at once; only commits wait for storage.
    options = WriterOptions(durability=settings.durability, write_seconds=0.0)
    path = settings.bundle or driver
    try:
        lineage = trace(settings.upstream)
        campaign = lineage.campaign or os.environ.get("SIMCKPT_CAMPAIGN", "")
        path = settings.place(driver, parameters)
        if alone:
            path = beside(path, f"rank{launched_rank() or 0}")
        return open_writer(path, settings.exists, campaign, options), lineage, None
    except SimckptError as error:
        return None, Lineage(), error
    except Exception as error:  # noqa: BLE001 - whatever it is, every rank is to hear of it
        problem = f"could not be opened ({type(error).__name__}: {error})"
        return None, Lineage(), BundleError(path, problem)


def _scribe(
    settings: RunSettings,
    writer: BundleWriter,
    captures: Captures,
    hellos: list[Hello],
    environments: list[Environment | None],
    lineage: Lineage,
) -> BundleScribe:
    beginning, past = captures.beginning, writer.past
    for document in beginning.documents:
        writer.store(document)
    segment = Segment(
        index=past.segments,
        started=time.time(),
        ranks=len(hellos),
        start_step=captures.start_step,
        resumed_from=past.checkpoint.id if past.checkpoint else None,
        nodes=_nodes(writer, hellos, environments),
        circumstances=writer.store(beginning.circumstances),
        scheduler=beginning.scheduler,
    )
    scribe = BundleScribe(
        writer,
        captures,
        _sentry(settings, writer, captures),
        segment,
        previous=past.checkpoint,
        specification=past.specification,
        upstream=lineage.upstream,
    )
    for event in _findings(segment, hellos, past.broken):
        scribe.event(event)
    return scribe


def _sentry(settings: RunSettings, writer: BundleWriter, captures: Captures) -> Sentry:
    past = writer.past.checkpoint
    number = past.index + 1 if past else 0
    triggers = settings.triggers
    before = precedent(
        str(writer.paths.h5) if past else "",
        settings.upstream,
        frozenset(name for trigger in triggers for name in trigger.compared),
    )
    watch = Watch(triggers, settings.captures, before, number)
    return Sentry(watch, Evidence(writer.store, captures, settings.logs), writer.append, number)


def _nodes(
    writer: BundleWriter, hellos: list[Hello], environments: list[Environment | None]
) -> tuple[Node, ...]:
    ranks: dict[tuple[str, str], list[int]] = {}
    for rank, hello in enumerate(hellos):
        ranks.setdefault((hello.host, hello.node), []).append(rank)
    facts = {node: environments[members[0]] or Environment() for node, members in ranks.items()}
    reference = environments[0] or Environment()
    return tuple(
        Node(
            host=host,
            ranks=tuple(members),
            environment=writer.store(facts[host, fingerprint]),
            differs=differing_facts(reference, facts[host, fingerprint]),
        )
        for (host, fingerprint), members in ranks.items()
    )


def _findings(segment: Segment, hellos: list[Hello], broken: str) -> list[Event]:
    found = [_warning("record_cut_off", segment, broken, {})] if broken else []
    found += [
        _warning(
            "nodes_differ",
            segment,
            f"{node.host} differs from {segment.nodes[0].host} in {', '.join(node.differs[:5])}",
            {"host": node.host, "differs": list(node.differs)},
        )
        for node in segment.nodes
        if node.differs
    ]
    if hellos[0].alone:
        launched = hellos[0].launched
        text = (
            f"the launcher started {launched} ranks and this program's communicator has 1: each "
            "is a run of its own. Is mpi4py installed, and for the MPI of the launcher?"
        )
        found.append(_warning("launched_alone", segment, text, {"launched": launched}))
    return found


def _warning(name: str, segment: Segment, text: str, facts: Facts) -> Event:
    warnings.warn(text, SimckptWarning, stacklevel=6)
    return Event(
        name=name,
        severity="warning",
        step=segment.start_step,
        wall=segment.started,
        text=text,
        rank=-1,
        facts=facts,
    )
