"""What a serial driver gets from `simckpt.run` and `simckpt.step`, in each of their forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from heat import Heat, advance, drive

import simckpt
from simckpt import SetupError


def test_a_decorated_driver_leaves_a_bundle_with_its_series_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "heat.simckpt.h5"
    settings = simckpt.Numerics(solver="FTCS", integrator="Euler", dt=0.2)
    sim = simckpt.run(bundle=path, intent="decay", numerics=settings, seeds=3)(drive)(steps=7)
    assert path.exists()
    assert not path.with_name("heat.simckpt.journal").exists()
    with simckpt.open(path) as bundle:
        series = bundle.series()
        assert list(series.step) == [0, 2, 4, 6, 7], "the last state is sampled too"
        assert np.allclose(series.t, [0.0, 0.4, 0.8, 1.2, 1.4])
        assert series["u.max"][0] == 1.0
        assert np.allclose(series["heat"], 0.5 * sim.u.sum(), rtol=1e-13)
        start, final = bundle.checkpoints
        assert (start.reason, final.reason) == ("start", "final")
        assert final.parents == (start.id,)
        assert final.identity() == final.id
        assert start.parents == ()
        assert final.state is not None
        assert (final.state.step, final.state.t) == (7, sim.t)
        assert (final.step, final.t) == (7, sim.t)
        assert final.state.values["heat"] == series["heat"][-1]
        manifest = bundle.document(final.parts.manifest)
        assert manifest.parameters == {"steps": 7, "dt": 0.2}
        assert bundle.document(final.parts.intent).goal == "decay"
        assert bundle.document(final.parts.numerics).requested["solver"] == "FTCS"
        assert bundle.document(final.parts.random).seeds == {"seed": 3}
        assert bundle.document(final.parts.environment).sections
        (segment,) = bundle.segments
        assert segment.ending == "finished"
        assert segment.decomposition.global_shape == (32,)


def test_all_forms_record_the_same_series(tmp_path: Path) -> None:
    simckpt.run(bundle=tmp_path / "decorated")(drive)(steps=8)

    with simckpt.run(bundle=tmp_path / "managed") as run:
        drive(steps=8)
        assert run.path == str(tmp_path / "managed.simckpt.h5")

    run = simckpt.run(bundle=tmp_path / "plain").start()
    sim = Heat()
    for step in range(9):
        if step:
            sim.advance(0.2)
        if step % 2 == 0:
            run.sample(
                step=step, t=sim.t, dt=0.2, grid=simckpt.Grid(sim.u.shape, spacing=0.5),
                fields={"u": sim.u}, conserved={"heat": "u"},
            )  # fmt: skip
    run.finish()

    with simckpt.run(bundle=tmp_path / "around"):
        sim = Heat()
        monitor = simckpt.step(
            grid=simckpt.Grid(sim.u.shape, spacing=0.5),
            fields=lambda: {"u": sim.u},
            conserved={"heat": "u"},
            time=lambda: sim.t,
            dt=0.2,
            every=2,
        )
        for _ in range(8):
            with monitor:
                sim.advance(0.2)

    bundles = [simckpt.open(tmp_path / n) for n in ("decorated", "managed", "plain", "around")]
    first = bundles[0].series()
    for bundle in bundles[1:]:
        series = bundle.series()
        assert list(series) == list(first)
        for name in first:
            assert np.array_equal(series[name], first[name], equal_nan=True), name
        assert np.array_equal(series.step, first.step)
        assert np.array_equal(bundle.digests("u").values, bundles[0].digests("u").values)
    for bundle in bundles:
        bundle.close()


def test_a_functional_driver_is_sampled_by_its_result(tmp_path: Path) -> None:
    @simckpt.step(
        grid=lambda u: simckpt.Grid(u.shape),
        fields=lambda u: {"u": u},
        conserved={"heat": "u"},
        source="result",
    )
    def move(u: np.ndarray) -> np.ndarray:
        return np.roll(u, 1)

    with simckpt.run(bundle=tmp_path / "f"):
        u = np.arange(8.0)
        for _ in range(3):
            u = move(u)
    with simckpt.open(tmp_path / "f") as bundle:
        assert list(bundle.series().step) == [1, 2, 3]
        assert np.all(bundle.series()["heat"] == 28.0)
        assert len(set(bundle.digests("u").whole.tolist())) == 3


def test_a_finished_run_is_kept_and_the_next_one_is_written_beside_it(tmp_path: Path) -> None:
    record = simckpt.run(bundle=tmp_path / "heat.simckpt.h5")(drive)
    record(3)
    record(5)
    record(5)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "heat-2.simckpt.h5",
        "heat-3.simckpt.h5",
        "heat.simckpt.h5",
    ]
    with simckpt.open(tmp_path / "heat") as a, simckpt.open(tmp_path / "heat-2") as b:
        assert a.run_id != b.run_id
        assert len(a.segments) == len(b.segments) == 1


def test_an_unfinished_run_is_continued_in_its_bundle(tmp_path: Path) -> None:
    def part(start: int, stop: int, fail: bool) -> None:
        sim = Heat()
        for _ in range(start):
            sim.advance(0.2)
        for _ in range(start, stop):
            advance(sim, 0.2)
        if fail:
            raise RuntimeError("time limit")

    path = tmp_path / "chain"
    with pytest.raises(RuntimeError):
        simckpt.run(bundle=path)(part)(0, 6, True)
    simckpt.run(bundle=path, start_step=4)(part)(4, 9, False)
    simckpt.run(bundle=tmp_path / "whole")(part)(0, 9, False)
    with simckpt.open(path) as chain, simckpt.open(tmp_path / "whole") as whole:
        assert [s.ending for s in chain.segments] == ["exception", "finished"]
        before = [c for c in chain.checkpoints if c.segment == 0]
        after = [c for c in chain.checkpoints if c.segment == 1]
        assert after[0].parents == (before[-1].id,)
        assert after[0].index == before[-1].index + 1
        assert list(chain.series().step) == list(whole.series().step) == [0, 2, 4, 6, 8, 9]
        assert np.array_equal(chain.digests("u").values, whole.digests("u").values)
        assert np.array_equal(chain.series()["heat"], whole.series()["heat"])
        assert len(chain.series(effective=False).step) == 8


def test_a_changed_parameter_of_a_continued_run_is_in_its_spec_diff(tmp_path: Path) -> None:
    def part(dt: float, fail: bool) -> None:
        drive(2, dt)
        if fail:
            raise RuntimeError

    path = tmp_path / "chain"
    with pytest.raises(RuntimeError):
        simckpt.run(bundle=path)(part)(0.2, fail=True)
    simckpt.run(bundle=path)(part)(0.1, fail=False)
    with simckpt.open(path) as bundle:
        first = bundle.checkpoints[0]
        resumed = next(c for c in bundle.checkpoints if c.segment == 1)
        final = bundle.checkpoints[-1]
        assert bundle.document(first.parts.spec_diff).changes == ()
        changes = {c.path: (c.old, c.new) for c in bundle.document(resumed.parts.spec_diff).changes}
        assert changes["parameters.dt"] == (0.2, 0.1)
        assert bundle.document(final.parts.spec_diff).changes == ()


def test_the_driver_is_told_by_module_and_name_and_the_bundle_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simckpt.run(drive)(1)
    with simckpt.open(tmp_path / "drive") as bundle:
        last = bundle.checkpoints[-1].parts
        assert bundle.document(last.manifest).driver == f"{drive.__module__}.drive"
        assert bundle.document(last.specification).facts["driver"] == "drive"


def test_generators_among_the_arguments_are_followed(tmp_path: Path) -> None:
    @simckpt.run(tmp_path / "x", triggers=False)
    def driver(rng: np.random.Generator) -> None:
        simckpt.checkpoint("one")
        rng.random()
        simckpt.checkpoint("two")

    driver(np.random.default_rng(3))
    with simckpt.open(tmp_path / "x") as bundle:
        states = [
            bundle.document(c.parts.random).generators["rng"]["state"] for c in bundle.checkpoints
        ]
        told = bundle.document(bundle.checkpoints[0].parts.manifest).parameters["rng"]
    assert states[0] == states[1] == told["random_state"] != states[2]
    assert told["entropy"] == 3


def test_upstream_checkpoints_are_parents(tmp_path: Path) -> None:
    simckpt.run(bundle=tmp_path / "spinup", stage="spin-up")(drive)(3)
    simckpt.run(bundle=tmp_path / "member", upstream=tmp_path / "spinup")(drive)(5)
    with simckpt.open(tmp_path / "spinup") as a, simckpt.open(tmp_path / "member") as b:
        assert b.checkpoints[0].parents == (a.checkpoints[-1].id,)
        assert b.campaign == a.campaign == a.run_id
        diff = b.document(b.checkpoints[0].parts.spec_diff)
        assert {c.path for c in diff.since_upstream} >= {"parameters.steps"}
    with simckpt.open(tmp_path / "spinup") as spinup:
        twice = [tmp_path / "spinup", spinup.checkpoints[-1].id] * 6
    simckpt.run(bundle=tmp_path / "again", upstream=twice)(drive)(5)
    with simckpt.open(tmp_path / "again") as again:
        assert len(again.checkpoints[0].parents) == 1
    with pytest.raises(SetupError, match=r"upstream = .*nothing.*neither a bundle"):
        simckpt.run(bundle=tmp_path / "x", upstream="nothing")(drive)()


def test_a_checkpoint_is_readable_while_the_run_goes_on(tmp_path: Path) -> None:
    with simckpt.run(bundle=tmp_path / "live"):
        sim = Heat()
        for _ in range(4):
            advance(sim, 0.2)
        made = simckpt.checkpoint("half way", why="to look at it")
        assert made is not None
        with simckpt.open(tmp_path / "live") as bundle:
            assert bundle.checkpoints[-1] == made
            assert bundle.checkpoints[-1].label == "half way"
            assert list(bundle.series().step) == [0, 2, 4]
            assert bundle.segments[-1].ending is None
            tiles = bundle.tiles("u")
            assert tiles.maximum.max() == bundle.series()["u.max"][-1]


def test_checkpoints_come_by_schedule(tmp_path: Path) -> None:
    simckpt.run(bundle=tmp_path / "s", checkpoint_every=3)(drive)(7)
    with simckpt.open(tmp_path / "s") as bundle:
        assert [(c.label, c.step) for c in bundle.checkpoints] == [
            ("start", 0), ("step 3", 3), ("step 6", 6), ("final", 7),
        ]  # fmt: skip


def test_settings_may_follow_from_the_drivers_arguments(tmp_path: Path) -> None:
    @simckpt.run(
        bundle=tmp_path / "{label}",
        numerics=lambda dt: simckpt.Numerics(solver="FTCS", dt=dt),
        seeds=lambda seed: seed,
        intent=lambda label, **others: f"{label}: {sorted(others)}",
    )
    def driver(label: str, dt: float = 0.2, seed: int = 5) -> str | None:
        active = simckpt.active_run()
        assert active is not None
        return active.path

    assert driver("one", dt=0.1) == str(tmp_path / "one.simckpt.h5")
    assert driver("one", dt=0.1) == str(tmp_path / "one-2.simckpt.h5")
    assert simckpt.active_run() is None
    with simckpt.open(tmp_path / "one") as bundle:
        parts = bundle.checkpoints[-1].parts
        assert bundle.document(parts.numerics).requested == {"solver": "FTCS", "dt": 0.1}
        assert bundle.document(parts.random).seeds == {"seed": 5}
        assert bundle.document(parts.intent).goal == "one: ['dt', 'seed']"

    @simckpt.run(bundle=tmp_path / "two", numerics=lambda cfl: {"cfl": cfl})
    def without(dt: float = 0.2) -> None: ...

    with pytest.raises(SetupError, match=r"numerics = .*asks for 'cfl'.*Choices: dt"):
        without()
    with pytest.raises(SetupError, match=r"input = .*no argument of run.*inputs"):
        simckpt.run(input="x.toml")


def test_disabled_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCKPT_DISABLE", "1")
    monkeypatch.chdir(tmp_path)
    with simckpt.run(bundle="x") as run:
        simckpt.checkpoint("none")
        run.report_settings(dt=1.0)
        run.event("none")
        run.sample(fields={"u": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []


def test_a_fall_back_is_an_event(tmp_path: Path) -> None:
    with simckpt.run(bundle=tmp_path / "x", numerics={"limiter": "mc", "cfl": 0.4}) as run:
        run.report_settings(limiter="minmod", cfl=0.4)
        run.report_settings(limiter="minmod")
        run.event("remeshed", "finer now", cells=np.int64(64))
    with simckpt.open(tmp_path / "x") as bundle:
        fallback, remeshed = (e for e in bundle.events if e.name != "capture")
        assert fallback.name == "numerics_fallback"
        assert fallback.facts == {"setting": "limiter", "requested": "mc", "effective": "minmod"}
        assert remeshed.facts == {"cells": 64}
        numerics = bundle.document(bundle.checkpoints[-1].parts.numerics)
        assert numerics.fallbacks() == {"limiter": ("mc", "minmod")}


def test_outputs_are_indexed_by_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with simckpt.run(bundle="x", outputs=["out/*.txt"]):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.txt").write_text("result")
    with simckpt.open("x") as bundle:
        index = bundle.document(bundle.checkpoints[-1].parts.artifacts)
        (entry,) = index.entries
        assert entry.path == "out/a.txt"
        assert entry.size == 6
        assert entry.hash
