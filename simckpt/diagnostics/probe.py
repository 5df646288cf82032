"""The instrument of one rank: it measures its part, and reads what all ranks' parts add up to.

A probe neither communicates nor writes. The life of one:

=========  =====================================================================================
offer      what this rank holds, to be exchanged at the first sample; never raises
agree      all ranks' offers: plans the samples, or raises the same `SetupError` on every rank
measure    this rank's message, of the size that was agreed; never raises
unreadable the message of a rank whose state could not be read
blank      the message of a rank that has nothing to say
finish     on rank 0, from the added-up messages: the `Reading`
=========  =====================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..errors import InstrumentError
from ..model.series import Decomposition, Patch, SeriesSchema
from ..parallel.comm import Maxima, Sums
from .declarations import Declarations
from .kernel_cache import threads_wanted
from .partition import Kept, box_parts, particle_parts
from .quantities.base import PARTICLES, LocalState
from .rank_agreement import NO_SETTINGS, Offer, make_offer
from .reading import Memory, Reading, TileStatistics, read_message
from .sampler import Requests
from .setup import Agreement, agree
from .state import State
from .views import Extremes

if TYPE_CHECKING:
    from .local_parts import Part
    from .sampler import Sampler

MOST_FAULTS = 100

Held: TypeAlias = tuple[tuple[Patch, bool], ...]
"""A rank's boxes, each with whether a mask leaves some of its cells out."""


class Fault(NamedTuple):
    """A diagnostic that failed on this rank."""

    step: int
    diagnostic: str
    text: str

    def __str__(self) -> str:
        return f"{self.diagnostic} at step {self.step}: {self.text}"


