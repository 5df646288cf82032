"""One run on one rank: `simckpt.run` and `simckpt.step` are thin covers of this.

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
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SetupError, SimckptWarning
from ..model.series import Cost, Event
from .begin import open_run
from .cadence import Meter, cadence_text
from .end import ExitProtocol, StopSignals
from .faults import Faults, one_line
from .redacted_texts import redact_event
from .sampling import Sampling
from .settings import EXCHANGE_TIMEOUT, EXIT_GRACE, EXIT_TIMEOUT, SETTLE_TIMEOUT
from .trigger_engine import NO_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..diagnostics.declarations import Declarations
    from ..diagnostics.state import State
    from ..model.record import Facts
    from ..model.series import Checkpoint, Reason, Severity
    from ..parallel.comm import Comm
    from .cadence import Cadence, Schedule
    from .end import Shutdown
    from .rank0 import Rank0Writer
    from .settings import RunSettings
    from .trigger_engine import Actions
    from .triggers import Kind

LifeCycle = Literal["idle", "open", "sampling", "muted", "closed"]

MOST_EVENTS = 100
"""Events that a rank other than 0 keeps until the run ends."""


class CostTimer:
    """Adds up the time that the instrumentation takes on this rank, by kind of work.

    Work inside other work is counted once, as the outer kind: ``with timer.samples: ...``.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.start = 0.0
        self.setup = _Section(self)
        self.samples = _Section(self)
        self.reductions = _Section(self)
        self.checkpoints = _Section(self)
        self.captures = _Section(self)
        self._created = time.perf_counter()

    def busy(self) -> bool:
        """Whether the instrumentation is at work."""
        return self.depth > 0

    def sampling(self) -> float:
        """Seconds that samples have taken so far."""
        return self.samples.seconds + self.reductions.seconds

    def cost(self) -> Cost:
        """The times so far."""
        return Cost(
            wall=time.perf_counter() - self._created,
            setup=self.setup.seconds,
            samples=self.samples.seconds,
            reductions=self.reductions.seconds,
            checkpoints=self.checkpoints.seconds,
            captures=self.captures.seconds,
        )


class _Section:
    """The time of one kind of work."""

    def __init__(self, timer: CostTimer) -> None:
        self.seconds = 0.0
        self._timer = timer

    def __enter__(self) -> None:
        self._timer.depth += 1
        if self._timer.depth == 1:
            self._timer.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        if self._timer.depth == 1:
            self.seconds += time.perf_counter() - self._timer.start
        self._timer.depth -= 1


_ONE_STEP_OBJECT = (
    "One run has one step object, which counts its steps: put all fields and diagnostics in it"
)


class SampleSource:
    """Whose samples a run takes, and whose steps it counts: those of one step object.

    An object that was made since the other was last used takes its place: a driver may make one
    for each step. Of two that are used in turn, one counts; the other's samples would be of other
    arrays.
    """

    def __init__(self, faults: Faults) -> None:
        self.declarations: Declarations | None = None
        self._faults = faults
        self._owner = 0
        self._latest = 0

    def is_foreign(self, declarations: Declarations) -> bool:
        """Whether these are not the declarations of the run's samples, which is a fault."""
        of_run = self.declarations
        if of_run is None or of_run is declarations or of_run == declarations:
            return False
        changes = "; ".join(of_run.changes(declarations))
        text = f"a sample with other declarations was skipped: {changes}. {_ONE_STEP_OBJECT}"
        self._faults.note_once("declarations_changed", text)
        return True

    def is_rival(self, number: int, latest: int) -> bool:
        """Whether step object `number` is not the one that counts, which is a fault.

        `latest` is the number of the object that was made last.
        """
        if number != self._owner and number <= self._latest:
            text = f"steps and samples of a second step object were skipped. {_ONE_STEP_OBJECT}"
            self._faults.note_once("second_step_object", text)
            return True
        self._owner, self._latest = number, latest
        return False


