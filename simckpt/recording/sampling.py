"""The samples of one rank: set up by all ranks together, taken alone, read as they arrive."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any

from ..errors import SetupError
from ..parallel.comm import ExchangeFailed
from .moving_boxes import Pairing, Placements
from .overheads import one_line
from .settings import EXCHANGE_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..diagnostics.declarations import Declarations
    from ..diagnostics.exact import ExactSum
    from ..diagnostics.local_spec import LocalSpec
    from ..diagnostics.quantities.reported import Reported, Solves
    from ..diagnostics.rank_sampler import RankSampler
    from ..diagnostics.reduced_sample import ReducedSample
    from ..diagnostics.state import State
    from ..parallel.comm import Comm, Maxima, Reduction, Sums
    from .moving_boxes import Placed
    from .overheads import Faults
    from .triggers import Trigger

# The stream of samples: non-blocking reductions, in the order in which they were started.
#
# Nothing here waits for another rank. A rank that samples while the others do not keeps its
# messages until a bound is reached, and from then on sends no more; the end of the run says so.


MOST_PENDING = 64
MOST_PENDING_BYTES = 32 << 20
"""A rank may run ahead of the others by so many samples, or by as many as these bytes hold."""


class Stream:
    """This rank's side of the samples' reductions to rank 0.

    Parameters
    ----------
    comm : Comm
        A communicator that carries nothing else.
    """

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._pending: deque[tuple[float, Reduction]] = deque()
        self.started = 0
        self.refused = 0
        self._late = False

    @property
    def pending(self) -> int:
        """Reductions under way."""
        return len(self._pending)

    def push(self, sums: Sums, maxima: Maxima, wall: float) -> bool:
        """Start the reduction of one message, taken at `wall` seconds since the epoch.

        False where the bound is reached: it has not been sent.
        """
        size = sums.nbytes + maxima.nbytes
        most = max(MOST_PENDING, MOST_PENDING_BYTES // max(size, 1))
        if self.refused or len(self._pending) >= most:
            self.refused += 1
            return False
        self._pending.append((wall, self._comm.reduce(sums, maxima)))
        self.started += 1
        return True

    def ready(self) -> Iterator[tuple[float, Sums, Maxima]]:
        """The messages that are complete, oldest first; only rank 0 receives any."""
        while self._pending and self._pending[0][1].done():
            wall, reduction = self._pending.popleft()
            result = reduction.result()
            if result is not None:
                yield (wall, *result)

    def settle(self, timeout: float) -> bool:
        """Wait until nothing is under way (True), at most `timeout` seconds (False).

        The messages stay for `ready` to hand out. Once it was in vain it waits no more, until
        what was late has arrived.
        """
        arrived = self._comm.wait(
            lambda: all(r.done() for _, r in self._pending),
            "the last samples of the other ranks",
            0.0 if self._late else timeout,
        )
        self._late = not arrived
        return arrived


# Steps that do not follow each other: a driver that numbers them wrongly, or goes back.


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


# What the driver reports between two samples, on this rank.


class Reports:
    """Adds up reports until a sample takes them.

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
            # Nothing could be told of the budget ever after.
            raise ValueError(f"an amount of {amount} is not finite: it is not counted")
        name = _normal(name)
        known = self._amounts.get(name)
        self._amounts[name] = term if known is None else known + term

    def count(self, name: str, n: int) -> None:
        """Add how often something happened."""
        from ..diagnostics.quantities.reported import add_count

        name = _normal(name)
        self._counts[name] = add_count(self._counts.get(name, 0), index(n), "a count")

    def residual(self, name: str, iterations: int, initial: float, final: float) -> None:
        """Add one solve."""
        from ..diagnostics.quantities.reported import Solves, add_count

        name = _normal(name)
        known = self._solves.get(name)
        add_count(known.iterations if known else 0, index(iterations), "a number of iterations")
        solve = Solves(1, index(iterations), float(initial), float(final))
        self._solves[name] = solve if known is None else known + solve

    def scalar(self, name: str, value: float) -> None:
        """Keep the value that was reported last."""
        self._scalars[_normal(name)] = float(value)

    def take(self) -> Reported:
        """What was reported since this was last asked."""
        from ..diagnostics.quantities.reported import Reported

        reported = Reported(self._amounts, self._counts, self._solves, self._scalars)
        self._amounts, self._counts, self._solves, self._scalars = {}, {}, {}, {}
        return reported

    def give_back(self, reported: Reported) -> None:
        """Keep what a sample took and could not send, for the next one."""
        later = self.take()
        self._amounts = _joined(reported.amounts, later.amounts)
        self._counts = _joined(reported.counts, later.counts)
        self._solves = _joined(reported.solves, later.solves)
        self._scalars = {**reported.scalars, **later.scalars}


def _normal(name: str) -> str:
    # Names are declared in this form.
    from ..diagnostics.expressions import normal_form

    return normal_form(name)


def _joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(earlier)
    for name, value in later.items():
        joined[name] = joined[name] + value if name in joined else value
    return joined


