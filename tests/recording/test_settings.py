from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simckpt import Intent, Numerics, SetupError, run
from simckpt.recording.settings import RunSettings


def test_short_forms_are_understood() -> None:
    settings = RunSettings.checked(
        bundle=Path("a") / "b.simckpt.h5",
        intent="a goal",
        numerics={"solver": "HLLC", "relaxation": 0.5},
        inputs="one.toml",
        outputs=[Path("out") / "*.nc"],
        seeds=7,
        stage="spin-up",
    )
    assert settings.bundle == "a/b.simckpt.h5"
    assert settings.intent == Intent(goal="a goal")
    assert settings.numerics is not None
    assert settings.numerics.settings() == {"solver": "HLLC", "relaxation": 0.5}
    assert settings.inputs == ("one.toml",)
    assert settings.outputs == ("out/*.nc",)
    assert settings.seeds == {"seed": 7}
    assert settings.stage.name == "spin-up"


def test_the_path_takes_its_placeholders_from_the_parameters() -> None:
    settings = RunSettings.checked(bundle="runs/kh-{n}-{scheme.name}.simckpt.h5")
    with pytest.raises(SetupError, match=r"bundle = .*Choices: n, t_end"):
        settings.place("main", {"n": 64, "t_end": 2.0})
    assert RunSettings.checked(bundle="kh-{n}").place("main", {"n": 64}) == "kh-64"
    assert RunSettings.checked().place("main", {}) == "main.simckpt.h5"


def test_variables_override_the_path_and_give_the_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCKPT_BUNDLE", "elsewhere.simckpt.h5")
    monkeypatch.setenv("SIMCKPT_UPSTREAM", "a.simckpt.h5:b.simckpt.h5")
    settings = RunSettings.checked(bundle="here.simckpt.h5")
    assert settings.bundle == "elsewhere.simckpt.h5"
    assert settings.upstream == ("a.simckpt.h5", "b.simckpt.h5")
    said = RunSettings.checked(upstream=["c.simckpt.h5", "b.simckpt.h5"] * 3)
    assert said.upstream == ("c.simckpt.h5", "b.simckpt.h5", "a.simckpt.h5")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("if_exists", "overwrite"),
        ("checkpoint_every", 0),
        ("checkpoint_every", 2.5),
        ("start_step", -1),
        ("start_step", True),
        ("checkpoint_every", np.float64(3)),
        ("intent", 3),
        ("numerics", "HLLC"),
        ("inputs", 3),
        ("seeds", "random"),
        ("stage", 3),
    ],
)
def test_nonsense_is_refused_by_name(argument: str, value: object) -> None:
    with pytest.raises(SetupError, match=rf"^{argument} = "):
        RunSettings.checked(**{argument: value})  # type: ignore[arg-type]


def test_integers_of_numpy_are_step_numbers() -> None:
    settings = RunSettings.checked(
        checkpoint_every=np.int64(3), start_step=np.uint8(7), seeds=np.int32(5)
    )
    found = (settings.checkpoint_every, settings.start_step, settings.seeds["seed"])
    assert found == (3, 7, 5)
    assert [type(n) for n in found] == [int, int, int]


def test_a_misspelt_argument_of_run_is_named_with_what_was_meant() -> None:
    with pytest.raises(SetupError) as refused:
        run("x", intnt="a goal")
    assert "intnt = 'a goal': is no argument of run" in str(refused.value)
    assert {"intent", "comm"} <= set(refused.value.choices)
    assert not {"profile", "whole_world"} & set(refused.value.choices)
    assert "intent=" in refused.value.mend


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"goal": 3}, "Intent.goal = 3: is not a text"),
        ({"goal": "  "}, "Intent.goal = '  ': is empty"),
        ({"goal": "x", "conclusion": None}, "Intent.conclusion = None: is not a text"),
        ({"goal": "x", "assumptions": 3}, "Intent.assumptions = 3: is not a list of lines"),
        ({"goal": "x", "assumptions": ["a", 2]}, "Intent.assumptions[1] = 2: is not a text"),
    ],
)
def test_an_intent_is_made_of_texts(given: dict[str, object], words: str) -> None:
    with pytest.raises(SetupError) as refused:
        Intent(**given)  # type: ignore[arg-type]
    assert str(refused.value).startswith(words)
    assert refused.value.mend


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"rtol": "1e-8"}, {"rtol": 1e-8}),
        ({"max_iterations": "200", "order": "2"}, {"max_iterations": 200, "order": 2}),
        ({"atol": [1e-6, 1e-8]}, {"atol": [1e-6, 1e-8]}),
        ({"atol": (1e-6, 0.0)}, {"atol": (1e-6, 0.0)}),
        ({"atol": ["1e-6", "0"]}, {"atol": [1e-6, 0]}),
        ({"atol": {"u": 1e-6}}, {"atol": {"u": 1e-6}}),
        ({"cfl": "auto", "dt": "adaptive"}, {"cfl": "auto", "dt": "adaptive"}),
        ({"rtol": np.float32(0.5)}, {"rtol": np.float32(0.5)}),
        ({"extra": None, "rtol": None}, {"extra": None}),
    ],
)
def test_numerical_settings_may_be_written_as_they_commonly_are(written, expected) -> None:
    settings = RunSettings.checked(numerics=written)
    assert settings.numerics is not None
    assert settings.numerics.settings() == expected


def test_tolerances_of_components_may_be_an_array() -> None:
    atol = np.array([1e-6, 1e-8])
    assert Numerics(atol=atol).settings()["atol"] is atol


@pytest.mark.parametrize(
    "written",
    [
        {"rtol": "-1e-8"},
        {"atol": [1e-6, -1e-8]},
        {"atol": np.array([1e-6, np.nan])},
        {"dt": "0"},
        {"cfl": [0.5, 0.0]},
        {"max_iterations": -1},
        {"extra": [1]},
    ],
)
def test_numerical_nonsense_is_refused_however_it_is_written(written) -> None:
    with pytest.raises(SetupError, match=rf"^Numerics\.{next(iter(written))} = "):
        Numerics(**written)


def test_a_settings_file_that_is_missing_is_said_to_be(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nix.nml", Path("case") / "nix.toml"):
        with pytest.raises(SetupError, match="is no file: it is looked for in"):
            RunSettings.checked(numerics=name)
    with pytest.raises(SetupError, match="is neither a Numerics"):
        RunSettings.checked(numerics="HLLC")
