"""How samples are taken on each rank, and how they arrive at rank 0."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any

from ..errors import SetupError
from ..parallel.comm import ExchangeFailed
from .faults import one_line
from .moving_boxes import DecompositionTracker, SampleRealigner
from .settings import EXCHANGE_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..diagnostics.declarations import Declarations
    from ..diagnostics.exact import ExactSum
    from ..diagnostics.local_spec import LocalSpec
    from ..diagnostics.rank_sampler import RankSampler
    from ..diagnostics.reduced_sample import ReducedSample
    from ..diagnostics.state import Reported, Solves, State
    from ..parallel.comm import Comm, Maxima, Reduction, Sums
    from .faults import Faults
    from .moving_boxes import DecompositionAt, SampleTime
    from .triggers import Trigger

MOST_PENDING = 64
MOST_PENDING_BYTES = 32 << 20
"""A rank may run ahead of the others by so many samples, or by as many as these bytes hold."""


class Stream:
    """This rank's side of the samples' reductions to rank 0, in the order of their start.

    Nothing here waits for another rank. A rank that samples while the others do not keeps its
    messages until a limit is reached, and sends no more from then on; the end of the run says so.

    Parameters
    ----------
    comm : Comm
        A communicator that carries nothing else.

    Attributes
    ----------
    pending : deque of (float, Reduction)
        The reductions that are not complete, each with the wall time of its sample.
    started, refused : int
        How many were started, and how many were not because of the limit.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self.pending: deque[tuple[float, Reduction]] = deque()
        self.started = 0
        self.refused = 0
        self._late = False

    def push(self, sums: Sums, maxima: Maxima, wall: float) -> bool:
        """Start the reduction of one message, taken at `wall` seconds since the epoch.

        False where the limit is reached: it has not been sent.
        """
        pending = len(self.pending)
        if self.refused or (
            pending >= MOST_PENDING
            and pending >= MOST_PENDING_BYTES // max(sums.nbytes + maxima.nbytes, 1)
        ):
            self.refused += 1
            return False
        self.pending.append((wall, self._comm.reduce(sums, maxima)))
        self.started += 1
        return True

    def pop(self) -> tuple[float, Sums, Maxima] | None:
        """The oldest message, if it is complete; only rank 0 receives any."""
        while self.pending and self.pending[0][1].done():
            wall, reduction = self.pending.popleft()
            message = reduction.result()
            if message is not None:
                return (wall, *message)
        return None

    def settle(self, timeout: float) -> bool:
        """Wait until nothing is under way (True), at most `timeout` seconds (False).

        The messages remain for `pop`. After it was in vain it waits no more, until what was late
        has arrived.
        """
        arrived = self._comm.wait(
            lambda: all(r.done() for _, r in self.pending),
            "the last samples of the other ranks",
            0.0 if self._late else timeout,
        )
        self._late = not arrived
        return arrived


class StepOrder:
    """The steps of one job attempt's samples, in the order in which they were taken."""

    def __init__(self) -> None:
        self._last: int | None = None

    def problem(self, reading: ReducedSample) -> str:
        """What is wrong with the step of the next sample; empty if it is past the last one."""
        if not reading.aligned or not reading.ranks:
            return ""
        last, self._last = self._last, reading.step
        if last is not None and reading.step == last:
            return f"step {last} was sampled again; the last sample of a step counts"
        if last is not None and reading.step < last:
            return (
                f"the steps go back, from {last} to {reading.step}; of steps that are sampled "
                "again the last sample counts"
            )
        # Negative numbers may lead up to zero: the first one is enough.
        if last is None and reading.step < 0:
            return f"the steps begin with a negative number, {reading.step}"
        return ""


