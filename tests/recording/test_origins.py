"""Where fields cease to be finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simckpt import Grid, Particles
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.rank_sampler import RankSampler
from simckpt.diagnostics.state import State
from simckpt.recording.trigger_captures import Origins


def test_the_event_names_cell_tile_and_the_last_finite_extrema() -> None:
    field = np.linspace(1.0, 2.0, 16 * 512).reshape(16, 512)
    state = State(Grid((16, 512)), {"rho": field}, step=6)
    probe = RankSampler(Declarations())
    probe.agree([probe.local_spec(state)])
    origins = Origins()

    def events(step: int) -> list:
        reading = probe.finish(*probe.measure(replace(state, step=step)))
        return list(origins.events(reading, 0.0))

    assert events(6) == []
    field[9, 300] = np.nan
    field[11, 2] = np.inf
    (event,) = events(7)
    assert (event.step, event.severity) == (7, "error")
    assert event.facts["index"] == [9, 300]
    assert event.facts["last_finite"] == {"step": 6, "min": 1.0, "max": 2.0}
    assert (event.facts["nan"], event.facts["posinf"], event.facts["neginf"]) == (1, 1, 0)
    (tiles,) = probe.schema.tiles
    number = int(np.ravel_multi_index(event.facts["tile"], tiles.shape))
    inside = [
        low <= i < high for (low, high), i in zip(tiles.bounds(number), (9, 300), strict=True)
    ]
    assert inside == [True, True]
    assert "1 NaN, 1 +Inf; the first cell is (9, 300), in tile (" in event.text
    assert "1 ... 2 at step 6" in event.text
    assert events(8) == [], "told once"


def test_a_first_sample_that_is_not_finite_has_no_extrema_before() -> None:
    state = State(Grid(3), {"rho": np.array([1.0, np.nan, 2.0])})
    probe = RankSampler(Declarations())
    probe.agree([probe.local_spec(state)])
    (event,) = Origins().events(probe.finish(*probe.measure(state)), 0.0)
    assert event.facts["index"] == [1]
    assert "last_finite" not in event.facts


def test_an_unsound_sample_does_not_stop_the_telling() -> None:
    states = [State(Grid(4, start=s), {"rho": np.array([1.0, np.nan])}) for s in (0, 2)]
    probes = [RankSampler(Declarations(), rank) for rank in range(2)]
    offers = [p.local_spec(s) for p, s in zip(probes, states, strict=True)]
    for probe in probes:
        probe.agree(offers)
    sums, maxima = probes[0].measure(states[0])
    reading = probes[0].finish(sums, maxima)
    assert reading.faults
    (event,) = Origins().events(reading, 0.0)
    assert event.facts["index"] == [1]
    assert "nan" not in event.facts


def test_a_particle_is_named_by_its_id() -> None:
    particles = Particles(np.array([4, 2, 0, 1, 3]), velocity=np.full((5, 1), 1.0))
    assert particles.velocity is not None
    particles.velocity[1] = np.nan
    state = State(particles=particles)
    probe = RankSampler(Declarations())
    probe.agree([probe.local_spec(state)])
    (event,) = Origins().events(probe.finish(*probe.measure(state)), 0.0)
    assert event.text.endswith("1 NaN; the first is the particle with the id 2")
