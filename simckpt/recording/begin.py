"""How a run begins: which ranks it has, which bundle it writes, and what rank 0 records first.

Every rank says where it is, and rank 0 opens a new bundle, the next job attempt of an unfinished
one, or one next to a finished one.
"""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..bundle.appender import WriterOptions
from ..bundle.files import bundle_paths
from ..bundle.reader import open_bundle
from ..bundle.writer import BundleWriter
from ..capture.environment import capture_circumstances, capture_node, differing_facts
from ..capture.jobs import launched_rank, launched_size
from ..capture.probes import attempt
from ..capture.rng import stream_fingerprint
from ..errors import BundleError, SetupError, SimckptError, SimckptWarning
from ..model.documents import Circumstances, Environment, Node
from ..model.series import Event, RunOpened, Segment
from ..parallel.comm import ExchangeFailed, SerialComm
from .captures import Captures, capture_start
from .rank0 import Rank0Writer
from .redacted_texts import redacted
from .resume import EarlierSamples, earlier_samples, previous_run, specification_at
from .trigger_captures import CaptureWriter
from .trigger_engine import TriggerEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.changes import Specification
    from ..model.record import Hash
    from ..parallel.comm import Comm
    from .resume import Upstream
    from .settings import IfExists, RunSettings

NodeFacts = tuple[Environment, Circumstances]

_CHECKPOINT_ID = re.compile(r"[0-9a-f]{64}")


def choose_comm(comm: object = None, *, forked: bool = False) -> Comm:
    """The communicator of a run.

    Where the user names none it is MPI's world if the driver uses mpi4py or was started by an MPI
    launcher, and otherwise one rank; a serial program never loads MPI. In a process that was
    `forked` from that of a run it is one rank.

    Raises
    ------
    SetupError
        If `comm` is neither an mpi4py communicator nor a `simckpt.parallel.comm.Comm`.
    """
    if comm is not None:
        if "mpi4py.MPI" in sys.modules:
            from ..parallel.mpi import as_comm

            if (wrapped := as_comm(comm)) is not None:
                return wrapped
        if callable(getattr(comm, "exchange", None)) and callable(getattr(comm, "reduce", None)):
            return comm  # type: ignore[return-value]
        raise SetupError(
            "comm",
            comm,
            "is not a communicator",
            mend="Pass an mpi4py communicator, or leave it out.",
        )
    # The MPI of a forked process is its parent's.
    if not forked and ("mpi4py.MPI" in sys.modules or (launched_size() or 1) > 1):
        try:
            from ..parallel.mpi import world
        except ImportError:
            return SerialComm()
        return world() or SerialComm()
    return SerialComm()


