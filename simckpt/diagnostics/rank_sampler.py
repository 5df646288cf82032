"""Takes samples on one rank: measures its part, and reads what all ranks' parts add up to.

It neither communicates nor writes. Its life:

==========  =====================================================================================
local_spec  what this rank has, to be exchanged at the first sample; never raises
agree       from all ranks' specs: plans the samples, or raises the same `SetupError` on every rank
measure     this rank's message, of the size that was planned; never raises
unreadable  the message of a rank whose state could not be read
blank       the message of a rank that has nothing to say
finish      on rank 0, from the added-up messages: the `ReducedSample`
==========  =====================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from ..errors import InstrumentError
from ..model.series import Decomposition, Patch, SeriesSchema
from ..parallel.comm import Maxima, Sums
from .declarations import Declarations
from .expressions import normal_form
from .global_plan import GlobalPlan, global_plan
from .grid import Grid
from .kernel_cache import lock_path, one_at_first, threads_wanted
from .local_extrema import locate
from .local_parts import Note, Part, box_parts, particle_parts
from .local_spec import NO_SETTINGS, LocalSpec, local_spec
from .message import MessageLayout
from .message_writer import MessageWriter, PlannedPart
from .quantities.base import PARTICLES, Channel, LocalState
from .reduced_sample import MessageReader, ReducedSample
from .state import Extremes, State

if TYPE_CHECKING:
    from .local_sweep import KernelRunner, SweepJob

MOST_FAULTS = 100
NOT_AGREED = "the ranks have not agreed yet on what is measured"
NO_EXTREMES = Extremes()

LocalBoxes: TypeAlias = tuple[tuple[Patch, bool], ...]
"""A rank's boxes, each with whether a mask leaves some of its cells out."""


class Fault(NamedTuple):
    """A diagnostic that failed on this rank."""

    step: int
    diagnostic: str
    text: str

    def __str__(self) -> str:
        return f"{self.diagnostic} at step {self.step}: {self.text}"