class Sampling:
    """This rank's side of the run's samples.

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
        self._control = control
        self._samples = samples
        self._stream = Stream(samples)
        self._triggers = triggers
        self._faults = faults
        self._probe: RankSampler | None = None
        self._placements: Placements | None = None
        self._arrived = 0
        self._pairing = Pairing(samples)
        self._ahead = 0
        self._moment = (-1, 0)
        self._moved = False
        self._order = StepOrder()

    @property
    def taken(self) -> int:
        """Samples that this rank has taken, those that could not be sent among them."""
        return self._stream.started + self._stream.refused

    @property
    def awaited(self) -> bool:
        """Whether any sample is under way."""
        return self._stream.pending > 0

    def set_up(
        self,
        declarations: Declarations,
        state: State | None,
        problem: SetupError | None,
        alike: Mapping[str, str],
    ) -> RankSampler | None:
        """Agree with all ranks on what a sample holds; collective.

        `alike` are the texts of other arguments that must be the same on every rank.

        Returns
        -------
        RankSampler or None
            What describes the samples; None where there will be none.

        Raises
        ------
        SetupError
            On every rank alike, where declarations and data do not agree.
        """
        from ..diagnostics.rank_sampler import RankSampler

        probe = RankSampler(declarations, rank=self._control.rank)
        mine: LocalSpec | SetupError = problem or probe.local_spec(state, alike)  # type: ignore[arg-type]
        try:
            offers = self._control.exchange("first sample", mine, EXCHANGE_TIMEOUT)
        except ExchangeFailed:
            text = "not every rank took the first sample: no samples are recorded"
            self._faults.note("ranks_out_of_step", text)
            return None
        refused = next((offer for offer in offers if isinstance(offer, SetupError)), None)
        if refused is not None:
            raise refused
        try:
            probe.agree([offer for offer in offers if not isinstance(offer, SetupError)])
            for trigger in self._triggers:
                trigger.check(probe.schema)
        except SetupError:
            raise
        except Exception as error:  # noqa: BLE001 - the same on every rank, as the offers are
            self._faults.note("sampling_failed", f"no samples are recorded: {one_line(error)}")
            return None
        self._probe = probe
        self._placements = Placements(self._samples, probe.decomposition)
        return probe

    def take(self, step: int, state: State | None, problem: SetupError | None) -> None:
        """Take a sample of `state`, or say that there is none, and send it; never waits."""
        probe = self._probe
        assert probe is not None
        self._moment = step, self._moment[1] + 1 if step == self._moment[0] else 0
        if self._left_out(probe, step):
            return
        known = len(probe.faults)
        reported = None
        if state is None:
            # What was reported waits for a sample that can be taken.
            message = probe.unreadable(step)
        else:
            reported = self.reports.take()
            message = probe.measure(replace(state, reported=reported, visit=self._moment[1]))
            self._check_declared(probe, reported)
        sent = False
        with self._faults.contained("sending a sample"):
            if self._placements is not None and probe.boxes is not None:
                self._placements.tell(self._stream.started, probe.boxes)
            sent = self._push(message)
        if reported is not None and not sent:
            self.reports.give_back(reported)
        if problem is not None:
            self._faults.note("state_unreadable", str(problem))
        for fault in probe.faults[known:]:
            self._faults.note("diagnostic_failed", str(fault))

    def arrived(self) -> Iterator[tuple[ReducedSample, float, Placed | None]]:
        """The readings that are complete, oldest first, for rank 0 alone.

        With each comes its wall time, and where the boxes lay if that is known and any had moved.
        """
        for wall, sums, maxima in self._stream.ready():
            assert self._probe is not None
            reading = self._probe.finish(sums, maxima)
            for text in reading.problems:
                # The rank on which a diagnostic failed has said so already.
                said = bool(reading.failed or reading.unreadable)
                self._faults.note("sample_incomplete", text, step=reading.step, said=said)
            if text := self._order.problem(reading):
                self._faults.note("step_out_of_order", text, step=reading.step)
            if not reading.aligned:
                self._pairing.apart(self._arrived)
            yield reading, wall, self._placed(reading)
            self._arrived += 1

    def settle(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until every sample has arrived."""
        return self._stream.settle(timeout)

    def _push(self, message: tuple[Sums, Maxima]) -> bool:
        number = self._stream.started
        sent = self._stream.push(*message, time.time())
        if sent:
            self._pairing.sent(number, self._moment)
        return sent

    def _left_out(self, probe: RankSampler, step: int) -> bool:
        """Whether the sample of `step` is left out, so that the ranks sample together again."""
        ahead = self._pairing.shift(self._moment)
        if ahead:
            more, other = ("more", "leaves out") if ahead > 0 else ("fewer", "sends empty ones for")
            text = (
                f"rank {self._control.rank} had taken {abs(ahead)} {more} samples than rank 0: it "
                f"{other} so many, and samples with the others again"
            )
            self._faults.note("samples_realigned", text, step=step)
            with self._faults.contained("sending a sample"):
                for _ in range(-ahead):
                    self._push(probe.blank())
            self._ahead = max(0, ahead)
        left_out = self._ahead > 0
        self._ahead -= left_out
        return left_out

    def _placed(self, reading: ReducedSample) -> Placed | None:
        # Where nothing has ever moved, this costs nothing.
        self._moved = self._moved or reading.moved
        if not self._moved or reading.places is None or self._placements is None:
            return None
        return self._placements.at(self._arrived, reading.places)

    def _check_declared(self, probe: RankSampler, reported: Reported) -> None:
        for method, name, mend in probe.declarations.undeclared(reported):
            text = f"run.{method}({name!r}, ...) was called and nothing declared for it. {mend}"
            self._faults.note_once("report_undeclared", text)


def built(build: Callable[[], State]) -> tuple[State | None, SetupError | None]:
    """The state that `build` finds, or the error that says why there is none."""
    try:
        return build(), None
    except SetupError as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - the user's accessors may raise anything
        return None, SetupError(
            "step",
            one_line(error),
            "the state could not be read",
            mend="Check the callables given as grid=, fields=, particles=.",
        )


# When samples are taken, and how they arrive.
