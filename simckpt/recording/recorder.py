"""One run on one rank: all forms of `simckpt.run` and `simckpt.step` are thin covers of this.

Two rules keep the simulation safe. A collective operation is never inside a `try` of which
only some ranks may leave early: what can fail is done first and its outcome becomes part of the
message. And after the first sample no step waits for another rank: rank 0 alone waits, at a
checkpoint, a bounded time for the last sample to arrive.

    state     what is allowed                      leaves it
    idle      begin                                -> open
    open      sample (sets up), checkpoint, end    -> sampling, muted, closed
    sampling  sample, checkpoint, end              -> muted, closed
    muted     checkpoint, end                      -> closed
    closed    nothing; also in a process that was forked
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..model.series import Event
from .active import warn_of_fork
from .end import Leaving, Stopping
from .opening import open_scribe
from .overheads import Counting, Faults, Ledger, Pace, one_line
from .sampling import Sampling, built
from .settings import EXCHANGE_TIMEOUT, PARTING_GRACE, PARTING_TIMEOUT, SETTLE_TIMEOUT
from .trigger_engine import NO_WISHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ..diagnostics.declarations import Declarations
    from ..diagnostics.state import State
    from ..errors import SetupError
    from ..model.series import Checkpoint, Reason, Severity
    from ..parallel.comm import Comm
    from .cadence import Cadence
    from .end import Parting
    from .rank0 import Scribe
    from .sampling import Reports
    from .settings import RunSettings
    from .trigger_engine import Wishes
    from .triggers import Kind

LifeCycle = Literal["idle", "open", "sampling", "muted", "closed"]


class Recorder:
    """Records one run on this rank.

    Parameters
    ----------
    settings : RunSettings
        The checked arguments of `simckpt.run`.
    comm : Comm
        All ranks of the run.
    """

    def __init__(self, settings: RunSettings, comm: Comm) -> None:
        self.settings = settings
        self.step = settings.start_step
        self.path: str | None = None
        self._t = math.nan
        self._control = comm.duplicate()
        self._ledger = Ledger()
        self._life: LifeCycle = "idle"
        self._scribe: Scribe
        self._unsampled: Callable[[], None] | None = None
        self._unplaced = False
        votes = comm.duplicate()
        self._alike: dict[str, str] = {}
        self._faults = Faults(
            strict=settings.strict,
            record=partial(self.event, severity="warning"),
            who=f"rank {comm.rank}: " if comm.size > 1 else "",
        )
        self.counting = Counting(self._faults)
        self._pace = Pace(
            votes, lambda: self._ledger.sampling, self.event, self._faults, self._alike
        )
        self._sampling = Sampling(self._control, comm.duplicate(), settings.triggers, self._faults)
        self._stopping = Stopping(comm.duplicate(), self._answer, lambda: self._ledger.busy)
        parts = (self._control, self._sampling, self._stopping, self._faults)
        self._leaving = Leaving(settings, *parts)
        self._forked = False

    @property
    def rank(self) -> int:
        """This rank."""
        return self._control.rank

    @property
    def life(self) -> LifeCycle:
        """Where in its life cycle the recorder is."""
        return self._life

    def forget(self) -> None:
        """This process was forked from the run's: the run is its parent's alone from here on."""
        self._life = "closed"
        self._forked = True
        self._stopping.close()

    @property
    def _over(self) -> bool:
        """Whether nothing can be recorded: no longer, or not yet."""
        if self._forked:
            self._forked = False
            warn_of_fork()
        return self._life in ("idle", "closed")

    def begin(self, driver: Callable[..., Any] | str, parameters: Mapping[str, Any]) -> None:
        """Open the bundle and commit the first checkpoint; collective.

        Raises
        ------
        SetupError, BundleError
            The same one on every rank.
        """
        with self._ledger.spending("captures"):
            self.path, self._scribe = open_scribe(
                self.settings, self._control, driver, parameters, EXCHANGE_TIMEOUT
            )
        self._life = "open"
        self._stopping.watch()
        self._unplaced = self._scribe.awaits_step
        if not self._unplaced:
            self.checkpoint("start", reason="start")

    def resume(self, step: int) -> None:
        """The driver goes on from this step."""
        self.step = step
        self._place()

    def sample(
        self,
        declarations: Declarations,
        build: Callable[[], State],
        step: int | None = None,
        *,
        joint: bool = False,
    ) -> None:
        """Take a sample of the state that `build` finds; every rank calls it at the same step.

        The first call is collective: it sets the sample up. It is a `joint` if the cadence asks
        for none there.

        Raises
        ------
        SetupError
            On every rank alike, at the first sample, where declarations and data do not agree.
        """
        if step is not None:
            self.step = step
        self._unsampled = None
        if self._over or self._life == "muted":
            return
        self._place()
        with self._ledger.spending("setup" if self._life == "open" else "samples"):
            state, problem = built(build)
            if self._life == "open":
                self._set_up(declarations, state, problem, joint)
            elif self.counting.foreign(declarations):
                return
            if self._life == "sampling":
                self._sampling.take(self.step, state, problem)
        self.collect()

    @property
    def size(self) -> int:
        """Ranks of the run."""
        return self._control.size

    def capturing(self) -> AbstractContextManager[None]:
        """Counts the time of its body as that of a capture."""
        return self._ledger.spending("captures")

    def due(self, cadence: Cadence, step: int, t: float) -> bool:
        """Whether a sample is due; asked once a step, on every rank."""
        if self._over:
            return False
        return self._pace.due(cadence, step, t)

    def hold(self, sample: Callable[[], None]) -> None:
        """Remember how to sample the present state, in case it is the run's last."""
        self._unsampled = sample

    def collect(self) -> None:
        """Take in the samples that have arrived, and act on them; never waits."""
        if self._over:
            return
        self._take_in()
        self._grant(self._scribe.wishes())

    def _take_in(self) -> None:
        if self._sampling.awaited:
            with self._ledger.spending("reductions"), self._faults.contained("collecting samples"):
                for reading, wall, placed in self._sampling.arrived():
                    if math.isfinite(reading.t):
                        self._t = reading.t
                    self._scribe.sample(reading, wall, placed)
        self._stopping.attend()

    def checkpoint(
        self, label: str, reason: Reason = "user", *, why: str = ""
    ) -> Checkpoint | None:
        """Commit a checkpoint: durable when this returns on rank 0. Not collective.

        Returns
        -------
        Checkpoint or None
            None on the ranks that do not write, and where it could not be committed.
        """
        if self._over:
            return None
        self._place()
        with self._ledger.spending("checkpoints"):
            if self.rank == 0 and not self._sampling.settle(SETTLE_TIMEOUT):
                self._faults.note("sample_late", "a sample had not arrived from all ranks")
            self._take_in()
            made = None
            with self._faults.contained(f"checkpoint {label!r}"):
                made = self._scribe.checkpoint(
                    label, reason, self.step, self._t, why, self._ledger.cost()
                )
            # A checkpoint that a trigger wished for meanwhile is this one.
            self._grant(replace(self._scribe.wishes(), checkpoint=""))
        if not self._ledger.busy:
            self._stopping.attend()
        return made

    def should_stop(self) -> bool:
        """Whether a signal has asked any rank to stop; every rank asks once a step."""
        return not self._over and self._stopping.agreed(EXCHANGE_TIMEOUT)

    def report_settings(self, *things: Any, **settings: Any) -> None:
        """Report numerical settings in effect: solver objects, ``dt``, or a fall-back."""
        if self._over:
            return
        with self._stopping.deferred(), self._faults.contained("effective settings"):
            self._scribe.report_settings(things, settings)

    def follow(self, source: Callable[[], Any]) -> None:
        """Say where solver objects are found when their settings are read."""
        if self._life in ("open", "sampling"):
            self._scribe.follow(source)

    def report(self, what: str, take: Callable[[Reports], None]) -> None:
        """Let `take` add a report of the driver's to those of the next sample."""
        if self._life in ("open", "sampling"):
            with self._faults.contained(what):
                take(self._sampling.reports)

    def unreadable(self, name: str, error: Exception, step: int) -> None:
        """Record that an accessor of the driver's for `name`, such as its time, raised."""
        if not self._over:
            text = f"{name}= raised {one_line(error)}"
            self._faults.note(f"{name}_unreadable", text, step=step)

    def event(
        self,
        name: str,
        text: str,
        *,
        severity: Severity = "note",
        step: int | None = None,
        **facts: Any,
    ) -> None:
        """Record that something happened, on this rank."""
        if self._over:
            return
        with (
            self._stopping.deferred(),
            self._faults.contained(f"event {name!r}", recorded=False),
        ):
            self._scribe.event(
                Event(
                    name=name,
                    severity=severity,
                    step=self.step if step is None else step,
                    wall=time.time(),
                    text=text,
                    rank=self.rank,
                    facts=facts,
                )
            )

    def end(self, error: BaseException | None = None) -> None:
        """Close the run; collective, and bounded in time where some ranks do not come.

        With an `error` of this rank that the others do not share, all ranks are aborted.
        """
        if self._life in ("idle", "closed"):
            return
        # A fault of the instrument must not stand in front of the driver's own exception.
        self._faults.strict = self._faults.strict and error is None
        parting = self._leaving.part(self._scribe, error, self.step, self.path)
        joint = parting.together and self._unsampled is not None and self._life == "sampling"
        with self._faults.contained("taking the last samples"):
            if joint and self._unsampled is not None:
                self._unsampled()
            # Where every rank is here, what can arrive is on its way.
            self._sampling.settle(0.0 if parting.missing else PARTING_TIMEOUT)
            self.collect()
        # The bundle is whole before a signal that comes now does what it does without simckpt.
        with self._stopping.deferred():
            self._finish(parting, error, joint)
        self._stopping.attend()
        self._stopping.close()
        self._leaving.abort(error, parting)

    def _finish(self, parting: Parting, error: BaseException | None, joint: bool) -> None:
        """Write what is left to write, the last checkpoint with it."""
        self._leaving.tell(self._scribe, parting)
        self._faults.count()
        ending, why = parting.ending
        if ending != "finished" and not parting.stopped:
            kind: Kind = "signal" if ending == "signal" else "exception"
            with self._faults.contained("triggers"):
                self._scribe.met(kind, why, self.step, error)
        self.checkpoint(*parting.last_checkpoint, why=why)
        with self._faults.contained("closing the bundle"):
            self._scribe.end(ending, self.step, why, joint)
        self._life = "closed"

    def _place(self) -> None:
        """Commit the first checkpoint of a continued run, now that its step is known."""
        if self._unplaced:
            self._unplaced = False
            self.checkpoint("start", reason="start")

    def _set_up(
        self,
        declarations: Declarations,
        state: State | None,
        problem: SetupError | None,
        joint: bool,
    ) -> None:
        self.counting.declarations = declarations
        probe = self._sampling.set_up(declarations, state, problem, self._alike)
        if probe is None:
            self._life = "muted"
            return
        self._life = "sampling"
        with self._faults.contained("describing the samples"):
            known = declarations.facts()
            self._scribe.describe(probe.schema, probe.decomposition, self.step, known, joint)

    def _answer(self, name: str) -> bool:
        if self._life == "closed":
            return True
        fatal = self._stopping.fatal(name)
        if fatal and self.rank:
            # The launcher ends all ranks once one is gone; rank 0 needs a moment to commit.
            self._stopping.end_later(name, PARTING_GRACE)
            return False
        with self._faults.contained("triggers"):
            self._scribe.met("signal", f"rank {self.rank} received {name}", self.step)
        self.checkpoint(f"signal {name}", reason="signal")
        if fatal:
            with self._faults.contained("closing the bundle"):
                self._scribe.end("signal", self.step, f"rank 0 received {name}")
            self._life = "closed"
        return True

    def _grant(self, wishes: Wishes) -> None:
        """Do what triggers ask for."""
        if wishes is NO_WISHES:
            return
        for problem in wishes.problems:
            self._faults.note("trigger_failed", problem)
        if wishes.stop:
            self._stopping.ask(wishes.stop)
        if wishes.checkpoint:
            self.checkpoint("trigger", reason="trigger", why=wishes.checkpoint)
