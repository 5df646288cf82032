from __future__ import annotations

import time

import numpy as np

from simckpt.parallel.comm import Maxima, Sums, poll
from simckpt.recording.sampling import MOST_PENDING_BYTES, Stream


class HeldReduction:
    """A reduction that is done when the test says so."""

    def __init__(self, sums: Sums, maxima: Maxima) -> None:
        self.released = False
        self._values = (sums, maxima)

    def done(self) -> bool:
        return self.released

    def result(self) -> tuple[Sums, Maxima] | None:
        return self._values


class HeldComm:
    """Rank 0 of a group whose other ranks are late."""

    rank, size, host = 0, 2, "here"

    def __init__(self) -> None:
        self.started: list[HeldReduction] = []

    def reduce(self, sums: Sums, maxima: Maxima) -> HeldReduction:
        self.started.append(HeldReduction(sums, maxima))
        return self.started[-1]

    def wait(self, ready, what, timeout):
        return poll(ready, time.monotonic() + timeout)


def message(n: int) -> tuple[Sums, Maxima]:
    return np.array([n], dtype=np.uint64), np.array([float(n)])


def test_samples_arrive_in_the_order_in_which_they_were_started() -> None:
    comm = HeldComm()
    stream = Stream(comm)  # type: ignore[arg-type]
    for n in range(3):
        stream.push(*message(n), wall=float(n))
    comm.started[1].released = True
    assert stream.pop() is None
    comm.started[0].released = True
    assert [stream.pop()[0] for _ in range(2)] == [0.0, 1.0]
    assert stream.pop() is None
    assert len(stream.pending) == 1


def test_a_rank_that_samples_alone_stops_sending_and_never_waits() -> None:
    comm = HeldComm()
    stream = Stream(comm)  # type: ignore[arg-type]
    large = np.zeros(MOST_PENDING_BYTES // 8 // 100, dtype=np.uint64), np.zeros(1)
    sent = [stream.push(*large, wall=0.0) for _ in range(110)]
    assert sent == [True] * 99 + [False] * 11
    assert stream.started == len(comm.started) == 99
    assert stream.refused == 11
    assert not stream.settle(0.01)
    assert not stream.settle(1e9), "it waits in vain once only"
    for reduction in comm.started:
        reduction.released = True
    assert sum(stream.pop() is not None for _ in range(100)) == 99
    stream.push(*message(0), wall=0.0)
    assert stream.refused == 12, "messages after a gap would be taken for others"