class RankSampler:
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
    >>> from simckpt.diagnostics.declarations import Declarations
    >>> from simckpt.diagnostics.rank_sampler import RankSampler
    >>> from simckpt.diagnostics.state import State
    >>> sampler = RankSampler(Declarations(conserved={"mass": "rho"}))
    >>> state = State(Grid(4, spacing=0.5), {"rho": np.array([1e16, 1.0, -1e16, 1.0])}, step=3)
    >>> sampler.agree([sampler.local_spec(state)])
    >>> sample = sampler.finish(*sampler.measure(state))
    >>> sample.step, sample["mass"]
    (3, 1.0)
    """

    def __init__(self, declarations: Declarations, rank: int = 0) -> None:
        self.declarations = declarations
        self.rank = rank
        self.faults: list[Fault] = []
        self.boxes: LocalBoxes | None = None
        """This rank's boxes in the last sample; None where it could not be taken."""
        self._plan: GlobalPlan | None = None
        self._particles: list[Channel] = []
        self._writer: MessageWriter | None = None
        self._reader: MessageReader | None = None
        self._runner: KernelRunner | None = None
        self._steady: SteadyBox | None = None
        self._shapes: dict[int, tuple[int, ...]] = {}

    def local_spec(self, state: State, settings: Mapping[str, str] = NO_SETTINGS) -> LocalSpec:
        """What this rank has and declares; a mistake is carried along as its `error`.

        `settings` are the texts of other arguments that must be the same on every rank.
        """
        return local_spec(state, self.rank, self.declarations.facts(), settings)

    def agree(self, specs: Sequence[LocalSpec]) -> None:
        """Plan what is measured, from the specs of all ranks in rank order.

        Raises
        ------
        SetupError
            The same on every rank: an array that does not match its grid, an unknown field in
            an expression, cells that are missing or held twice.
        """
        plan = self._plan = global_plan(self.declarations, specs)
        self._particles = [channel for channel in plan.channels if channel.space == PARTICLES]
        self._writer = MessageWriter(plan, self.rank)
        self._reader = MessageReader(plan)

    @property
    def agreed(self) -> bool:
        """Whether the samples are planned."""
        return self._plan is not None

    @property
    def schema(self) -> SeriesSchema:
        """What the samples mean; after `agree`."""
        return self.plan.schema

    @property
    def decomposition(self) -> Decomposition:
        """Which rank holds which boxes; after `agree`."""
        return self.plan.decomposition

    @property
    def plan(self) -> GlobalPlan:
        """What all ranks agreed on; after `agree`."""
        if self._plan is None:
            raise InstrumentError(NOT_AGREED)
        return self._plan

    def blank(self) -> tuple[Sums, Maxima]:
        """The message that changes nothing."""
        return self.plan.layout.blank()

    def unreadable(self, step: int) -> tuple[Sums, Maxima]:
        """The message of a rank that is at `step` but could not read its state."""
        return self._agreed_writer.unreadable(step)

    def measure(self, state: State) -> tuple[Sums, Maxima]:
        """This rank's message. What fails is counted in it, and noted in `faults`."""
        writer, note = self._agreed_writer, partial(self._note, state.step)
        clock, nonsense = writer.clock(state)
        for name in nonsense:
            note(name, TypeError("is no number"))
        extremes = Extremes() if writer.shares else NO_EXTREMES
        self.boxes = None
        try:
            if self._runner is None:
                self._runner = _kernel_runner(self.plan)
            steady = self._steady
            if steady is None or not steady.matches(state):
                parts, failed = self._box_parts(state, note)
                steady = None if failed else SteadyBox.of(state, parts, writer, self._runner)
                self._steady = steady
            if steady is not None:
                sums, maxima = steady.measure(state, writer, self._runner, extremes)
                boxes = steady.boxes
            else:
                sums, maxima = writer.blank()
                writer.measure(self._runner, parts, failed, sums, maxima, extremes, note)
                boxes = _boxes(parts)
            if self._particles:
                self._measure_particles(state, sums, maxima, extremes, note)
            maxima["value"][MessageLayout.CLOCK] = clock
            sums[MessageLayout.UNREADABLE] = state.unreadable + len(nonsense)
            self.boxes = boxes
        except Exception as error:  # noqa: BLE001 - a sample must never end the simulation
            sums, maxima = writer.unreadable(state.step)
            note("sample", error)
        if writer.shares:
            # What the driver reported counts even in a sample whose fields could not be read.
            writer.share(LocalState(state, self.rank, extremes), note, sums, maxima)
        return sums, maxima

    def finish(self, sums: Sums, maxima: Maxima) -> ReducedSample:
        """What the added-up messages of all ranks say: each value rounded once.

        Called once for each sample, in their order: some quantities look back.
        """
        if self._reader is None:
            raise InstrumentError(NOT_AGREED)
        return self._reader.read(sums, maxima)

    @property
    def _agreed_writer(self) -> MessageWriter:
        if self._writer is None:
            raise InstrumentError(NOT_AGREED)
        return self._writer

    def _note(self, step: int, diagnostic: str, error: Exception) -> None:
        if len(self.faults) < MOST_FAULTS:
            text = f"{type(error).__name__}: {error}"
            self.faults.append(Fault(step, diagnostic, text))

    def _box_parts(self, state: State, note: Note) -> tuple[list[Part], set[str]]:
        """The boxes of this rank, and the fields that failed."""
        failed: dict[str, Exception] = {}
        plan = self.plan
        channels = [channel for channel in plan.channels if channel.space != PARTICLES]
        parts = dict(
            box_parts(state, channels, failed.setdefault, self._shapes, refinable=plan.refinable)
        )
        self._shapes = {number: part.shape for number, part in parts.items()}
        for name, error in failed.items():
            note(name, error)
        return list(parts.values()), set(failed)

    def _measure_particles(
        self, state: State, sums: Sums, maxima: Maxima, extremes: Extremes, note: Note
    ) -> None:
        assert self._writer is not None
        assert self._runner is not None
        failed: dict[str, Exception] = {}
        parts = list(particle_parts(state, self._particles, failed.setdefault))
        for name, error in failed.items():
            note(name, error)
        self._writer.measure(
            self._runner, parts, set(failed), sums, maxima, extremes, note, particles=True
        )