@dataclass(frozen=True)
class RankStart:
    """What a rank says when a run begins; `node` is the fingerprint of its environment.

    `stream` distinguishes its seeds and generators from those of other ranks. `alone` says that
    the launcher started several ranks and that this program sees one; `refusal` is rank 0's reason
    for not opening the bundle.
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
    writer: BundleWriter | None = None
    upstream: Upstream = ()
    refusal: SimckptError | None = None
    if comm.rank == 0:
        writer, upstream, refusal = _open_bundle(settings, driver, parameters, alone=alone)
    node = capture_node()
    # The other ranks wait for what this one says, so that a foreign generator must not raise here.
    stream, _ = attempt(partial(stream_fingerprint, settings.seeds), None)
    own = RankStart(
        host=comm.host,
        node=node.fingerprint,
        launched=launched,
        alone=alone,
        path=str(writer.paths.h5) if writer else "",
        stream=stream or "",
        refusal=refusal,
    )
    try:
        starts = comm.exchange("begin", own, timeout)
        # The facts themselves travel once for each node, not once for each rank.
        first = next(r for r, s in enumerate(starts) if (s.host, s.node) == (own.host, own.node))
        facts = (node, capture_circumstances()) if first == comm.rank else None
        environments = comm.exchange("nodes", facts, timeout)
    except ExchangeFailed:
        starts, environments = [own], [(node, Circumstances())]
        warnings.warn(
            f"not every rank entered simckpt.run within {timeout:.0f} s",
            SimckptWarning,
            stacklevel=4,
        )
    if starts[0].refusal is not None:
        raise starts[0].refusal
    if writer is None:
        return starts[0].path, None
    start = capture_start(
        settings, driver, parameters, tuple(id_ for id_, _ in upstream), comm.facts()
    )
    captures = Captures(settings, start, tuple(s.stream for s in starts), parameters)
    return starts[0].path, _rank0_writer(settings, writer, captures, starts, environments, upstream)


def _open_bundle(
    settings: RunSettings,
    driver: Callable[..., Any] | str,
    parameters: Mapping[str, Any],
    *,
    alone: bool,
) -> tuple[BundleWriter | None, Upstream, SimckptError | None]:
    """The writer, or why there is none: the other ranks wait for the answer, so none raises."""
    # Each sample outlives a killed process at once; only commits wait for storage.
    options = WriterOptions(durability=settings.durability, write_seconds=0.0)
    name = driver if isinstance(driver, str) else getattr(driver, "__name__", "run")
    path = settings.bundle or name
    try:
        campaign, upstream = upstream_checkpoints(settings.upstream)
        campaign = campaign or redacted(os.environ.get("SIMCKPT_CAMPAIGN", ""))
        path = settings.place(name, parameters)
        if alone:
            path = _path_of_one_rank(path)
        return open_writer(path, settings.if_exists, campaign, options), upstream, None
    except SimckptError as error:
        return None, (), error
    except Exception as error:  # noqa: BLE001 - whatever it is, every rank is to hear of it
        problem = f"could not be opened ({type(error).__name__}: {error})"
        return None, (), BundleError(path, problem)


def _path_of_one_rank(path: str) -> str:
    """The bundle of a rank that sees itself alone; SetupError in a job of our template."""
    if ranks := os.environ.get("SIMCKPT_RANKS"):
        raise SetupError(
            "SIMCKPT_RANKS",
            ranks,
            "is what the job template started, and each rank sees itself alone",
            mend="Name the launcher that belongs to the MPI library of this python, such as "
            "SIMCKPT_LAUNCH='srun -K --mpi=pmix' sbatch ...",
        )
    return _with_suffix(path, f"rank{launched_rank() or 0}")


def upstream_checkpoints(entries: tuple[str, ...]) -> tuple[str, Upstream]:
    """The campaign and the checkpoints that paths of bundles, or checkpoint ids, name.

    A bundle names its last checkpoint, whose specification is read; the campaign is that of the
    first bundle. A checkpoint that is named several times counts once.

    Raises
    ------
    SetupError
        If an entry is neither a readable bundle nor a checkpoint id.
    """
    campaign = ""
    checkpoints: dict[Hash, Specification | None] = {}
    for entry in entries:
        if _CHECKPOINT_ID.fullmatch(entry):
            checkpoints.setdefault(entry, None)
            continue
        try:
            with open_bundle(entry) as bundle:
                if not bundle.checkpoints:
                    raise SetupError("upstream", entry, "has no checkpoint yet")
                last = bundle.checkpoints[-1]
                specification = specification_at(bundle, last)
                campaign = campaign or bundle.campaign
        except BundleError as error:
            raise SetupError(
                "upstream",
                entry,
                f"is neither a bundle that can be read nor a checkpoint id ({error.problem})",
            ) from error
        if checkpoints.get(last.id) is None:
            checkpoints[last.id] = specification
    return campaign, tuple(checkpoints.items())


def open_writer(
    path: str, if_exists: IfExists, campaign: str, options: WriterOptions
) -> BundleWriter:
    """The writer for a run whose bundle is to be at `path`.

    With ``if_exists="auto"`` a run that has not finished is continued as a new segment of its
    bundle, and a finished one is kept: the new run gets the next free name beside it
    (``kh.simckpt.h5``, ``kh-2.simckpt.h5``). ``"continue"`` and ``"rename"`` ask for one of the
    two, ``"error"`` refuses a path that is taken.

    Raises
    ------
    BundleError
        If the place cannot be written to, is taken by something that is not a bundle, or by
        a bundle while ``if_exists="error"``.
    """
    if bundle_paths(path).exists():
        if if_exists == "error":
            raise BundleError(path, "exists already", 'Choose another path, or if_exists="auto".')
        if if_exists != "rename":
            with open_bundle(path) as bundle:
                finished = bool(bundle.segments) and bundle.segments[-1].ending == "finished"
            if if_exists == "continue" or not finished:
                return BundleWriter.resume(path, options)
        number, original = 2, path
        while bundle_paths(path := _with_suffix(original, str(number))).exists():
            number += 1
    run_id = os.urandom(8).hex()
    opened = RunOpened(
        run_id=run_id,
        campaign=campaign or run_id,
        created=time.time(),
        simckpt_version=__version__,
    )
    return BundleWriter.create(path, opened, options)


def _with_suffix(path: str, suffix: str) -> str:
    """``kh.simckpt.h5`` with the suffix ``"2"`` is ``kh-2.simckpt.h5``."""
    return f"{bundle_paths(path).stem}-{suffix}.simckpt.h5"


def _rank0_writer(
    settings: RunSettings,
    writer: BundleWriter,
    captures: Captures,
    starts: list[RankStart],
    environments: list[NodeFacts | None],
    upstream: Upstream,
) -> Rank0Writer:
    past, checkpoint = writer.earlier, writer.earlier.checkpoint
    path = str(writer.paths.h5) if checkpoint else ""
    initial = frozenset(name for t in settings.triggers for name in t.initial_quantities)
    previous = previous_run(path, settings.upstream, initial)
    for document in captures.start.documents:
        writer.store(document)
    segment = Segment(
        index=past.segments,
        started=time.time(),
        ranks=len(starts),
        start_step=captures.start_step,
        resumed_from=previous.resume_points.before(captures.start_step)
        if captures.start_step
        else previous.resume_points.last,
        nodes=_nodes(writer, starts, environments),
        circumstances=writer.store(captures.start.circumstances),
        scheduler=captures.start.scheduler,
    )
    captures.nodes = {
        node.host: facts[0]
        for node in segment.nodes
        if (facts := environments[node.ranks[0]]) is not None
    }
    engine = TriggerEngine(
        settings.triggers,
        settings.captures,
        previous,
        CaptureWriter(writer.store, captures, settings.logs),
        writer.append,
        checkpoint.index + 1 if checkpoint else 0,
    )
    rank0 = Rank0Writer(
        writer,
        captures,
        engine,
        segment,
        previous=checkpoint,
        specification=past.specification,
        upstream=upstream,
        resume_points=previous.resume_points,
        earlier=earlier_samples(path) if path else EarlierSamples(),
    )
    for event in _start_events(segment, starts, past.broken):
        rank0.event(event)
    return rank0


def _nodes(
    writer: BundleWriter, starts: list[RankStart], environments: list[NodeFacts | None]
) -> tuple[Node, ...]:
    """The nodes of a run; on one host, ranks with other facts are another node."""
    nothing = (Environment(), Circumstances())
    facts: dict[tuple[str, str], NodeFacts] = {}
    ranks: dict[tuple[str, str], list[int]] = {}
    for rank, start in enumerate(starts):
        node = (start.host, start.node)
        if node not in ranks:
            own = environments[rank] or nothing
            # Ranks of one host that differ only in what one of them could not read share a node.
            node = next(
                (k for k in facts if k[0] == node[0] and not differing_facts(facts[k][0], own[0])),
                node,
            )
            facts.setdefault(node, own)
        ranks.setdefault(node, []).append(rank)
    reference = (environments[0] or nothing)[0]
    return tuple(
        Node(
            host=node[0],
            ranks=tuple(members),
            environment=writer.store(facts[node][0]),
            differs=differing_facts(reference, facts[node][0]),
            # Those of rank 0 are the segment's.
            circumstances=writer.store(facts[node][1]) if members[0] else None,
        )
        for node, members in ranks.items()
    )


def _start_events(segment: Segment, starts: list[RankStart], broken: str) -> list[Event]:
    """What is unusual at the beginning of a run; each is warned of too."""
    events: list[Event] = []

    def add(name: str, text: str, **facts: Any) -> None:
        warnings.warn(text, SimckptWarning, stacklevel=7)
        events.append(
            Event(
                name=name,
                severity="warning",
                step=segment.start_step,
                wall=segment.started,
                text=text,
                rank=-1,
                facts=facts,
            )
        )

    if broken:
        add("record_cut_off", broken)
    for node in segment.nodes:
        if node.differs:
            text = f"differs from {segment.nodes[0].host} in {', '.join(node.differs[:5])}"
            add("nodes_differ", f"{node.host} {text}", host=node.host, differs=[*node.differs])
    if starts[0].alone:
        launched = starts[0].launched
        text = (
            f"the launcher started {launched} ranks and this program's communicator has 1: each "
            "is a run of its own. Is mpi4py installed, and for the MPI of the launcher?"
        )
        add("launched_alone", text, launched=launched)
    return events
