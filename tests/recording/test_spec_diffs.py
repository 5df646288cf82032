"""What changed since which checkpoint, and the reason, where something changed and nowhere else."""

from __future__ import annotations

import pytest

from simckpt.model.changes import ABSENT, Specification, diff
from simckpt.model.record import canonical_json
from simckpt.recording.restart import SpecDiffs


def specified(role: str = "simulation", code: str = "kh", **parameters: float) -> Specification:
    return Specification(
        facts={"stage": {"role": role}, "driver": "main", "code": {code: "1"},
               "parameters": parameters}
    )  # fmt: skip


def paths(changes) -> list[str]:
    return [change.path for change in changes]


def test_the_reason_of_a_whole_job_is_that_of_its_first_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMCKPT_WHY", "smaller step")
    diffs = SpecDiffs(None, (("up", specified(dt=0.01)),))
    now = specified(dt=0.005)
    first, why = diffs.next(now, "")
    assert (paths(first.since_upstream), first.why, why) == (
        ["parameters.dt"],
        "smaller step",
        "smaller step",
    )
    for _ in range(3):
        again, why = diffs.next(now, "")
        assert why == ""
        assert canonical_json(again) == canonical_json(first)


def test_the_reason_of_a_job_stands_wherever_something_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMCKPT_WHY", "ramp")
    diffs = SpecDiffs(None, ())
    assert diffs.next(specified(dt=1.0), "")[1] == "ramp"
    assert diffs.next(specified(dt=1.0), "")[1] == ""
    changed, why = diffs.next(specified(dt=2.0), "")
    assert (paths(changed.changes), changed.why, why) == (["parameters.dt"], "ramp", "ramp")
    assert diffs.next(specified(dt=2.0), "")[0].changes == ()


def test_what_the_driver_says_is_kept_at_its_checkpoint_and_goes_before_the_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMCKPT_WHY", "ramp")
    diffs = SpecDiffs(specified(dt=1.0), ())
    changed, why = diffs.next(specified(dt=2.0), "it blew up")
    assert (changed.why, why) == ("it blew up", "it blew up")
    same, why = diffs.next(specified(dt=2.0), "spun up")
    assert (same.changes, same.why, why) == ((), "", "spun up")


def test_each_upstream_of_the_same_program_has_a_diff_of_its_own() -> None:
    upstream = (
        ("gone", None),
        ("plot", specified(role="analysis", code="plot")),
        ("one", specified(dt=0.01)),
        ("two", specified(dt=0.005)),
        ("three", specified(dt=0.005, n=3)),
    )
    found, _ = SpecDiffs(None, upstream).next(specified(dt=0.005), "")
    assert (found.upstream, paths(found.since_upstream)) == ("one", ["parameters.dt"])
    assert [(u.upstream, paths(u.changes)) for u in found.further] == [
        ("two", []),
        ("three", ["parameters.n"]),
    ]
    assert found.unlike == ("plot",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"opts": {}}, {"opts": {"a": 1}}, [("opts.a", ABSENT, 1)]),
        ({"opts": {"a": 1}}, {"opts": {}}, [("opts.a", 1, ABSENT)]),
        ({"opts": []}, {"opts": [1, {}]}, [("opts[0]", ABSENT, 1), ("opts[1]", ABSENT, {})]),
        ({"opts": {}}, {"opts": []}, [("opts", {}, [])]),
        ({"opts": {}}, {}, [("opts", {}, ABSENT)]),
        ({}, {"optics": {}}, [("optics", ABSENT, {})]),
        ({"opt": {}}, {"opt": {}, "opts": 1}, [("opts", ABSENT, 1)]),
    ],
)
def test_what_was_put_into_something_empty_is_the_change(old, new, expected) -> None:
    assert [(c.path, c.old, c.new) for c in diff(old, new)] == expected


def test_configuration_is_not_compared_with_a_record_that_does_not_know_it() -> None:
    before = specified(dt=1.0)
    now = Specification(facts={**before.facts, "configuration": {"run.toml": {"nu": 1.0}}})
    later = Specification(facts={**before.facts, "configuration": {"run.toml": {"nu": 2.0}}})
    without = Specification(facts={**before.facts, "configuration": {}})
    diffs = SpecDiffs(before, ())
    assert diffs.next(now, "")[0].changes == ()
    assert paths(diffs.next(later, "")[0].changes) == ["configuration.run.toml.nu"]
    assert paths(diffs.next(without, "")[0].changes) == ["configuration.run.toml.nu"]