class Reports:
    """Adds up what the driver reports on this rank until a sample takes it.

    Each method raises TypeError or ValueError for what is no number; the report then is as if it
    had not been made.
    """

    def __init__(self) -> None:
        self._amounts: dict[str, ExactSum] = {}
        self._counts: dict[str, int] = {}
        self._solves: dict[str, Solves] = {}
        self._scalars: dict[str, float] = {}

    def add_source(self, name: str, amount: float) -> None:
        """Add what has come in; exact."""
        from ..diagnostics.exact import exact_term

        term = exact_term(float(amount))
        if not term.finite:
            # The budget would be undefined from then on.
            raise ValueError(f"an amount of {amount} is not finite: it is not counted")
        name = _normal(name)
        total = self._amounts.get(name)
        self._amounts[name] = term if total is None else total + term

    def count(self, name: str, n: int) -> None:
        """Add how often something happened."""
        from ..diagnostics.quantities.reported import add_count

        name = _normal(name)
        self._counts[name] = add_count(self._counts.get(name, 0), index(n), "a count")

    def residual(self, name: str, iterations: int, initial: float, final: float) -> None:
        """Add one solve."""
        from ..diagnostics.quantities.reported import add_count
        from ..diagnostics.state import Solves

        name = _normal(name)
        total = self._solves.get(name)
        add_count(total.iterations if total else 0, index(iterations), "a number of iterations")
        solve = Solves(1, index(iterations), float(initial), float(final))
        self._solves[name] = solve if total is None else total + solve

    def scalar(self, name: str, value: float) -> None:
        """Keep the value that was reported last."""
        self._scalars[_normal(name)] = float(value)

    def take(self) -> Reported | None:
        """What was reported since this was last called; None for nothing."""
        if not (self._amounts or self._counts or self._solves or self._scalars):
            return None
        from ..diagnostics.state import Reported

        reported = Reported(self._amounts, self._counts, self._solves, self._scalars)
        self._amounts, self._counts, self._solves, self._scalars = {}, {}, {}, {}
        return reported

    def give_back(self, reported: Reported) -> None:
        """Keep what a sample took and could not send, for the next one."""
        self._amounts = _added(reported.amounts, self._amounts)
        self._counts = _added(reported.counts, self._counts)
        self._solves = _added(reported.solves, self._solves)
        self._scalars = {**reported.scalars, **self._scalars}


def _normal(name: str) -> str:
    # Names are declared in this form.
    from ..diagnostics.expressions import normal_form

    return normal_form(name)


