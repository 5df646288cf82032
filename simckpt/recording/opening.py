"""How a run begins: every rank says where it is, and rank 0 opens the bundle."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..bundle.appender import WriterOptions
from ..capture.environment import capture_circumstances, capture_node, differing_facts
from ..capture.jobs import launched_rank, launched_size
from ..capture.probes import attempt
from ..capture.rng import stream_mark
from ..errors import BundleError, SetupError, SimckptError, SimckptWarning
from ..model.documents import Circumstances, Environment, Node
from ..model.series import Event, Segment
from ..parallel.comm import ExchangeFailed
from .begin import Lineage, Precedent, beside, open_writer, precedent, trace
from .captures import Captures, capture_beginning
from .rank0 import Rank0Writer
from .redacted_texts import redacted
from .restart import NOTHING, known_samples
from .trigger_captures import Evidence
from .trigger_engine import Sentry
from .triggers import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bundle.writer import BundleWriter
    from ..model.record import Facts, Hash
    from ..parallel.comm import Comm
    from .settings import RunSettings

NodeFacts = tuple[Environment, Circumstances]


@dataclass(frozen=True)
class Hello:
    """What a rank says when a run begins; `node` is the fingerprint of its environment.

    `stream` tells its seeds and generators from those of other ranks. `alone` says that the
    launcher started several ranks and that this program sees one; `refusal` is rank 0's reason for
    not opening the bundle.
    """

    host: str
    node: Hash
    launched: int = 1
    alone: bool = False
    path: str = ""
    stream: str = ""
    refusal: SimckptError | None = None


def open_run(
    settings: RunSettings,
    comm: Comm,
    driver: Callable[..., Any] | str,
    parameters: Mapping[str, Any],
    timeout: float,
) -> tuple[str, Rank0Writer | None]:
    """The bundle's path, and on rank 0 its writer; collective.

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
        stream=_stream(settings),
        refusal=refusal,
    )
    try:
        hellos = comm.exchange("begin", mine, timeout)
        # The facts themselves travel once for each node, not once for each rank.
        first = next(r for r, h in enumerate(hellos) if (h.host, h.node) == (mine.host, mine.node))
        told = (node, capture_circumstances()) if first == comm.rank else None
        environments = comm.exchange("nodes", told, timeout)
    except ExchangeFailed:
        hellos, environments = [mine], [(node, Circumstances())]
        warnings.warn(
            f"not every rank entered simckpt.run within {timeout:.0f} s",
            SimckptWarning,
            stacklevel=4,
        )
    if hellos[0].refusal is not None:
        raise hellos[0].refusal
    if writer is None:
        return hellos[0].path, None
    beginning = capture_beginning(settings, driver, parameters, lineage.ids, comm.facts())
    captures = Captures(settings, beginning, tuple(h.stream for h in hellos), parameters)
    return hellos[0].path, _writer(settings, writer, captures, hellos, environments, lineage)


def _stream(settings: RunSettings) -> str:
    # The other ranks wait for what this one says, so that a foreign generator must not raise here.
    mark, _ = attempt(partial(stream_mark, settings.seeds), None)
    return mark or ""


def _opened(
    settings: RunSettings,
    driver: Callable[..., Any] | str,
    parameters: Mapping[str, Any],
    *,
    alone: bool,
) -> tuple[BundleWriter | None, Lineage, SimckptError | None]:
    """The writer, or why there is none: the other ranks wait for the answer, so none raises."""
    # Each sample outlives a killed process at once; only commits wait for storage.
    options = WriterOptions(durability=settings.durability, write_seconds=0.0)
    name = driver if isinstance(driver, str) else getattr(driver, "__name__", "run")
    path = settings.bundle or name
    try:
        lineage = trace(settings.upstream)
        campaign = lineage.campaign or redacted(os.environ.get("SIMCKPT_CAMPAIGN", ""))
        path = settings.place(name, parameters)
        if alone:
            _stop_where_told()
            path = beside(path, f"rank{launched_rank() or 0}")
        return open_writer(path, settings.if_exists, campaign, options), lineage, None
    except SimckptError as error:
        return None, Lineage(), error
    except Exception as error:  # noqa: BLE001 - whatever it is, every rank is to hear of it
        problem = f"could not be opened ({type(error).__name__}: {error})"
        return None, Lineage(), BundleError(path, problem)


