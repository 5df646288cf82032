"""The specification holds what the user chose and nothing of the machine."""

from __future__ import annotations

from simckpt import Numerics
from simckpt.capture.manifest import specification
from simckpt.model.changes import diff
from simckpt.model.documents import CodeModule, InputFile, Manifest, Stage
from simckpt.model.numerics import NumericalSettings
from simckpt.model.record import canonical_json


def manifest(**changed):
    given = {
        "stage": Stage(name="growth"),
        "command": ("python", "kh.py"),
        "working_directory": "/scratch/a",
        "driver": "kh.main",
        "parameters": {"n": 512},
        "inputs": (
            InputFile(path="kh.toml", mtime=1.0, hash="ab"),
            InputFile(path="x", problem="no"),
        ),
        "modules": (CodeModule(name="kh", path="/scratch/a/kh.py", hash="cd"),),
        "outputs": ("out/*.nc",),
    }
    return Manifest(**(given | changed))


def test_it_collects_every_choice():
    facts = specification(
        manifest(),
        Numerics(cfl=0.4, extra={"theta": 1.5}),
        {"every": 10},
        {"seed": 1},
        configuration={"kh.toml": {"nu": 1.0}},
    ).facts
    assert facts["parameters"] == {"n": 512}
    assert facts["numerics"] == {"cfl": 0.4, "theta": 1.5}
    assert facts["inputs"] == {"kh.toml": "ab", "x": "(no)"}
    assert facts["code"] == {"kh": "cd"}
    assert facts["seeds"] == {"seed": 1}
    assert facts["declarations"] == {"every": 10}
    # Its file, which may have another name, is among the code.
    assert facts["driver"] == "main"
    assert facts["configuration"] == {"kh.toml": {"nu": 1.0}}


def test_the_requested_settings_count_and_not_the_effective_ones():
    settings = NumericalSettings(requested={"cfl": 0.4}, effective={"cfl": 0.2})
    assert specification(manifest(), settings).facts["numerics"] == {"cfl": 0.4}


def test_the_same_choices_elsewhere_and_later_are_the_same_specification():
    here = specification(manifest(), {}, {}, {})
    there = specification(
        manifest(
            working_directory="/scratch/b",
            command=("python3.12", "kh.py"),
            inputs=(
                InputFile(path="kh.toml", mtime=2.0, hash="ab"),
                InputFile(path="x", problem="no"),
            ),
            modules=(CodeModule(name="kh", path="/scratch/b/kh.py", hash="cd"),),
        ),
        {},
        {},
        {},
    )
    assert canonical_json(here) == canonical_json(there)


def test_one_changed_choice_is_one_difference():
    old = specification(manifest(), {"limiter": "mc"})
    new = specification(manifest(), {"limiter": "minmod"})
    (change,) = diff(old.facts, new.facts)
    assert (change.path, change.old, change.new) == ("numerics.limiter", "mc", "minmod")


def test_an_input_written_again_with_the_same_contents_is_the_same_choice():
    def given(hash_, rho):
        contents = {"rho": rho, "t": "tt"}
        return specification(
            manifest(inputs=(InputFile(path="ic.nc", hash=hash_, contents=contents),)), {}
        )

    assert diff(given("first", "aa").facts, given("second", "aa").facts) == ()
    (change,) = diff(given("first", "aa").facts, given("second", "bb").facts)
    assert (change.path, change.old, change.new) == ("inputs.ic.nc.rho", "aa", "bb")
