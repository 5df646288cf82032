"""How a run begins: every rank says where it is, and rank 0 opens the bundle."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bundle.options import WriterOptions
from ..capture.environment import capture_node, differing_facts
from ..capture.launcher import launched_rank, launched_size
from ..errors import SimckptError, SimckptWarning
from ..model.environment import Environment, Node
from ..model.segment import Event, Segment
from ..parallel.comm import ExchangeTimeout
from .bundle_scribe import BundleScribe
from .captures import Captures, capture_beginning
from .lineage import Lineage, trace
from .placing import Past, beside, open_writer
from .scribe import Scribe, SilentScribe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle.writer import BundleWriter
    from ..model.record import Facts
    from ..parallel.comm import Comm
    from .settings import RunSettings


@dataclass(frozen=True)
class Hello:
    """What a rank says when a run begins.

    `alone` says that the launcher started several ranks and that this program sees one;
    `refusal` is rank 0's reason for not opening the bundle.
    """

    host: str
    node: Environment
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
    writer: BundleWriter | None = None
    refusal: SimckptError | None = None
    lineage, past = Lineage(), Past()
    launched = launched_size() or 1
    alone = settings.whole_world and comm.size == 1 and launched > 1
    if comm.rank == 0:
        try:
            lineage = trace(settings.upstream)
            path = settings.place(driver, parameters)
            if alone:
                path = beside(path, f"rank{launched_rank() or 0}")
            writer, past = open_writer(
                path, settings.exists, lineage.campaign, writer_options(settings)
            )
        except SimckptError as error:
            refusal = error
    mine = Hello(
        host=comm.host,
        node=capture_node(),
        launched=launched,
        alone=alone,
        path=str(writer.paths.h5) if writer else "",
        refusal=refusal,
    )
    try:
        hellos = comm.exchange(mine, timeout)
    except ExchangeTimeout:
        hellos = [mine]
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
    return hellos[0].path, _scribe(writer, past, captures, hellos, lineage)


def writer_options(settings: RunSettings) -> WriterOptions:
    """How the bundle of a run is written: each sample outlives a killed process at once."""
    return WriterOptions(durability=settings.durability, write_seconds=0.0)


def _scribe(
    writer: BundleWriter,
    past: Past,
    captures: Captures,
    hellos: list[Hello],
    lineage: Lineage,
) -> BundleScribe:
    beginning = captures.beginning
    for document in beginning.documents:
        writer.store(document)
    segment = Segment(
        index=past.segments,
        started=time.time(),
        ranks=len(hellos),
        start_step=captures.start_step,
        resumed_from=past.checkpoint.id if past.checkpoint else None,
        nodes=_nodes(writer, hellos),
        circumstances=writer.store(beginning.circumstances),
        scheduler=beginning.scheduler,
    )
    scribe = BundleScribe(
        writer,
        captures,
        segment,
        previous=past.checkpoint,
        specification=past.specification,
        upstream=lineage.upstream,
    )
    for event in _findings(segment, hellos):
        scribe.event(event)
    return scribe


def _nodes(writer: BundleWriter, hellos: list[Hello]) -> tuple[Node, ...]:
    first = hellos[0].node
    ranks: dict[tuple[str, str], list[int]] = {}
    environments: dict[str, Environment] = {}
    for rank, hello in enumerate(hellos):
        fingerprint = hello.node.fingerprint
        environments[fingerprint] = hello.node
        ranks.setdefault((hello.host, fingerprint), []).append(rank)
    return tuple(
        Node(
            host=host,
            ranks=tuple(members),
            environment=writer.store(environments[fingerprint]),
            differs=differing_facts(first, environments[fingerprint]),
        )
        for (host, fingerprint), members in ranks.items()
    )


def _findings(segment: Segment, hellos: list[Hello]) -> list[Event]:
    found = [
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
