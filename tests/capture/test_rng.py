"""Seeds and generator states are seen without being disturbed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simckpt.capture.random_state import WORDS, was_seeded
from simckpt.capture.rng import (
    capture_random,
    describe_generator,
    generators_in,
    stream_fingerprint,
)

ROOT = Path(__file__).resolve().parents[2]


def test_integers_are_seeds_and_generators_are_told_by_state():
    rng = np.random.default_rng(7)
    told = capture_random({"seed": 3, "noise": rng, "seeds": [1, 2]})
    assert told.seeds == {"seed": 3, "seeds": [1, 2]}
    assert told.generators["noise"]["kind"] == "Generator(PCG64)"
    assert told.generators["noise"]["entropy"] == 7
    assert told.generators["noise"]["declared"] is True
    assert rng.random() == np.random.default_rng(7).random()


def test_ranks_with_streams_of_their_own_are_told_apart():
    marks = [stream_fingerprint({"noise": np.random.default_rng([1, rank])}) for rank in range(4)]
    assert len(set(marks)) == 4
    assert stream_fingerprint({"noise": np.random.default_rng([1, 2])}) == marks[2]
    assert stream_fingerprint({"seed": 1}) != stream_fingerprint({"seed": 2})
    assert stream_fingerprint({}) == ""


def test_a_draw_changes_the_state_and_nothing_else_does():
    kinds = [
        np.random.default_rng(1),
        np.random.Generator(np.random.MT19937(1)),
        np.random.Generator(np.random.Philox(1)),
        np.random.Generator(np.random.SFC64(1)),
        np.random.RandomState(1),
        random.Random(1),
    ]
    for rng in kinds:
        before = describe_generator(rng)
        assert describe_generator(rng) == before
        rng.random()
        assert describe_generator(rng)["state"] != before["state"]


def test_equal_seeds_give_equal_states_and_other_ones_do_not():
    assert describe_generator(np.random.default_rng(1)) == describe_generator(
        np.random.default_rng(1)
    )
    one, two = (describe_generator(np.random.default_rng(n))["state"] for n in (1, 2))
    assert one != two


def test_the_spare_normal_deviate_of_the_legacy_generator_is_part_of_its_state():
    one, two = np.random.RandomState(1), np.random.RandomState(1)
    one.standard_normal()
    two.standard_normal()
    two.standard_normal()
    state = one.get_state()
    two.set_state((*state[:3], 0, 0.0))
    assert describe_generator(one)["state"] != describe_generator(two)["state"]


def test_entropy_that_nobody_chose_is_recorded_so_that_the_run_can_be_repeated():
    rng = np.random.default_rng()
    told = describe_generator(rng)
    again = np.random.default_rng(int(told["entropy"]))
    assert describe_generator(again)["state"] == told["state"]


def test_spawned_generators_are_told_apart():
    children = np.random.SeedSequence(5).spawn(2)
    one, two = (describe_generator(np.random.default_rng(s)) for s in children)
    assert (one["spawn_key"], two["spawn_key"]) == ([0], [1])
    assert one["state"] != two["state"]


def test_the_global_generators_are_seen_and_marked_as_undeclared():
    before = np.random.get_state()  # noqa: NPY002 - the legacy state is what is tested
    try:
        np.random.seed(11)  # noqa: NPY002
        seeded = capture_random({}).generators["numpy.random"]
        assert seeded["declared"] is False
        assert "entropy" not in seeded
        np.random.seed(11)  # noqa: NPY002
        assert capture_random({}).generators["numpy.random"] == seeded
    finally:
        np.random.set_state(before)  # noqa: NPY002


def test_a_generator_without_state_says_so():
    told = capture_random({"os": random.SystemRandom()}).generators["os"]
    assert told["kind"] == "SystemRandom"
    assert "cannot be repeated" in told["unavailable"]


def test_what_is_no_generator_is_not_taken_for_one():
    for value in (3, "x", None, object(), np.arange(3), [1]):
        assert describe_generator(value) is None


def test_a_global_generator_from_which_nothing_was_drawn_is_the_same_in_every_process():
    program = """
import random, sys
import numpy as np
import pytest
import numpy.random
from simckpt.capture.rng import capture_random
from simckpt.model.record import canonical_json
if "draw" in sys.argv:
    random.random(), np.random.random()
print(canonical_json(capture_random({})).decode())
"""

    def told(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)["generators"]

    first = told()
    assert first == told()
    assert first["random"] == {"kind": "Random", "fresh": True, "declared": False}
    assert first["numpy.random"]["fresh"] is True
    one, two = told("draw"), told("draw")
    assert one["random"]["state"] != two["random"]["state"]
    assert one["numpy.random"]["entropy"] != two["numpy.random"]["entropy"]


@pytest.mark.parametrize("seed", [0, 1, -3, 2**32, 2**64 + 5, 2**3000, "kh", b"x" * 500, 3.5])
def test_a_generator_of_python_that_was_seeded_is_not_fresh_though_nothing_was_drawn(seed):
    assert was_seeded(random.Random(seed).getstate()[1][:WORDS])
    assert not was_seeded(random.Random().getstate()[1][:WORDS])


def test_the_seeded_global_generator_has_its_state():
    before = random.getstate()
    try:
        random.seed(5)
        seeded = capture_random({}).generators["random"]
        random.seed(6)
        assert capture_random({}).generators["random"]["state"] != seeded["state"]
        assert "fresh" not in seeded
    finally:
        random.setstate(before)


def test_generators_in_lists_and_dicts_are_told_one_by_one():
    rng = np.random.default_rng(3)
    told = capture_random({"members": rng.spawn(2), "d": {"a": rng, "n": 4}, "seed": 1})
    names = [name for name, facts in told.generators.items() if facts["declared"]]
    assert names == ["members[0]", "members[1]", "d.a"]
    assert told.generators["members[0]"]["state"] != told.generators["members[1]"]["state"]
    assert told.seeds["seed"] == 1
    assert told.seeds["d"]["n"] == 4
    rng.random()
    assert capture_random({"d": {"a": rng}}).generators["d.a"] != told.generators["d.a"]


def test_generators_among_the_arguments_are_told_too():
    rng = random.Random(3)
    held = generators_in({"rng": rng, "n": 3, "case": {"noise": [np.random.RandomState(1)]}})
    assert list(held) == ["rng", "case.noise[0]"]
    told = capture_random({}, held).generators
    assert told["rng"]["state"] == describe_generator(rng)["state"]