def _stop_where_told() -> None:
    """SetupError for ranks that see themselves alone, in a job whose template started several."""
    if ranks := os.environ.get("SIMCKPT_RANKS"):
        raise SetupError(
            "SIMCKPT_RANKS",
            ranks,
            "is what the job template started, and each rank sees itself alone",
            mend="Name the launcher that belongs to the MPI library of this python, such as "
            "SIMCKPT_LAUNCH='srun -K --mpi=pmix' sbatch ...",
        )


def _writer(
    settings: RunSettings,
    writer: BundleWriter,
    captures: Captures,
    hellos: list[Hello],
    environments: list[NodeFacts | None],
    lineage: Lineage,
) -> Rank0Writer:
    beginning, past = captures.beginning, writer.earlier
    before = precedent(
        str(writer.paths.h5) if past.checkpoint else "",
        settings.upstream,
        frozenset(name for trigger in settings.triggers for name in trigger.compared),
    )
    for document in beginning.documents:
        writer.store(document)
    segment = Segment(
        index=past.segments,
        started=time.time(),
        ranks=len(hellos),
        start_step=captures.start_step,
        resumed_from=before.waypoints.before(captures.start_step)
        if captures.start_step
        else before.waypoints.last,
        nodes=_nodes(writer, hellos, environments),
        circumstances=writer.store(beginning.circumstances),
        scheduler=beginning.scheduler,
    )
    captures.nodes = {
        node.host: told[0]
        for node in segment.nodes
        if (told := environments[node.ranks[0]]) is not None
    }
    rank0 = Rank0Writer(
        writer,
        captures,
        _sentry(settings, writer, captures, before),
        segment,
        previous=past.checkpoint,
        specification=past.specification,
        upstream=lineage.upstream,
        waypoints=before.waypoints,
        known=known_samples(str(writer.paths.h5)) if past.checkpoint else NOTHING,
    )
    for event in _findings(segment, hellos, past.broken):
        rank0.event(event)
    return rank0


def _sentry(
    settings: RunSettings, writer: BundleWriter, captures: Captures, before: Precedent
) -> Sentry:
    past = writer.earlier.checkpoint
    number = past.index + 1 if past else 0
    watch = Watch(settings.triggers, settings.captures, before, number)
    return Sentry(watch, Evidence(writer.store, captures, settings.logs), writer.append, number)


def _nodes(
    writer: BundleWriter, hellos: list[Hello], environments: list[NodeFacts | None]
) -> tuple[Node, ...]:
    nothing = (Environment(), Circumstances())
    facts: dict[tuple[str, str], NodeFacts] = {}
    ranks: dict[tuple[str, str], list[int]] = {}
    for rank, hello in enumerate(hellos):
        node = (hello.host, hello.node)
        if node not in ranks:
            told = environments[rank] or nothing
            # Ranks of one host that differ only in what one of them could not read share a node.
            node = next(
                (k for k in facts if k[0] == node[0] and not differing_facts(facts[k][0], told[0])),
                node,
            )
            facts.setdefault(node, told)
        ranks.setdefault(node, []).append(rank)
    reference = (environments[0] or nothing)[0]
    return tuple(
        Node(
            host=host,
            ranks=tuple(members),
            environment=writer.store(facts[host, fingerprint][0]),
            differs=differing_facts(reference, facts[host, fingerprint][0]),
            # Those of rank 0 are the segment's.
            circumstances=writer.store(facts[host, fingerprint][1]) if members[0] else None,
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
