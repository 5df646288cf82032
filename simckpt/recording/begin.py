"""Where a run is written: a new bundle, the next attempt of an unfinished one, or beside it."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import __version__
from ..bundle.files import bundle_paths
from ..bundle.reader import open_bundle
from ..bundle.writer import BundleWriter
from ..capture.jobs import launched_size
from ..errors import BundleError, SetupError
from ..model.changes import Specification
from ..model.documents import Environment
from ..model.series import RunOpened
from ..parallel.comm import SerialComm
from .resume_points import Waypoints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..bundle.appender import WriterOptions
    from ..bundle.reader import Bundle
    from ..model.record import Facts, Hash
    from ..model.series import Checkpoint
    from ..parallel.comm import Comm
    from .settings import IfExists


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
    if not bundle_paths(path).exists():
        return _created(path, campaign, options)
    if if_exists == "error":
        raise BundleError(path, "exists already", 'Choose another path, or if_exists="auto".')
    if if_exists != "rename":
        with open_bundle(path) as bundle:
            finished = bool(bundle.segments) and bundle.segments[-1].ending == "finished"
        if if_exists == "continue" or not finished:
            return BundleWriter.resume(path, options)
    return _created(_free_name(path), campaign, options)


def beside(path: str, suffix: str) -> str:
    """The path of a bundle beside `path`: ``kh.simckpt.h5`` with ``"2"`` is ``kh-2.simckpt.h5``."""
    return f"{bundle_paths(path).stem}-{suffix}.simckpt.h5"


def specified_at(bundle: Bundle, checkpoint: Checkpoint | None) -> Specification | None:
    """The specification that `checkpoint` refers to, if it does."""
    if checkpoint is None or checkpoint.parts.specification is None:
        return None
    document = bundle.document(checkpoint.parts.specification)
    return document if isinstance(document, Specification) else None


def _created(path: str, campaign: str, options: WriterOptions) -> BundleWriter:
    run_id = os.urandom(8).hex()
    opened = RunOpened(
        run_id=run_id,
        campaign=campaign or run_id,
        created=time.time(),
        simckpt_version=__version__,
    )
    return BundleWriter.create(path, opened, options)


def _free_name(path: str) -> str:
    n = 2
    while bundle_paths(candidate := beside(path, str(n))).exists():
        n += 1
    return candidate


# Which ranks a run is made of.


def choose_comm(given: object = None, *, forked: bool = False) -> Comm:
    """The communicator of a run.

    Without one given it is MPI's world if the driver uses mpi4py or was started by an MPI
    launcher, and otherwise one rank; a serial program never loads MPI. In a process that was
    `forked` from that of a run it is one rank.

    Raises
    ------
    SetupError
        If `given` is neither an mpi4py communicator nor a `simckpt.parallel.comm.Comm`.
    """
    if given is not None:
        return _given(given)
    if forked:
        # MPI is the parent's.
        return SerialComm()
    if "mpi4py.MPI" in sys.modules or (launched_size() or 1) > 1:
        try:
            from ..parallel.mpi import world
        except ImportError:
            return SerialComm()
        return world() or SerialComm()
    return SerialComm()


def _given(given: object) -> Comm:
    if "mpi4py.MPI" in sys.modules:
        from ..parallel.mpi import as_comm

        if (comm := as_comm(given)) is not None:
            return comm
    if callable(getattr(given, "exchange", None)) and callable(getattr(given, "reduce", None)):
        return given  # type: ignore[return-value]
    raise SetupError(
        "comm", given, "is not a communicator", mend="Pass an mpi4py communicator, or leave it out."
    )


# From which checkpoints a run starts.


_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Lineage:
    """Upstream checkpoints, each with its specification where its bundle was at hand."""

    campaign: str = ""
    upstream: tuple[tuple[Hash, Specification | None], ...] = ()

    @property
    def ids(self) -> tuple[Hash, ...]:
        """The checkpoints' ids."""
        return tuple(id_ for id_, _ in self.upstream)


def trace(upstream: tuple[str, ...]) -> Lineage:
    """The lineage that the paths of bundles, or checkpoint ids, in `upstream` stand for.

    A bundle stands for its last checkpoint; the campaign is that of the first one. A checkpoint
    that is named several times counts once.

    Raises
    ------
    SetupError
        If an entry is neither a readable bundle nor a checkpoint id.
    """
    campaign = ""
    found: dict[Hash, Specification | None] = {}
    for entry in upstream:
        if _ID.fullmatch(entry):
            found.setdefault(entry, None)
            continue
        try:
            with open_bundle(entry) as bundle:
                if not bundle.checkpoints:
                    raise SetupError("upstream", entry, "has no checkpoint yet")
                last = bundle.checkpoints[-1]
                spec = specified_at(bundle, last)
                campaign = campaign or bundle.campaign
        except BundleError as error:
            raise SetupError(
                "upstream",
                entry,
                f"is neither a bundle that can be read nor a checkpoint id ({error.problem})",
            ) from error
        if found.get(last.id) is None:
            found[last.id] = spec
    return Lineage(campaign, tuple(found.items()))


# What came before a job attempt: the run's own earlier attempts, or the runs upstream.


