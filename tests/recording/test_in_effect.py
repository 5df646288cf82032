"""Settings in effect are read off live solvers, and held against what was asked for."""

from __future__ import annotations

import functools
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simckpt
from simckpt import SetupError
from simckpt.model.numerics import NumericalSettings
from simckpt.recording.captures import MOST_CHANGES_OF_ONE, EffectiveSettings


class Multigrid:
    """A solver of the user's, taught by registration."""

    def __init__(self, smoother: str = "jacobi", rtol: float = 1e-8) -> None:
        self.smoother = smoother
        self.rtol = rtol


@simckpt.describe.register
def _(solver: Multigrid) -> dict[str, Any]:
    return {"solver": "multigrid", "smoother": solver.smoother, "rtol": solver.rtol}


def events(path: Path, prefix: str = "numerics") -> list[tuple[str, str]]:
    with simckpt.open(path) as bundle:
        return [(e.name, e.text) for e in bundle.events if e.name.startswith(prefix)]


def numerics(path: Path) -> NumericalSettings:
    with simckpt.open(path) as bundle:
        return bundle.document(bundle.checkpoints[-1].parts.numerics)


def test_a_solver_given_to_the_run_tells_what_is_in_effect(tmp_path: Path) -> None:
    solver = Multigrid(rtol=1e-5)
    asked = simckpt.Numerics(solver=solver, rtol=1e-8, extra={"smoother": "Jacobi"})
    with simckpt.run(tmp_path / "x", numerics=asked) as run:
        run.checkpoint("set up")
    known = numerics(tmp_path / "x")
    assert known.requested == {"rtol": 1e-8, "smoother": "Jacobi"}
    assert known.effective == {"solver": "multigrid", "smoother": "jacobi", "rtol": 1e-5}
    assert known.fallbacks() == {"rtol": (1e-8, 1e-5)}
    text = "rtol was requested as 1e-08 and is 1e-05 in effect"
    assert events(tmp_path / "x") == [("numerics_fallback", text)]


def test_a_solver_alone_is_all_that_has_to_be_given(tmp_path: Path) -> None:
    with simckpt.run(tmp_path / "x", numerics=Multigrid()):
        pass
    assert numerics(tmp_path / "x").effective["solver"] == "multigrid"
    assert events(tmp_path / "x") == []


def test_what_is_configured_after_the_run_began_is_no_change(tmp_path: Path) -> None:
    solver = Multigrid()
    with simckpt.run(tmp_path / "x", numerics=simckpt.Numerics(solver=solver, rtol=1e-4)) as run:
        solver.rtol = 1e-4
        run.sample(fields={"u": np.zeros(4)}, grid=simckpt.Grid((4,)))
    assert events(tmp_path / "x") == []


def test_a_change_while_the_run_goes_on_is_an_event_and_a_trigger(tmp_path: Path) -> None:
    solver = Multigrid()
    with simckpt.run(tmp_path / "x", numerics={"pressure": solver}) as run:
        run.checkpoint("one")
        solver.rtol = 1e-2
        run.checkpoint("two")
        run.checkpoint("three")
    assert events(tmp_path / "x") == [
        ("numerics_changed", "settings in effect changed: pressure.rtol 1e-08 -> 0.01")
    ]
    with simckpt.open(tmp_path / "x") as bundle:
        fired = [e for e in bundle.events if e.name in ("capture", "trigger")]
    assert fired[-1].text.startswith(
        "environment: tolerances in effect changed: pressure.rtol 1e-08 -> 0.01"
    )


def test_the_step_says_where_the_solver_is(tmp_path: Path) -> None:
    class Sim:
        u = np.zeros(4)
        solver: Any = None

    @simckpt.step(
        grid=simckpt.Grid((4,)),
        fields=lambda sim: {"u": sim.u},
        numerics=lambda sim: {"pressure": sim.solver, "limiter": "minmod"},
    )
    def advance(sim: Sim) -> None:
        sim.solver = Multigrid(rtol=sim.solver.rtol * 10)

    with simckpt.run(tmp_path / "x", numerics={"limiter": "mc", "pressure": {"rtol": 1e-8}}):
        sim = Sim()
        sim.solver = Multigrid()
        advance(sim)
        simckpt.checkpoint("one")
    found = numerics(tmp_path / "x")
    assert found.effective["pressure"]["rtol"] == pytest.approx(1e-7)
    names = [name for name, _ in events(tmp_path / "x")]
    assert names == ["numerics_fallback", "numerics_fallback"]


def test_a_reported_solver_is_read_again_and_not_kept_alive(tmp_path: Path) -> None:
    solver = Multigrid()
    with simckpt.run(tmp_path / "x") as run:
        run.report_settings(solver, order=np.int64(2))
        solver.rtol = 1e-3
        run.checkpoint("one")
        gone = [solver]
        del solver
        reference = __import__("weakref").ref(gone.pop())
        gc.collect()
        assert reference() is None
        run.checkpoint("two")
    assert numerics(tmp_path / "x").effective == {
        "solver": "multigrid", "smoother": "jacobi", "rtol": 1e-3, "order": 2,
    }  # fmt: skip


def test_a_settings_file_and_a_namespace_are_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text('rtol = 1e-6\nlimiter = "mc"\n[pressure]\nrtol = 1e-9\n')
    with simckpt.run(tmp_path / "x", numerics=tmp_path / "case.toml") as run:
        run.report_settings(limiter="mc", pressure=Multigrid(rtol=1e-9))
    found = numerics(tmp_path / "x")
    assert found.requested == {"rtol": 1e-6, "limiter": "mc", "pressure": {"rtol": 1e-9}}
    assert found.fallbacks() == {}