class SteadyBox:
    """The box of a rank, for as long as its grid and the memory of its arrays are the same.

    On a small grid, looking at everything anew takes longer than measuring. Nothing of the
    driver's is kept: neither memory that it frees, nor a reference, as NumPy resizes an array in
    place only where there is no other one. What is kept of an array is true of any array of the
    same form in the same memory.
    """

    def __init__(
        self,
        grid: Grid,
        forms: Mapping[str, tuple[object, ...]],
        message: tuple[Sums, Maxima],
        boxes: LocalBoxes,
    ) -> None:
        self._grid = grid
        self._forms = forms
        self._sums, self._maxima = message
        self.boxes = boxes
        self._sweep: tuple[Part, PlannedPart, SweepJob] | None = None

    @classmethod
    def of(
        cls, state: State, parts: Sequence[Part], writer: MessageWriter, runner: KernelRunner
    ) -> SteadyBox | None:
        """The box of `state`, or None where its next sample may need another.

        Whatever lies in an array may change in place.
        """
        grid, fields = state.grid, state.fields
        if not isinstance(grid, Grid) or grid.volume is not None or grid.where is not None:
            return None
        if not all(isinstance(width, float) for width in grid.spacing):
            return None
        if not all(type(a) is np.ndarray and a.dtype.kind != "c" for a in fields.values()):
            return None
        forms = {name: _form(array) for name, array in fields.items()}
        box = cls(grid, forms, writer.blank(), _boxes(parts))
        for part in parts:
            planned = writer.planned(part, set())
            if planned.lacks:
                return None
            job = runner.job(part, planned.plan, planned.channels, planned.edges)
            box._sweep = replace(part, arrays={}, ghosted={}), planned, job
            writer.describe(part, box._sums, box._maxima)
        return box

    def matches(self, state: State) -> bool:
        """Whether the grid of `state` is equal and its arrays lie where they lay."""
        grid, fields, previous = state.grid, state.fields, self._grid
        if grid is not previous:
            if (
                not isinstance(grid, Grid)
                or grid.global_shape != previous.global_shape
                or grid.start != previous.start
                or grid.ghost != previous.ghost
                or grid.level != previous.level
                or grid.volume is not None
                or grid.where is not None
            ):
                return False
            for width, same in zip(grid.spacing, previous.spacing, strict=True):
                if not isinstance(width, float) or width != same:
                    return False
        if fields.keys() != self._forms.keys():
            return False
        for name, array in fields.items():
            if type(array) is not np.ndarray or _form(array) != self._forms[name]:
                return False
        return True

    def measure(
        self, state: State, writer: MessageWriter, runner: KernelRunner, extremes: Extremes
    ) -> tuple[Sums, Maxima]:
        """The message of a rank with this box alone."""
        sums, maxima = self._sums.copy(), self._maxima.copy()
        if self._sweep is not None:
            part, planned, job = self._sweep
            totals = runner.run(job)
            writer.add(planned, totals, sums, maxima)
            if writer.located:
                interior = self._grid.interior
                arrays = {normal_form(name): interior(a) for name, a in state.fields.items()}
                part = replace(part, arrays=arrays)
                locate(extremes, writer.located, part, planned.channels, totals)
        return sums, maxima


def _form(array: np.ndarray[Any, Any]) -> tuple[object, ...]:
    """Where an array lies, and how."""
    return array.__array_interface__["data"], array.shape, array.strides, array.dtype


def _boxes(parts: Sequence[Part]) -> LocalBoxes:
    return tuple((part.patch, part.where is not None) for part in parts if part.ids is None)


def _kernel_runner(plan: GlobalPlan) -> KernelRunner:
    """One whose kernels are compiled: by one process of a node for all of them."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise InstrumentError("NUMBA_DISABLE_JIT is set, and kernels need the compiler: unset it")
    with one_at_first(lock_path()):
        from .local_sweep import KernelRunner, load_kernels

        if plan.decomposition.global_shape and not plan.by_id:
            load_kernels(ids=False)
        if plan.by_id or any(c.space == PARTICLES for c in plan.channels):
            load_kernels(ids=True)
    return KernelRunner(threads_wanted())
