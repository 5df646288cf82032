"""Marks tell runs apart as a whole comparison does, or say that they do not know."""

import numpy as np
import pytest
from recorded_twins import Setup, run

from simckpt.compare.comparison import compare
from simckpt.compare.held import held
from simckpt.compare.many import compare_fingerprints, compare_many, fingerprint

BASE = Setup(name="base", n=16, steps=24, every=2, checkpoint_every=8)
RUNS = {
    "again": {},
    "ranks": {"ranks": 2},
    "rate": {"rate": 0.6},
    "bit": {"bit": (13, 20)},
    "seed": {"seed": 2},
    "short": {"steps": 16},
    "killed": {"killed": True},
    "cadence": {"every": 3},
    "poisoned": {"poison": 9},
    "finer": {"n": 32},
    "single": {"precision": "float32"},
    "fields": {"fields": ("x", "y")},
    "restarted": {"restart": 8},
}


@pytest.fixture(scope="module")
def runs():
    made = {name: run(BASE.but(name=name, **changes)) for name, changes in RUNS.items()}
    return {"base": run(BASE)} | made


def test_what_a_mark_says_is_what_a_whole_comparison_finds(runs):
    marks = {name: fingerprint(held(made)) for name, made in runs.items()}
    told = 0
    for one, a in runs.items():
        for two, b in runs.items():
            said = compare_fingerprints(marks[one], marks[two])
            if said == "unknown":
                continue
            told += 1
            found = compare(a, b)
            if said == "same":
                assert found.verdict == "same", (one, two)
                assert not found.fields
            else:
                assert found.verdict == "different"
                assert found.first.step == said, (one, two)
    assert told > 40


def test_the_seeds_of_doubt_are_left_to_a_whole_comparison(runs):
    marks = {name: fingerprint(held(made)) for name, made in runs.items()}
    assert marks["poisoned"] is None
    assert marks["restarted"] is None
    for name in ("killed", "finer", "single", "fields"):
        assert compare_fingerprints(marks["base"], marks[name]) == "unknown"
    assert compare_fingerprints(marks["base"], None) == "unknown"


def test_the_order_of_tiles_counts():
    class Turned:
        def __init__(self, made):
            self._made = made

        def __getattr__(self, name):
            return getattr(self._made, name)

        def digests(self, field):
            inner = self._made.digests(field)
            outer = type("D", (), {"step": inner.step, "tiles": inner.tiles})()
            outer.rows = lambda i, j: np.ascontiguousarray(inner.rows(i, j)[:, ::-1])
            return outer

    made = run(BASE)
    assert compare_fingerprints(fingerprint(held(made)), fingerprint(held(Turned(made)))) == 0


def test_many_runs_of_few_kinds_need_few_whole_comparisons(monkeypatch):
    from simckpt.compare import many

    calls = []

    def counted(a, b, options=None):
        calls.append((a, b))
        return compare(a, b, options)

    monkeypatch.setattr(many, "compare", counted)
    rates = (0.5, 0.6, 0.7)
    found = compare_many([run(BASE.but(name=f"r{i}", rate=rates[i % 3])) for i in range(15)])
    assert len(found.groups) == 3
    assert found.matrix[0][1].verdict == "different"
    assert found.matrix[0][1].step == 2
    assert len(calls) <= 2