def test_an_object_that_nobody_knows_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"describe\.register"):
        simckpt.run(tmp_path / "x", numerics=object())
    with pytest.raises(SetupError):
        simckpt.run(tmp_path / "x", numerics="no such file.toml")


def test_an_accessor_that_raises_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    @simckpt.step(grid=simckpt.Grid((4,)), fields={"u": np.zeros(4)}, numerics=lambda: 1 // 0)
    def advance() -> None: ...

    with simckpt.run(tmp_path / "x") as run:
        advance()
        run.checkpoint("one")
        run.checkpoint("two")
    ((name, text),) = events(tmp_path / "x")
    assert name == "numerics_unreadable"
    assert "ZeroDivisionError" in text


def test_a_solver_that_cannot_be_read_any_more_leaves_what_was_known() -> None:
    class Gone(Multigrid):
        def __bool__(self) -> bool:
            return False

    solver = Multigrid()
    known = EffectiveSettings({"solver": solver})
    assert known.read(0) == []
    del solver.rtol
    (event,) = known.read(1)
    assert (event.name, known.read(2)) == ("numerics_unreadable", [])
    assert known.settings.effective["rtol"] == 1e-8


def test_an_adaptive_setting_does_not_fill_the_record() -> None:
    known = EffectiveSettings({"dt": 0.1})
    told = [e for i in range(50) for e in known.report((), {"dt": 0.2 + i, "other": i}, i)]
    fallen = [e for e in told if e.name == "numerics_fallback"]
    changed = [e for e in told if e.name == "numerics_changed"]
    assert len(fallen) == len(changed) == MOST_CHANGES_OF_ONE
    assert "further changes are not recorded" in fallen[-1].text
    assert known.settings.fallbacks() == {"dt": (0.1, 49.2)}


def test_a_generator_among_the_settings_is_known_by_its_seed(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    with simckpt.run(tmp_path / "x", numerics={"rng": generator}) as run:
        generator.random()
        run.checkpoint("one")
    assert numerics(tmp_path / "x").requested == {"rng": {"kind": "Generator(PCG64)", "entropy": 7}}
    assert events(tmp_path / "x") == []


@pytest.mark.parametrize(
    ("asked", "effective", "fallen"),
    [
        ({"cfl": 0.4}, {"parameters": {"driver": {"cfl": 0.8}}}, {"cfl": (0.4, 0.8)}),
        ({"cfl": 0.4}, {"a": {"cfl": 0.8}, "b": {"cfl": 0.4}}, {}),
        ({"cfl": 0.4}, {"cfl": 0.4, "b": {"cfl": 0.8}}, {}),
        ({"solver": "CG"}, {"solver": "cg"}, {}),
        ({"solver": "Tsit5"}, {"solver": {"type": "diffrax._solver.Tsit5"}}, {}),
        ({"rtol": 1e-6}, {"rtol": float(np.float32(1e-6))}, {}),
        ({"rtol": 1e-6}, {"rtol": 1.0001e-6}, {"rtol": (1e-6, 1.0001e-6)}),
        ({"n": 4}, {"n": 4.0}, {}),
        ({"n": [1, 2]}, {"n": [1, 3]}, {"n": ([1, 2], [1, 3])}),
        ({"ksp": {"rtol": 1e-8}}, {"ksp": {"rtol": 1e-5}}, {"ksp.rtol": (1e-8, 1e-5)}),
        ({"type": "a"}, {"ksp": {"type": "b"}}, {}),
    ],
)
def test_what_counts_as_a_fall_back(
    asked: dict[str, Any], effective: dict[str, Any], fallen: dict[str, Any]
) -> None:
    assert NumericalSettings(requested=asked, effective=effective).fallbacks() == fallen


def test_a_function_of_scipy_with_its_settings_bound(tmp_path: Path) -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    solve = functools.partial(linalg.gmres, rtol=1e-9)
    with simckpt.run(tmp_path / "x", numerics={"rtol": 1e-9, "pressure": solve}):
        pass
    pressure = numerics(tmp_path / "x").effective["pressure"]
    assert (pressure["solver"], pressure["rtol"], pressure["atol"]) == ("gmres", 1e-9, 0.0)


def test_the_example_in_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "instrumenting.md").read_text()
    blocks = [b.split("```")[0] for b in text.split("```python\n")[1:]]
    (example,) = [block for block in blocks if "Multigrid" in block]
    exec(compile(example, "instrumenting.md", "exec"), {})
    out = capsys.readouterr().out
    assert "numerics_fallback rtol was requested as 1e-08 and is 1e-07 in effect" in out


class Laconic:
    """A solver whose describer says too little."""


@simckpt.describe.register
def _(_solver: Laconic) -> int:
    return 3


def test_a_describer_that_gives_no_dict_is_told_of_and_ends_no_run(tmp_path: Path) -> None:
    solver = Laconic()
    with simckpt.run(tmp_path / "x", numerics=simckpt.Numerics(solver=solver)) as run:
        run.report_settings(solver, inner=solver)
        run.checkpoint("set up")
    told = [text for name, text in events(tmp_path / "x") if name == "numerics_unreadable"]
    assert "describe gives a int for it, and no dict" in told[0]


@pytest.mark.parametrize(
    ("asked", "effective", "same"),
    [
        ("1e-8", 1e-8, True),
        ("1e-8", 1e-6, False),
        ([1e-6, 1e-8], np.array([1e-6, 1e-8]), True),
        ([1e-6, 1e-8], np.array([1e-6, 1e-7]), False),
        ("auto", 0.4, False),
    ],
)
def test_numbers_are_compared_however_they_are_written(asked, effective, same) -> None:
    known = EffectiveSettings({"tol": asked})
    known.report((), {"tol": effective}, 0)
    assert (known.settings.fallbacks() == {}) is same
