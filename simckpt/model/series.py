"""Samples, and the schema that says what their numbers mean.

A sample is one row of diagnostics: a row of float64 values, one to a column of the
`SeriesSchema`, and a row of uint64 tile digests, field after field. Both are kept as
little-endian bytes, so that a sample has one encoding and therefore one hash.
"""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from .documents import Node
from .record import FORMAT_VERSION, Document, Facts, Hash, Record, content_hash

ColumnKind = Literal[
    "conserved",
    "budget",
    "minimum",
    "maximum",
    "location",
    "count",
    "stability",
    "norm",
    "residual",
    "scalar",
    "custom",
]


class Column(Record, frozen=True, kw_only=True):
    """One quantity of a sample.

    Parameters
    ----------
    name : str
        Unique in the schema: ``"mass"``, ``"rho.min"``, ``"rho.nan"``, ``"courant"``.
    kind : str
        What it measures; comparison and reports group by it.
    of : str
        The field or expression it is computed from.
    exact : bool
        The value is correctly rounded and independent of the decomposition, so that any
        difference between two runs is a difference of their states.
    note : str
        Formula, convention, or why the value cannot be exact.
    limit : float or None
        The largest that the value may be, as the user declared it.
    measure : float, optional
        Of an integral over the cells, that of one: the volume of the cells that count in the
        first sample of the job attempt, or their number where plain values are added up, to 12
        digits. Left out where it is not known.
    """

    name: str
    kind: ColumnKind
    of: str = ""
    exact: bool = True
    monotone: Literal["", "increasing", "decreasing"] = ""
    note: str = ""
    limit: float | None = None
    measure: float | UnsetType = UNSET


class FieldTiles(Record, frozen=True, kw_only=True):
    """How the global index space of one field is cut into tiles.

    `edges[axis]` has one more entry than there are tiles along that axis; tile ``(i, j)`` holds
    the global indices ``edges[0][i]:edges[0][i+1], edges[1][j]:edges[1][j+1]``. Fields of
    particles and unstructured cells have one axis, that of the global ids.
    """

    field: str
    dtype: str
    global_shape: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(len(e) - 1 for e in self.edges)

    @property
    def size(self) -> int:
        """Tiles in all."""
        return prod(self.shape)

    def bounds(self, tile: int) -> tuple[tuple[int, int], ...]:
        """The half-open global index range of tile number `tile` (C order), axis by axis."""
        index: list[int] = []
        for n in reversed(self.shape):
            tile, i = divmod(tile, n)
            index.append(i)
        return tuple((e[i], e[i + 1]) for e, i in zip(self.edges, reversed(index), strict=True))


class SeriesSchema(Document, tag="series_schema", frozen=True, kw_only=True):
    """The columns and the tiles of a segment's samples, in the order of their bytes."""

    columns: tuple[Column, ...]
    tiles: tuple[FieldTiles, ...] = ()

    @property
    def digests(self) -> int:
        """Digests in a sample."""
        return sum(t.size for t in self.tiles)

    def column(self, name: str) -> int:
        """Position of the column `name`; KeyError if there is none."""
        for i, column in enumerate(self.columns):
            if column.name == name:
                return i
        raise KeyError(name)


class Sample(Record, array_like=True, frozen=True, kw_only=True):
    """One row of diagnostics.

    Parameters
    ----------
    step : int
        The driver's step number after which it was taken; 0 is the initial condition.
    t : float
        Simulated time (NaN where the driver gives none).
    wall : float
        Seconds since the epoch, on rank 0.
    values : bytes
        float64, little-endian, one to a column of the schema; NaN where a diagnostic failed.
    digests : bytes
        uint64, little-endian, the tiles of each field in schema order, C order within a field.
    faults : int
        Ranks' diagnostics that failed in this sample; 0 is a sound sample.
    """

    step: int
    t: float
    wall: float
    values: bytes
    digests: bytes = b""
    faults: int = 0


class TileRow(Record, array_like=True, frozen=True, kw_only=True):
    """Statistics of the tiles of one field at one sample: written at checkpoints.

    `minimum`, `maximum` and `mean` are float64, little-endian, C order over the tiles; a tile
    without a finite value has NaN in all three. `mean` does not depend on the decomposition
    and is good to 1e-10 of the field's scale.
    """

    step: int
    field: str
    minimum: bytes
    maximum: bytes
    mean: bytes


# A segment is one job attempt in a run; an event is something that happened in it.


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


# A checkpoint: a committed record whose id is the hash of its contents and its parents' ids.


Reason = Literal["user", "start", "schedule", "trigger", "signal", "exception", "final"]


class Parts(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of the bundle as references to documents; None where a part is not there."""

    manifest: Hash | None = None
    specification: Hash | None = None
    spec_diff: Hash | None = None
    environment: Hash | None = None
    intent: Hash | None = None
    artifacts: Hash | None = None
    numerics: Hash | None = None
    random: Hash | None = None
    transforms: Hash | None = None
    configuration: tuple[Hash, ...] = ()


class StateDescriptor(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The state in a few numbers: the last sample's values, and one digest for each field.

    `values` leaves out what is not finite; `non_finite` names it. `digests` are 16 hexadecimal
    digits: the sum modulo 2**64 of the field's tile digests.
    """

    step: int
    t: float | None
    values: dict[str, float] = {}
    non_finite: dict[str, str] = {}
    digests: dict[str, str] = {}


class Cost(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Seconds spent by the instrumentation on rank 0 since the segment began, and all in all.

    `setup` is spent once: kernels are compiled or loaded, and the first sample is agreed on.
    """

    wall: float = 0.0
    setup: float = 0.0
    samples: float = 0.0
    reductions: float = 0.0
    checkpoints: float = 0.0
    captures: float = 0.0

    @property
    def share(self) -> float:
        """Part of the wall time that the instrumentation took, 0 to 1, its set-up left out."""
        spent = self.samples + self.reductions + self.checkpoints + self.captures
        return spent / self.wall if self.wall > 0 else 0.0


class Checkpoint(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A committed bundle record.

    `records` is the running hash of every journal record of this run up to this checkpoint, so
    that a record which was altered, dropped or reordered breaks the chain at a known place.
    """

    id: Hash = ""
    parents: tuple[Hash, ...]
    segment: int
    index: int
    label: str
    reason: Reason
    step: int
    t: float | None
    wall: float
    parts: Parts
    state: StateDescriptor | None = None
    samples: int = 0
    records: Hash = ""
    cost: Cost = Cost()
    why: str = ""

    def identified(self) -> Checkpoint:
        """This checkpoint with the id that its contents and parents give it."""
        return replace(self, id=self.identity())

    def identity(self) -> Hash:
        """The id that the contents and parents give; equal to `id` unless it was tampered with."""
        return content_hash(replace(self, id=""))


# The records of a journal, in the order in which a run writes them.


class RunOpened(Record, frozen=True, kw_only=True):
    """The first record of every bundle: which run this is."""

    run_id: str
    campaign: str
    created: float
    simckpt_version: str
    format_version: int = FORMAT_VERSION


class StoredDocument(Record, frozen=True, kw_only=True):
    """A document that later records refer to by `hash`; `json` is its canonical JSON."""

    hash: Hash
    json: bytes


JournalRecord: TypeAlias = (
    RunOpened
    | StoredDocument
    | Segment
    | SegmentSchema
    | Sample
    | TileRow
    | Event
    | Checkpoint
    | SegmentEnd
)