class Recorder:
    """Records one run on this rank.

    Parameters
    ----------
    settings : RunSettings
        The checked arguments of `simckpt.run`.
    comm : Comm
        All ranks of the run.

    Attributes
    ----------
    life : str
        Where in its life cycle the recorder is.
    step : int
        The step that the run is at.
    path : str or None
        Where the bundle is.
    source : SampleSource
        Whose samples the run takes.
    schedule : Schedule or None
        When samples are due; None before the first step.
    timer : CostTimer
        What the instrumentation costs.
    last_state : callable or None
        Samples the present state, which was not due, in case it is the run's last.
    """

    def __init__(self, settings: RunSettings, comm: Comm) -> None:
        self.settings = settings
        self.rank = comm.rank
        self.size = comm.size
        self.life: LifeCycle = "idle"
        self.step = settings.start_step
        self.path: str | None = None
        self.timer = CostTimer()
        self.schedule: Schedule | None = None
        self.last_state: Callable[[], None] | None = None
        self._t = math.nan
        self._control = comm.duplicate()
        self._writer: Rank0Writer | None = None
        self._events: list[Event] = []
        self._awaits_step = False
        self._forked = False
        self._same_on_all_ranks: dict[str, str] = {}
        self._faults = Faults(
            strict=settings.strict,
            record=partial(self.event, severity="warning"),
            prefix=f"rank {comm.rank}: " if comm.size > 1 else "",
        )
        self.source = SampleSource(self._faults)
        self._meter = Meter(comm.duplicate(), self.timer.sampling, self.event, self._faults)
        self._sampling = Sampling(self._control, comm.duplicate(), settings.triggers, self._faults)
        self._stop = StopSignals(comm.duplicate(), self._answer, self.timer.busy)
        self._exit = ExitProtocol(settings, self._control, self._sampling, self._stop, self._faults)

    def begin(self, driver: Callable[..., Any] | str, parameters: Mapping[str, Any]) -> None:
        """Open the bundle and commit the first checkpoint; collective.

        Raises
        ------
        SetupError, BundleError
            The same one on every rank.
        """
        with self.timer.captures:
            self.path, self._writer = open_run(
                self.settings, self._control, driver, parameters, EXCHANGE_TIMEOUT
            )
        self.life = "open"
        self._stop.watch()
        self._awaits_step = self._writer is not None and self._writer.awaits_step
        if not self._awaits_step:
            self.checkpoint("start", reason="start")

    def forget(self) -> None:
        """This process was forked from the run's: the run is its parent's alone from here on."""
        self.life = "closed"
        self._forked = True
        self._stop.close()

    def is_closed(self) -> bool:
        """Whether nothing can be recorded any more; a forked process is warned once."""
        if self._forked:
            self._forked = False
            text = "this process was forked from that of a run: nothing it does is recorded"
            warnings.warn(text, SimckptWarning, stacklevel=5)
        return self.life == "closed"

    def resume(self, step: int) -> None:
        """The driver goes on from this step."""
        self.step = step
        self._begin_at_step()

    def start_schedule(self, cadence: Cadence) -> Schedule:
        """Begin to ask `cadence` for samples, on every rank."""
        self._same_on_all_ranks["every"] = cadence_text(cadence)
        self.schedule = cadence.start(self._meter)
        return self.schedule

    def sample(
        self,
        declarations: Declarations,
        read: Callable[[], State],
        step: int,
        *,
        joint: bool = False,
    ) -> None:
        """Take a sample of the state that `read` gives; every rank calls it at the same step.

        The first call is collective: it sets the sample up. It is a `joint` if the cadence asks
        for none there.

        Raises
        ------
        SetupError
            The same on every rank, at the first sample, where declarations and data do not agree.
        """
        self.step = step
        self.last_state = None
        if self.life == "muted" or self.is_closed():
            return
        if self._awaits_step:
            self._begin_at_step()
        with self.timer.setup if self.life == "open" else self.timer.samples:
            state, problem = None, None
            try:
                state = read()
            except SetupError as error:
                problem = error
            except Exception as error:  # noqa: BLE001 - the user's accessors may raise anything
                problem = SetupError(
                    "step",
                    one_line(error),
                    "the state could not be read",
                    mend="Check the callables given as grid=, fields=, particles=.",
                )
            if self.life == "open":
                self._set_up(declarations, state, problem, joint)
            elif declarations is not self.source.declarations and self.source.is_foreign(
                declarations
            ):
                return
            if self.life == "sampling":
                self._sampling.take(step, state, problem)
        self.collect()

    def collect(self) -> None:
        """Take in the samples that have arrived, and act on them; never waits."""
        if self.life == "closed" and self.is_closed():
            return
        if self._sampling.stream.pending:
            self._take_in()
        self._stop.attend()
        if self._writer is not None:
            self._act(self._writer.triggers.actions())

    def _take_in(self) -> None:
        with self.timer.reductions:
            try:
                while (sample := self._sampling.pop()) is not None and self._writer is not None:
                    if math.isfinite(sample[0].t):
                        self._t = sample[0].t
                    self._writer.sample(*sample)
            except Exception as error:  # noqa: BLE001 - a sample must never end the simulation
                self._faults.absorb("collecting samples", error)

    def checkpoint(
        self, label: str, reason: Reason = "user", *, why: str = ""
    ) -> Checkpoint | None:
        """Commit a checkpoint: durable when this returns on rank 0. Not collective.

        Returns
        -------
        Checkpoint or None
            None on the ranks that do not write, and where it could not be committed.
        """
        if self.is_closed():
            return None
        self._begin_at_step()
        checkpoint = None
        with self.timer.checkpoints:
            if self.rank == 0 and not self._sampling.stream.settle(SETTLE_TIMEOUT):
                self._faults.note("sample_late", "a sample had not arrived from all ranks")
            self._take_in()
            if self._writer is not None:
                with self._faults.contained(f"checkpoint {label!r}"):
                    checkpoint = self._writer.checkpoint(
                        label, reason, self.step, self._t, why, self.timer.cost()
                    )
                # A checkpoint that a trigger asked for meanwhile is this one.
                self._act(replace(self._writer.triggers.actions(), checkpoint=""))
        if not self.timer.busy():
            self._stop.attend()
        return checkpoint

    def should_stop(self) -> bool:
        """Whether a signal has asked any rank to stop; every rank asks once a step."""
        return not self.is_closed() and self._stop.agreed(EXCHANGE_TIMEOUT)

    def report_settings(self, solvers: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
        """Report numerical settings in effect: solver objects, and settings by name."""
        if self.is_closed() or self._writer is None:
            return
        with self._stop.deferred(), self._faults.contained("effective settings"):
            self._writer.report_settings(solvers, settings)

    def follow(self, source: Callable[[], Any]) -> None:
        """Say where solver objects are found when their settings are read."""
        if self._writer is not None:
            self._writer.effective.follow(source)

    def report(self, method: Callable[..., None], name: str, values: tuple[Any, ...]) -> None:
        """Let a `method` of `Reports` add what the driver reports to the next sample."""
        if self.life in ("open", "sampling"):
            try:
                method(self._sampling.reports, name, *values)
            except Exception as error:  # noqa: BLE001 - the driver may report anything
                self._faults.absorb(f"run.{method.__name__}({name!r}, ...)", error)

    def unreadable(self, name: str, error: Exception, step: int) -> None:
        """Record that an accessor of the driver's for `name`, such as its time, raised."""
        if not self.is_closed():
            text = f"{name}= raised {one_line(error)}"
            self._faults.note(f"{name}_unreadable", text, step=step)

    def event(
        self,
        name: str,
        text: str,
        *,
        severity: Severity = "note",
        step: int | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Record that something happened, on this rank."""
        if self.is_closed():
            return
        with self._stop.deferred():
            try:
                self._record(
                    Event(
                        name=name,
                        severity=severity,
                        step=self.step if step is None else step,
                        wall=time.time(),
                        text=text,
                        rank=self.rank,
                        facts=facts or {},
                    )
                )
            except Exception as error:  # noqa: BLE001 - the facts may be any objects
                self._faults.absorb(f"event {name!r}", error, recorded=False)

    def _record(self, event: Event) -> None:
        """Write an event, or keep it for rank 0."""
        event = redact_event(event)
        if self._writer is not None:
            self._writer.append(event)
        elif len(self._events) < MOST_EVENTS:
            self._events.append(event)

    def end(self, error: BaseException | None = None) -> None:
        """Close the run; collective, and bounded in time where some ranks do not come.

        With an `error` of this rank that the others do not share, all ranks are aborted.
        """
        if self.life in ("idle", "closed"):
            return
        # A fault of the instrumentation must not hide the driver's own exception.
        self._faults.strict = self._faults.strict and error is None
        shutdown = self._exit.exchange(self._record, self._events, error, self.step, self.path)
        joint = shutdown.together and self.last_state is not None and self.life == "sampling"
        with self._faults.contained("taking the last samples"):
            if joint and self.last_state is not None:
                self.last_state()
            # Where every rank is here, what can arrive is on its way.
            self._sampling.stream.settle(0.0 if shutdown.missing else EXIT_TIMEOUT)
            self.collect()
        # The bundle is complete before a signal that comes now does what it does without simckpt.
        with self._stop.deferred():
            self._finish(shutdown, error, joint)
        self._stop.attend()
        self._stop.close()
        self._exit.abort(error, shutdown)

    def _finish(self, shutdown: Shutdown, error: BaseException | None, joint: bool) -> None:
        """Write the rest, the last checkpoint with it."""
        self._exit.record(self._writer.append if self._writer is not None else None, shutdown)
        self._faults.count()
        ending, why = shutdown.ending
        if ending != "finished" and not shutdown.trigger:
            self._end_triggers("signal" if ending == "signal" else "exception", why, error)
        self.checkpoint(*shutdown.last_checkpoint, why=why)
        if self._writer is not None:
            with self._faults.contained("closing the bundle"):
                self._writer.end(ending, self.step, why, joint)
        self.life = "closed"

    def _end_triggers(self, kind: Kind, why: str, error: BaseException | None = None) -> None:
        if self._writer is not None:
            with self._faults.contained("triggers"):
                self._writer.triggers.fire(kind, why, self.step, error)

    def _begin_at_step(self) -> None:
        """Commit the first checkpoint of a continued run, now that its step is known."""
        if self._awaits_step:
            self._awaits_step = False
            self.checkpoint("start", reason="start")

    def _set_up(
        self,
        declarations: Declarations,
        state: State | None,
        problem: SetupError | None,
        joint: bool,
    ) -> None:
        self.source.declarations = declarations
        probe = self._sampling.set_up(declarations, state, problem, self._same_on_all_ranks)
        if probe is None:
            self.life = "muted"
            return
        self.life = "sampling"
        if self._writer is not None:
            with self._faults.contained("describing the samples"):
                self._writer.describe(
                    probe.schema, probe.decomposition, self.step, declarations.facts(), joint
                )

    def _answer(self, name: str) -> bool:
        """Act on the signal `name`: whether it is to be passed on now."""
        if self.life == "closed":
            return True
        fatal = self._stop.fatal(name)
        if fatal and self.rank:
            # The launcher ends all ranks once one is gone; rank 0 needs a moment to commit.
            self._stop.end_later(name, EXIT_GRACE)
            return False
        self._end_triggers("signal", f"rank {self.rank} received {name}")
        self.checkpoint(f"signal {name}", reason="signal")
        if fatal:
            if self._writer is not None:
                with self._faults.contained("closing the bundle"):
                    self._writer.end("signal", self.step, f"rank 0 received {name}")
            self.life = "closed"
        return True

    def _act(self, actions: Actions) -> None:
        """Do what triggers ask for."""
        if actions is NO_ACTIONS:
            return
        for problem in actions.problems:
            self._faults.note("trigger_failed", problem)
        if actions.stop:
            self._stop.ask(actions.stop)
        if actions.checkpoint:
            self.checkpoint("trigger", reason="trigger", why=actions.checkpoint)