@dataclass(frozen=True)
class Precedent:
    """What triggers compare a job attempt with.

    Parameters
    ----------
    none : bool
        Nothing came before: this is the beginning of a campaign.
    continued : bool
        They are the run's own earlier attempts.
    environment, specification
        Those of the last checkpoint, where they are at hand.
    nodes : tuple of Environment
        What the nodes of the last job attempt told of themselves.
    first : mapping of str to float
        Values of the run's first sample by column; empty for a new run.
    captures : mapping of str to int
        The run's last capture of each trigger, as the number of its checkpoint.
    waypoints : Waypoints
        The run's checkpoints that it may go on from.
    """

    none: bool = True
    continued: bool = False
    environment: Environment | None = None
    specification: Specification | None = None
    nodes: tuple[Environment, ...] = ()
    first: Mapping[str, float] = field(default_factory=dict)
    captures: Mapping[str, int] = field(default_factory=dict)
    waypoints: Waypoints = field(default_factory=Waypoints)


def precedent(
    continued: str, upstream: tuple[str, ...], quantities: frozenset[str] = frozenset()
) -> Precedent:
    """What came before: in the bundle that is `continued`, if any, and else `upstream`.

    Of the run's first sample, the values of `quantities` are read. What cannot be read is not at
    hand; the run does not depend on it.
    """
    if not continued:
        return _upstream_run(upstream)
    try:
        return _earlier_attempt(continued, quantities)
    except (BundleError, OSError):
        return Precedent(none=False, continued=True)


def _earlier_attempt(path: str, quantities: frozenset[str]) -> Precedent:
    with open_bundle(path) as bundle:
        there = _last(bundle)
        captures: dict[str, int] = {}
        for event in bundle.events:
            if event.name == "capture" and isinstance(event.facts.get("checkpoint"), int):
                captures[str(event.facts.get("trigger"))] = event.facts["checkpoint"]
        firsts: dict[str, float] = {}
        if quantities:
            series = bundle.series()
            known = quantities.intersection(series) if len(series.step) else ()
            firsts = {name: float(series[name][0]) for name in known}
        return Precedent(
            none=there.none,
            continued=True,
            environment=there.environment,
            specification=there.specification,
            nodes=there.nodes,
            first={name: value for name, value in firsts.items() if math.isfinite(value)},
            captures=captures,
            waypoints=Waypoints.of(bundle.checkpoints, bundle.segments),
        )


def _upstream_run(entries: tuple[str, ...]) -> Precedent:
    for entry in entries:
        try:
            with open_bundle(entry) as bundle:
                return _last(bundle)
        except (BundleError, OSError):
            continue  # a checkpoint id whose bundle is elsewhere
    return Precedent(none=not entries)


def _last(bundle: Bundle) -> Precedent:
    if not bundle.checkpoints:
        return Precedent()
    last = bundle.checkpoints[-1]
    document = bundle.document(last.parts.environment) if last.parts.environment else None
    return Precedent(
        none=False,
        environment=document if isinstance(document, Environment) else None,
        specification=specified_at(bundle, last),
        nodes=tuple(_environments(bundle)),
    )


def _environments(bundle: Bundle) -> Iterator[Environment]:
    """Those of the nodes of the last job attempt, each kind of node once."""
    nodes = bundle.segments[-1].segment.nodes if bundle.segments else ()
    for reference in dict.fromkeys(node.environment for node in nodes):
        document = bundle.document(reference)
        if isinstance(document, Environment):
            yield document


# Which parts of two specifications can be compared.
#
# The diagnostics are known once the first sample is set up, and a checkpoint that is made before
# has nothing of them. That they are known afterwards is no change of the specification. Neither
# are the triggers and the configuration files, where one of the two was written by a simckpt that
# did not record them.


_KEY = "declarations"
_LATER = (_KEY, "captures")
_SINCE = ("configuration",)


def declared_in(specification: Specification) -> Facts:
    """The declarations in `specification`; empty where they were not known yet."""
    return _part(specification.facts, _KEY)


def alike(old: Specification, new: Specification) -> bool:
    """Whether two specifications are of one program: then what differs was changed.

    They have the same role in their chains, and modules of the user's own in common. A driver
    whose file alone has another name has the same arguments.
    """
    one, other = old.facts, new.facts
    if _part(one, "stage").get("role") != _part(other, "stage").get("role"):
        return False
    code = _part(one, "code"), _part(other, "code")
    if code[0].keys() & code[1].keys():
        return True
    same = one.get("driver") == other.get("driver")
    arguments = _part(one, "parameters").keys() & _part(other, "parameters").keys()
    return same and bool(arguments or not (code[0] and code[1]))


def comparable(old: Specification, new: Specification) -> tuple[Facts, Facts]:
    """The facts of both, without the parts that one side does not know."""
    unknown = {key for key in _LATER if not (old.facts.get(key) and new.facts.get(key))}
    unknown |= {key for key in _SINCE if not (key in old.facts and key in new.facts)}
    first, second = (
        {key: value for key, value in side.facts.items() if key not in unknown}
        for side in (old, new)
    )
    return first, second


def _part(facts: Facts, name: str) -> Facts:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}


# How a job attempt begins and ends, and what joins it to the ones before.
