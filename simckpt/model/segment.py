"""A segment is one job attempt in a run; an event is something that happened in it."""

from __future__ import annotations

from typing import Literal

from .environment import Node
from .record import Document, Facts, Hash, Record

Ending = Literal["finished", "exception", "signal", "aborted"]
Severity = Literal["note", "warning", "error"]


class Patch(Record, frozen=True, kw_only=True):
    """A box of the global index space: `start` and `shape` per axis, and a refinement level."""

    start: tuple[int, ...]
    shape: tuple[int, ...]
    level: int = 0


class Decomposition(Document, tag="decomposition", frozen=True, kw_only=True):
    """Which rank holds which part: `patches[rank]`; ids are not listed for particles."""

    global_shape: tuple[int, ...]
    patches: tuple[tuple[Patch, ...], ...]


class Segment(Record, frozen=True, kw_only=True):
    """One job attempt, as it was when it began.

    `resumed_from` is the checkpoint it continues and `start_step` the step it starts at: samples
    of earlier segments past that step are superseded.
    """

    index: int
    started: float
    ranks: int
    start_step: int = 0
    resumed_from: Hash | None = None
    nodes: tuple[Node, ...] = ()
    circumstances: Hash | None = None
    scheduler: Facts = {}


class SegmentSchema(Record, frozen=True, kw_only=True):
    """What the samples that follow mean: written once the first sample of a segment is set up.

    `joint` says that the first sample was taken because the segment begins there, and that the
    run's cadence asks for none at that step: an unbroken run has none. `resumed_from` is the
    checkpoint that the segment continues, where its step was not known yet when it began.
    """

    segment: int
    schema: Hash
    decomposition: Hash | None = None
    start_step: int = 0
    joint: bool = False
    resumed_from: Hash | None = None


class SegmentEnd(Record, frozen=True, kw_only=True):
    """How a segment ended; a segment without one was killed.

    `joint` says that the last sample was taken because the segment ends there, and that the run's
    cadence asks for none at that step.
    """

    segment: int
    ending: Ending
    ended: float
    step: int
    why: str = ""
    joint: bool = False


DECOMPOSITION_CHANGED = "decomposition_changed"
"""Name of the event from whose step on a segment's decomposition holds no longer."""

DECOMPOSITION = "decomposition"
"""Among the facts of that event, the hash of the one that holds from there on, if it is known."""


class Event(Record, frozen=True, kw_only=True):
    """Something that happened: a fault of the instrumentation, a fall-back, a trigger, a signal.

    Parameters
    ----------
    name : str
        A stable name in snake case, such as ``diagnostic_failed``.
    text : str
        One sentence for a person.
    facts : dict
        Values that rules and reports can use.
    rank : int
        Where it happened; -1 for all ranks together.
    """

    name: str
    severity: Severity
    step: int
    wall: float
    text: str
    rank: int = 0
    facts: Facts = {}