class Probe:
    """Takes samples on one rank.

    Parameters
    ----------
    declarations : Declarations
        What to measure.
    rank : int
        This rank, for error messages.

    Examples
    --------
    >>> import numpy as np
    >>> from simckpt import Grid
    >>> from simckpt.diagnostics.probe import Declarations, Probe, State
    >>> probe = Probe(Declarations(conserved={"mass": "rho"}))
    >>> state = State(Grid(4, spacing=0.5), {"rho": np.array([1e16, 1.0, -1e16, 1.0])}, step=3)
    >>> probe.agree([probe.offer(state)])
    >>> reading = probe.finish(*probe.measure(state))
    >>> reading.step, reading["mass"]
    (3, 1.0)
    """

    def __init__(self, declarations: Declarations, rank: int = 0) -> None:
        self.declarations = declarations
        self.rank = rank
        self.faults: list[Fault] = []
        self.held: Held | None = None
        """This rank's boxes in the last sample; None where it could not be taken."""
        self._agreement: Agreement | None = None
        self._requests: Requests | None = None
        self._sampler: Sampler | None = None
        self._memory: Memory = {}
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._kept = Kept()

    def offer(self, state: State, settings: Mapping[str, str] = NO_SETTINGS) -> Offer:
        """What this rank holds and is asked for; a mistake is carried along as its `error`.

        `settings` are the texts of other arguments that must be the same on every rank.
        """
        return make_offer(state, self.rank, self.declarations.facts(), settings)

    def agree(self, offers: Sequence[Offer]) -> None:
        """Settle what is measured, from the offers of all ranks in rank order.

        Raises
        ------
        SetupError
            The same on every rank: an array that does not match its grid, an unknown field in
            an expression, cells that are missing or held twice.
        """
        self._agreement = agree(self.declarations, offers)
        self._requests = Requests(self._agreement, self.rank)

    @property
    def agreed(self) -> bool:
        """Whether the samples are planned."""
        return self._agreement is not None

    @property
    def schema(self) -> SeriesSchema:
        """What the samples mean; after `agree`."""
        return self._settled.schema

    @property
    def decomposition(self) -> Decomposition:
        """Which rank holds which boxes; after `agree`."""
        return self._settled.decomposition

    @property
    def _settled(self) -> Agreement:
        if self._agreement is None:
            raise InstrumentError("the probe has not agreed with the other ranks yet")
        return self._agreement

    def blank(self) -> tuple[Sums, Maxima]:
        """The message that changes nothing."""
        return self._settled.layout.blank()

    def unreadable(self, step: int) -> tuple[Sums, Maxima]:
        """The message of a rank that is at `step` but could not read its state."""
        assert self._requests is not None
        sums, maxima = self.blank()
        self._requests.head(State(step=step), sums, maxima)
        self._requests.fail_all(sums)
        return sums, maxima

    def measure(self, state: State) -> tuple[Sums, Maxima]:
        """This rank's message. What fails is counted in it, and told in `faults`."""
        agreement = self._settled
        assert self._requests is not None
        sums, maxima = agreement.layout.blank()
        for name in self._requests.head(state, sums, maxima):
            self._note(state.step, name, TypeError("is no number"))
        extremes = Extremes(self._requests.located)

        def failing(name: str, error: Exception) -> None:
            self._note(state.step, name, error)

        self.held = None
        held: list[tuple[Patch, bool]] = []
        try:
            if self._sampler is None:
                self._sampler = _sampler(agreement)
            for particles, parts, failed in self._spaces(state):
                self._requests.measure(
                    self._sampler, particles, parts, failed, sums, maxima, extremes, failing
                )
                held += [(part.patch, part.where is not None) for part in parts if part.ids is None]
            self.held = tuple(held)
        except Exception as error:  # noqa: BLE001 - a sample must never end the simulation
            sums, maxima = self.unreadable(state.step)
            self._note(state.step, "sample", error)
        # What the driver reported counts even in a sample whose fields could not be read.
        self._requests.share(
            LocalState(state, self.rank, extremes),
            failing,
            sums,
            maxima,
        )
        return sums, maxima

    def finish(self, sums: Sums, maxima: Maxima) -> Reading:
        """What the added-up messages of all ranks say: each value rounded once.

        Called once for each sample, in their order: some quantities look back.
        """
        return read_message(self._settled, sums, maxima, self._memory)

    def _note(self, step: int, diagnostic: str, error: Exception) -> None:
        if len(self.faults) < MOST_FAULTS:
            text = f"{type(error).__name__}: {error}"
            self.faults.append(Fault(step, diagnostic, text))

    def _spaces(self, state: State) -> Iterator[tuple[bool, list[Part], set[str]]]:
        """Whether these are particles, the parts of this rank, and the fields that failed."""
        failed: set[str] = set()

        def note(name: str, error: Exception) -> None:
            if name not in failed:
                failed.add(name)
                self._note(state.step, name, error)

        channels, refinable = self._settled.channels, self._settled.refinable
        boxes = [channel for channel in channels if channel.space != PARTICLES]
        parts = self._kept.parts(state)
        if parts is None:
            parts = dict(box_parts(state, boxes, note, self._shapes, refinable=refinable))
            self._shapes = {number: part.shape for number, part in parts.items()}
            if not failed:
                self._kept.keep(state, parts)
        yield False, list(parts.values()), failed
        failed = set()
        items = [channel for channel in channels if channel.space == PARTICLES]
        yield True, list(particle_parts(state, items, note)), failed


def _sampler(agreement: Agreement) -> Sampler:
    """A sampler whose kernels are compiled: by one process of a node for all of them."""
    from .kernel_cache import lock_path, one_at_first

    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise InstrumentError("NUMBA_DISABLE_JIT is set, and kernels need the compiler: unset it")
    with one_at_first(lock_path()):
        from .sampler import Sampler, ready_grids, ready_ids

        if agreement.decomposition.global_shape and not agreement.by_id:
            ready_grids()
        if agreement.by_id or any(c.space == PARTICLES for c in agreement.channels):
            ready_ids()
    return Sampler(threads_wanted())


__all__ = ["Fault", "Offer", "Probe", "Reading", "State", "TileStatistics"]
