"""A checkpoint: a committed record whose id is the hash of its contents and its parents' ids."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from .record import Hash, Record, content_hash

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
