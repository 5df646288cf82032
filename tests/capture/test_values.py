"""Any value becomes JSON with one encoding, of bounded size, without raising."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import enum
import functools
import math
import pathlib
import types
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.capture.values import plain
from simckpt.model.record import canonical_json


class Scheme(enum.Enum):
    HLLC = 1


@dataclasses.dataclass
class Limiter:
    name: str
    theta: float = 1.5


class Settings(msgspec.Struct):
    cfl: float


class Solver:
    """Without a repr of its own."""


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.bool_(True), True),
        (np.float64(0.5), 0.5),
        (np.int32(-3), -3),
        (np.array(2.5), 2.5),
        (float("nan"), "NaN"),
        (np.float32("inf"), "Infinity"),
        (-math.inf, "-Infinity"),
        (2**80, str(2**80)),
        (1 + 2j, {"re": 1.0, "im": 2.0}),
        (pathlib.Path("a/b"), "a/b"),
        (Scheme.HLLC, f"{__name__}.Scheme.HLLC"),
        (Point(1, 2), {"x": 1, "y": 2}),
        ({3, 1, 2}, [1, 2, 3]),
        ((1, [2]), [1, [2]]),
        (range(3), [0, 1, 2]),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        (argparse.Namespace(n=4), {"n": 4}),
        (types.SimpleNamespace(n=4), {"n": 4}),
        (dt.date(2020, 2, 1), "2020-02-01"),
        (np.datetime64("2020-02-01"), "2020-02-01"),
        (np.sin, "numpy.sin"),
        (max, "max"),
        (Solver, f"{__name__}.Solver"),
        (Limiter("mc"), {"type": f"{__name__}.Limiter", "name": "mc", "theta": 1.5}),
        (Settings(cfl=0.4), {"type": f"{__name__}.Settings", "cfl": 0.4}),
        ("\udcff", "\\udcff"),
    ],
)
def test_known_kinds_of_value_have_their_json(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_an_array_is_told_by_dtype_shape_and_bytes_in_c_order():
    array = np.arange(60.0).reshape(3, 20)
    told = plain(array)
    assert (told["dtype"], told["shape"]) == ("float64", [3, 20])
    assert plain(np.asfortranarray(array)) == told
    assert plain(array[:, ::-1][:, ::-1]) == told
    changed = array.copy()
    changed[2, 3] = np.nextafter(changed[2, 3], 9.0)
    assert plain(changed)["blake3"] != told["blake3"]
    assert plain(np.array([0.1, 0.2]))["values"] == [0.1, 0.2]


def test_a_lazy_array_is_described_and_not_read():
    class Lazy:
        dtype, shape = np.dtype("f8"), (10**6, 10**6)

        def __array__(self, *args, **keywords):
            raise AssertionError("read")

    told = plain(Lazy())
    assert (told["dtype"], told["shape"]) == ("float64", [10**6, 10**6])


def test_the_mask_of_a_masked_array_counts():
    one = np.ma.masked_array([1.0, 2.0], mask=[False, True])
    two = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    assert plain(one) != plain(two)


def test_a_partial_shows_function_and_arguments():
    told = plain(functools.partial(max, 3, key=abs))
    assert told == {"partial": "max", "args": [3], "keywords": {"key": "abs"}}


def test_memory_addresses_are_left_out():
    class Shown:
        def __repr__(self):
            return f"<Shown at {hex(id(self))}>"

    assert plain(Shown())["repr"] == "<Shown>"
    assert plain(Solver()) == {"type": f"{__name__}.Solver"}
    assert canonical_json(plain(object())) == canonical_json(plain(object()))


def test_cycles_and_depths_are_cut():
    loop: list = [1]
    loop.append(loop)
    assert plain(loop) == [1, "(cycle)"]
    twice = [1]
    assert plain([twice, twice]) == [[1], [1]]
    deep: list = []
    for _ in range(200):
        deep = [deep]
    assert "too deep" in canonical_json(plain(deep)).decode()


def test_size_is_bounded_and_a_change_past_the_cut_is_still_seen():
    numbers = list(range(50_000))
    told = plain(numbers)
    assert told["length"] == 50_000
    assert len(canonical_json(told)) < 1_000
    assert plain([*numbers[:-1], -1])["blake3"] != told["blake3"]
    assert len(canonical_json(plain("x" * 10**6))) < 20_000
    assert len(canonical_json(plain(dict.fromkeys(range(5_000), "y" * 100)))) < 200_000
    wide = [[[0] * 100 for _ in range(100)] for _ in range(100)]
    assert len(canonical_json(plain(wide))) < 1_000_000


def test_a_value_that_cannot_be_read_is_named_and_does_not_raise():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    class BrokenMapping(dict):
        def __iter__(self):
            raise OSError("gone")

    assert plain(Broken())["unreadable"] == "RuntimeError"
    assert plain({"a": BrokenMapping(x=1)})["a"]["unreadable"] == "OSError"


def test_text_under_a_secret_name_and_keys_inside_text_are_taken_out():
    told = plain(
        {
            "db_password": "hunter2",
            "clientSecret": "xyz",
            "url": "https://u:hunter2@host/x",
            "tokens": 512,
            "nested": Limiter(name="ghp_" + "a" * 36),
        }
    )
    text = canonical_json(told).decode()
    assert "hunter2" not in text
    assert "xyz" not in text
    assert "aaaa" not in text
    assert told["tokens"] == 512


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(json_like)
def test_every_value_has_a_canonical_encoding_that_repeats(value):
    once = canonical_json(plain(value))
    assert once == canonical_json(plain(value))
    msgspec.json.decode(once)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_matter(value):
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(plain(backwards)) == canonical_json(plain(value))