def _added(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    totals = dict(earlier)
    for name, value in later.items():
        totals[name] = totals[name] + value if name in totals else value
    return totals


class Sampling:
    """The samples of one rank: set up by all ranks together, taken alone, read as they arrive.

    Parameters
    ----------
    control : Comm
        Carries what the ranks agree on at the first sample.
    samples : Comm
        Carries the samples and nothing else.
    triggers : tuple of Trigger
        Rules that must fit the columns of a sample.
    faults : Faults
        Takes what goes wrong with a sample.
    """

    def __init__(
        self, control: Comm, samples: Comm, triggers: tuple[Trigger, ...], faults: Faults
    ) -> None:
        self.reports = Reports()
        self.stream = Stream(samples)
        self._control = control
        self._samples = samples
        self._triggers = triggers
        self._faults = faults
        self._probe: RankSampler
        self._decomposition: DecompositionTracker
        self._realigner = SampleRealigner(samples) if samples.size > 1 else None
        self._surplus = 0
        self._sample_time: SampleTime = (-1, 0)
        self._arrived = 0
        self._moved = False
        self._order = StepOrder()

    @property
    def taken(self) -> int:
        """Samples that this rank has taken, including those that could not be sent."""
        return self.stream.started + self.stream.refused

    def set_up(
        self,
        declarations: Declarations,
        state: State | None,
        problem: SetupError | None,
        settings: Mapping[str, str],
    ) -> RankSampler | None:
        """Agree with all ranks on what a sample holds; collective.

        `settings` are the texts of other arguments that must be the same on every rank.

        Returns
        -------
        RankSampler or None
            What describes the samples; None where there will be none.

        Raises
        ------
        SetupError
            The same on every rank, where declarations and data do not agree.
        """
        from ..diagnostics.rank_sampler import RankSampler

        probe = RankSampler(declarations, rank=self._control.rank)
        own: LocalSpec | SetupError = problem or probe.local_spec(state, settings)  # type: ignore[arg-type]
        try:
            specs = self._control.exchange("first sample", own, EXCHANGE_TIMEOUT)
        except ExchangeFailed:
            text = "not every rank took the first sample: no samples are recorded"
            self._faults.note("ranks_out_of_step", text)
            return None
        for spec in specs:
            if isinstance(spec, SetupError):
                raise spec
        try:
            probe.agree([spec for spec in specs if not isinstance(spec, SetupError)])
            for trigger in self._triggers:
                trigger.check(probe.schema)
        except SetupError:
            raise
        except Exception as error:  # noqa: BLE001 - the same on every rank, as the specs are
            self._faults.note("sampling_failed", f"no samples are recorded: {one_line(error)}")
            return None
        self._probe = probe
        self._decomposition = DecompositionTracker(self._samples, probe.decomposition)
        return probe

    def take(self, step: int, state: State | None, problem: SetupError | None) -> None:
        """Take a sample of `state`, or say that there is none, and send it; never waits."""
        probe = self._probe
        visit = self._sample_time[1] + 1 if step == self._sample_time[0] else 0
        self._sample_time = step, visit
        if self._realigner is not None and self._left_out(self._realigner, step):
            return
        faults = len(probe.faults)
        reported = None
        if state is None:
            # What was reported waits for a sample that can be taken.
            message = probe.unreadable(step)
        else:
            reported = self.reports.take()
            if reported is not None:
                state = replace(state, reported=reported)
                self._check_declared(probe.declarations, reported)
            message = probe.measure(replace(state, visit=visit) if visit else state)
        sent = False
        try:
            if probe.boxes is not None:
                self._decomposition.send(self.stream.started, probe.boxes)
            sent = self._send(message)
        except Exception as error:  # noqa: BLE001 - a sample must never end the simulation
            self._faults.absorb("sending a sample", error)
        if reported is not None and not sent:
            self.reports.give_back(reported)
        if problem is not None:
            self._faults.note("state_unreadable", str(problem))
        for fault in probe.faults[faults:]:
            self._faults.note("diagnostic_failed", str(fault))

    def pop(self) -> tuple[ReducedSample, float, DecompositionAt | None] | None:
        """The oldest sample if it is complete, for rank 0 alone.

        With it comes its wall time, and where the boxes are if that is known and any has moved.
        """
        message = self.stream.pop()
        if message is None:
            return None
        wall, sums, maxima = message
        sample, number = self._probe.finish(sums, maxima), self._arrived
        self._arrived += 1
        for text in sample.problems:
            # The rank on which a diagnostic failed has warned of it.
            warn = not (sample.failed or sample.unreadable)
            self._faults.note("sample_incomplete", text, step=sample.step, warn=warn)
        if text := self._order.problem(sample):
            self._faults.note("step_out_of_order", text, step=sample.step)
        if not sample.aligned and self._realigner is not None:
            self._realigner.announce(number)
        # Where nothing has ever moved, this costs nothing.
        self._moved = self._moved or sample.moved
        if not self._moved or sample.places is None:
            return sample, wall, None
        return sample, wall, self._decomposition.at(number, sample.places)

    def _send(self, message: tuple[Sums, Maxima]) -> bool:
        number = self.stream.started
        sent = self.stream.push(*message, time.time())
        if sent and self._realigner is not None:
            self._realigner.note(number, self._sample_time)
        return sent

    def _left_out(self, realigner: SampleRealigner, step: int) -> bool:
        """Whether the sample of `step` is left out, so that the ranks sample together again."""
        surplus = realigner.shift(self._sample_time)
        if surplus:
            more, action = (
                ("more", "leaves out") if surplus > 0 else ("fewer", "sends empty ones for")
            )
            text = (
                f"rank {self._control.rank} had taken {abs(surplus)} {more} samples than rank 0: "
                f"it {action} so many, and samples with the others again"
            )
            self._faults.note("samples_realigned", text, step=step)
            with self._faults.contained("sending a sample"):
                for _ in range(-surplus):
                    self._send(self._probe.blank())
            self._surplus = max(0, surplus)
        left_out = self._surplus > 0
        self._surplus -= left_out
        return left_out

    def _check_declared(self, declarations: Declarations, reported: Reported) -> None:
        for method, name, fix in declarations.undeclared(reported):
            text = f"run.{method}({name!r}, ...) was called and nothing declared for it. {fix}"
            self._faults.note_once("report_undeclared", text)
