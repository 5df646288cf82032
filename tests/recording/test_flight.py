"""The flight recorder is bounded in number and in bytes, and its dump is a document."""

from __future__ import annotations

from typing import Any

import numpy as np

from simckpt import Grid
from simckpt.bundle.records import decode_document
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
from simckpt.model.record import canonical_json
from simckpt.recording.trigger_captures import RecentSamples


def readings(n: int, cells: int = 64) -> list[Any]:
    probe = RankSampler(Declarations(conserved={"mass": "u"}))
    found = []
    for step in range(n):
        state = State(Grid(cells), {"u": np.arange(float(cells)) + step}, step=step, t=0.5 * step)
        if not probe.agreed:
            probe.agree([probe.local_spec(state)])
        found.append(probe.finish(*probe.measure(state)))
    return found


def test_the_last_samples_are_kept_oldest_first() -> None:
    flight = RecentSamples(samples=3)
    assert flight.dump("0" * 64) is None
    for reading in readings(5):
        flight.add(reading, 7.0)
    dump = flight.dump("0" * 64)
    assert dump is not None
    told = [(s.step, s.t, s.wall) for s in dump.samples]
    assert told == [
        (2, 1.0, 7.0),
        (3, 1.5, 7.0),
        (4, 2, 7),
    ]
    rows = dump.samples[-1].tiles["u"]
    assert np.frombuffer(rows.minimum).min() == 4.0
    assert np.frombuffer(rows.mean).mean() == 35.5
    assert dump.omitted == 0


def test_memory_and_dumps_are_bounded_in_bytes_and_the_newest_stays() -> None:
    flight = RecentSamples(samples=100, memory_bytes=4096, dump_bytes=1000)
    for reading in readings(20):
        flight.add(reading, 0.0)
    assert 1 <= len(flight) < 5
    dump = flight.dump("0" * 64)
    assert dump is not None
    assert len(dump.samples) + dump.omitted == len(flight)
    assert dump.samples[-1].step == 19
    tiny = RecentSamples(memory_bytes=1, dump_bytes=1)
    for reading in readings(3):
        tiny.add(reading, 0.0)
    last = tiny.dump("0" * 64)
    assert last is not None
    assert [s.step for s in last.samples] == [2]


def test_a_dump_is_read_back_as_it_was() -> None:
    flight = RecentSamples()
    for reading in readings(2):
        flight.add(reading, 0.0)
    dump = flight.dump("0" * 64)
    assert decode_document(canonical_json(dump)) == dump
