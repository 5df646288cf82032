"""How a run ended, from what its ranks say when they leave."""

from __future__ import annotations

import pytest

from simckpt.model.series import Event
from simckpt.parallel.comm import ExchangeFailed, SerialComm
from simckpt.recording.end import (
    EXCEPTION_EVENT,
    MOST_EXCEPTIONS,
    ExitStatus,
    Shutdown,
    exchange_statuses,
)


def status(rank: int, samples: int = 5, error: str = "", *events: Event, signal: str = ""):
    return ExitStatus(rank=rank, step=9, samples=samples, error=error, signal=signal, events=events)


@pytest.mark.parametrize(
    ("statuses", "missing", "ending", "together"),
    [
        ([status(0), status(1)], False, ("finished", ""), True),
        ([status(0), status(1, 4)], False, ("finished", ""), False),
        (
            [status(0), status(1, 5, "ValueError: no")],
            False,
            ("exception", "rank 1: ValueError: no"),
            False,
        ),
        (
            [status(0), status(1, signal="SIGUSR1")],
            False,
            ("signal", "rank 1 received SIGUSR1"),
            True,
        ),
        (
            [status(0, 5, "ValueError: no"), status(1, signal="SIGUSR1")],
            False,
            ("exception", "rank 0: ValueError: no"),
            False,
        ),
        ([status(0)], True, ("aborted", "not every rank reached the end of the run"), False),
    ],
    ids=["finished", "other samples", "exception", "signal", "both", "alone"],
)
def test_the_ending_and_a_last_sample_follow_from_all_ranks(
    statuses, missing, ending, together
) -> None:
    shutdown = Shutdown(tuple(statuses), missing=missing)
    assert shutdown.ending == ending
    assert shutdown.together is together


def test_ranks_that_did_not_sample_together_are_named() -> None:
    problem = Shutdown((status(0, 5), status(1, 3)), missing=False).problem
    assert "rank 1 took 3 samples" in problem
    assert "rank 0 took 5" in problem
    assert Shutdown((status(0), status(1)), missing=False).problem == ""


def test_events_of_the_other_ranks_are_recorded_by_rank_0_and_few_exceptions() -> None:
    event, exception = (
        Event(name=name, severity="note", step=1, wall=0.0, text="x", rank=1)
        for name in ("x", EXCEPTION_EVENT)
    )
    events = [exception] * 2 * MOST_EXCEPTIONS + [event]
    shutdown = Shutdown((status(0, 5, "", event), status(1, 5, "", *events)), missing=False)
    assert shutdown.events == (*[exception] * MOST_EXCEPTIONS, event)


def test_a_rank_that_is_left_alone_says_so_and_goes_on() -> None:
    class Alone(SerialComm):
        def exchange(self, purpose, value, timeout):
            raise ExchangeFailed

    shutdown = exchange_statuses(Alone(), status(0), 0.0)
    assert shutdown.missing
    assert shutdown.ending[0] == "aborted"
