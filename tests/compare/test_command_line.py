"""Options typed by a user are facts of a run, whatever the way they were typed."""

import msgspec
import pytest
from recorded_twins import Setup, edited

from simckpt.compare.comparison import compare
from simckpt.compare.facts import options
from simckpt.model.series import StoredDocument

BASE = Setup(name="base", n=16, steps=8, every=2)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("solver.py --t-end 2 --limiter=mc", {"t_end": 2, "limiter": "mc"}),
        ("python -m mpi4py solver.py -n 64 dt=0.1", {"n": 64, "dt": 0.1}),
        ("python -m solver --verbose --cfl -0.5", {"verbose": True, "cfl": -0.5}),
        ("solver.py /scratch/a/kh.toml 12", {"word 1": "kh.toml", "word 2": 12}),
        ("solver --quick", {"quick": True}),
        ("", {}),
    ],
)
def test_options_are_named_values(words, facts):
    assert options(words.split()) == facts


def typed(setup: Setup, *words: str):
    """The run, started with these words."""

    def edit(record):
        if not isinstance(record, StoredDocument) or b'"kind":"manifest"' not in record.json:
            return record
        told = msgspec.json.decode(record.json)
        told["command"] = ["solver.py", *words]
        return StoredDocument(hash=record.hash, json=msgspec.json.encode(told, order="sorted"))

    return edited(setup, edit)


def test_an_option_that_is_recorded_nowhere_else_explains_the_difference():
    found = compare(
        typed(BASE, "--order=2"), typed(BASE.but(reordered=True, name="b"), "--order=3")
    )
    assert found.explanation.causes[0].difference.part == "command"
    assert found.explanation.causes[0].difference.name == "order"


def test_an_option_that_is_a_parameter_too_is_named_once():
    found = compare(typed(BASE, "--rate=0.5"), typed(BASE.but(rate=0.6, name="b"), "--rate=0.6"))
    (cause,) = found.explanation.causes
    assert cause.difference.name == "rate"
    assert [d for d in found.differences if d.part == "command"] == []


def test_a_default_that_one_run_was_told_is_no_difference():
    found = compare(typed(BASE), typed(BASE.but(name="b"), "--rate=0.5"))
    assert [d for d in found.differences if d.part == "command"] == []


def test_a_word_that_is_the_value_of_a_parameter_is_that_parameter():
    for words in (["0.5"], []):
        found = compare(typed(BASE, *words), typed(BASE.but(rate=0.6, name="b"), "0.6"))
        (cause,) = found.explanation.causes
        assert cause.difference.name == "rate"
        assert "command.word 1" in cause.difference.also


def test_the_place_that_a_run_writes_to_is_no_difference():
    found = compare(typed(BASE, "--out", "base"), typed(BASE.but(name="b"), "--out", "b"))
    assert [d for d in found.differences if d.part == "command"] == []
