from __future__ import annotations

from simckpt.model.series import Event
from simckpt.parallel.comm import ExchangeFailed, SerialComm
from simckpt.recording.end import Farewell, Parting, part


def farewell(
    rank: int, samples: int = 5, error: str = "", *events: Event, signal: str = ""
) -> Farewell:
    return Farewell(rank=rank, step=9, samples=samples, error=error, signal=signal, events=events)


def test_ranks_that_all_arrive_finish() -> None:
    parting = Parting((farewell(0), farewell(1)), missing=False)
    assert parting.ending == ("finished", "")
    assert parting.problems == ()


def test_an_exception_on_any_rank_is_how_the_run_ended() -> None:
    parting = Parting((farewell(0), farewell(1, 5, "ValueError: no")), missing=False)
    assert parting.ending == ("exception", "rank 1: ValueError: no")


def test_only_ranks_at_one_step_take_a_last_sample_together() -> None:
    assert Parting((farewell(0), farewell(1)), missing=False).together
    assert not Parting((farewell(0), farewell(1, 4)), missing=False).together
    assert not Parting((farewell(0), farewell(1, 5, "ValueError: no")), missing=False).together
    assert not Parting((farewell(0),), missing=True).together


def test_a_signal_on_any_rank_is_how_the_run_ended_unless_it_raised() -> None:
    stopped = (farewell(0), farewell(1, signal="SIGUSR1"))
    assert Parting(stopped, missing=False).ending == ("signal", "rank 1 received SIGUSR1")
    raised = (farewell(0, 5, "ValueError: no"), farewell(1, signal="SIGUSR1"))
    assert Parting(raised, missing=False).ending[0] == "exception"


def test_ranks_that_did_not_sample_together_are_named() -> None:
    (problem,) = Parting((farewell(0, 5), farewell(1, 3)), missing=False).problems
    assert "rank 1 took 3 samples" in problem
    assert "rank 0 took 5" in problem


def test_events_of_the_other_ranks_are_told_by_rank_0() -> None:
    event = Event(name="x", severity="note", step=1, wall=0.0, text="x", rank=1)
    parting = Parting((farewell(0), farewell(1, 5, "", event)), missing=False)
    assert parting.events == (event,)


def test_a_rank_that_is_left_alone_says_so_and_goes_on() -> None:
    class Alone(SerialComm):
        def exchange(self, purpose, value, timeout):
            raise ExchangeFailed

    parting = part(Alone(), farewell(0), 0.0)
    assert parting.missing
    assert parting.ending[0] == "aborted"
