"""Arguments that differ are told apart, whatever they are, and equal ones are not."""

from __future__ import annotations

import collections
import functools
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from simckpt.capture.values import plain
from simckpt.model.record import canonical_json

ROOT = Path(__file__).resolve().parents[2]


class Config:
    def __init__(self, nu, **more):
        self.nu = nu
        self.__dict__.update(more)


class Slotted:
    __slots__ = ("__hidden", "_n")

    def __init__(self, n):
        self._n, self.__hidden = n, n


class Forcing:
    def __init__(self, amplitude):
        self.amplitude = amplitude

    def __call__(self, t):
        return self.amplitude * t

    def kick(self, t):
        return self.amplitude + t


class Shown(Config):
    def __repr__(self):
        return "Shown()"


def named(amplitude):
    forcing = Forcing(amplitude)
    functools.update_wrapper(forcing, named)
    return forcing


def closure(k):
    def boundary(u):
        return u * k

    return boundary


def defaulted(k):
    return lambda u, k=k: u * k


def recursive(k):
    def down(n):
        return k if n == 0 else down(n - 1)

    return down


def deep(n):
    value = n
    for _ in range(40):
        value = {"a": value}
    return value


def sparse(kind):
    def make(n):
        module = pytest.importorskip("scipy.sparse")
        return getattr(module, kind)(np.diag([1.0, 2.0, n]))

    return make


def labelled(n):
    xarray = pytest.importorskip("xarray")
    return xarray.DataArray(np.r_[np.zeros(50), n], dims="x", name="u", coords={"x": range(51)})


def labelled_otherwise(n):
    xarray = pytest.importorskip("xarray")
    return xarray.DataArray(np.zeros(3), dims="x", coords={"x": [0, 1, n]})


def frame(n):
    return pytest.importorskip("pandas").DataFrame({"a": np.r_[np.zeros(500), n]})


def arrow(n):
    return pytest.importorskip("pyarrow").table({"a": np.r_[np.zeros(500), n]})


def polars(kind):
    return lambda n: getattr(pytest.importorskip("polars"), kind)({"a": np.r_[np.zeros(500), n]})


def spline(n):
    interpolate = pytest.importorskip("scipy.interpolate")
    return interpolate.CubicSpline([0.0, 1.0, 2.0], [0.0, 1.0, n])


def interpolator(n):
    interpolate = pytest.importorskip("scipy.interpolate")
    return interpolate.interp1d([0.0, 1.0, 2.0], [0.0, 1.0, n])


MAKERS = {
    "object": Config,
    "object within objects": lambda n: Config(1, inner=[Config(2, x={"y": Slotted(n)})]),
    "object with slots": Slotted,
    "object with a repr of its own": Shown,
    "namespace of a class": lambda n: [Config(n)],
    "generator": np.random.default_rng,
    "legacy generator": np.random.RandomState,
    "generator of Python": random.Random,
    "nested generator": lambda n: {"a": [np.random.default_rng(n)]},
    "closure": closure,
    "lambda with a default": defaulted,
    "recursive closure": recursive,
    "partial": lambda n: functools.partial(max, n),
    "partial of a closure": lambda n: functools.partial(closure(n), 1),
    "callable object": Forcing,
    "callable object with a name": named,
    "bound method": lambda n: Forcing(n).kick,
    "bound builtin method": lambda n: np.random.default_rng(n).normal,
    "sparse rows": sparse("csr_matrix"),
    "sparse columns": sparse("csc_array"),
    "sparse coordinates": sparse("coo_matrix"),
    "sparse diagonals": sparse("dia_matrix"),
    "labelled array": labelled,
    "coordinates of a labelled array": labelled_otherwise,
    "data frame": frame,
    "data frame of Polars": polars("DataFrame"),
    "series of Polars": lambda n: polars("DataFrame")(n)["a"],
    "table of Arrow": arrow,
    "spline": spline,
    "interpolator": interpolator,
    "vectorized closure": lambda n: np.vectorize(closure(n)),
    "very long number": lambda n: 10**6_000 + n,
    "long dict": lambda n: dict.fromkeys(range(3_000), 0) | {2_999: n},
    "long list of lists": lambda n: [*([i, [i]] for i in range(3_000)), [n]],
    "long list of objects": lambda n: [*(Config(i) for i in range(3_000)), Config(n)],
    "very long list": lambda n: [*({"a": i} for i in range(150_000)), {"a": n}],
    "long set": lambda n: {str(i) for i in range(3_000)} | {f"n{n}"},
    "long deque": lambda n: collections.deque([*range(3_000), n]),
    "long text": lambda n: "x" * 40_000 + str(n),
    "deep dict": deep,
    "many values": lambda n: [[[0] * 900 for _ in range(30)], [[[n]]]],
    "large array of objects": lambda n: np.array([[None] * 2_000, [None] * 1_999 + [n]]),
    "default dict": lambda n: collections.defaultdict(list, a=[n]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_other_values_are_told_apart_and_equal_ones_are_not(name):
    make = MAKERS[name]
    one, again, two = (canonical_json(plain({"x": make(n)})) for n in (3, 3, 4))
    assert one == again
    assert one != two
    assert len(one) < 200_000


def test_functions_of_one_name_with_other_bodies_are_told_apart():
    assert plain(lambda x: x + 1) != plain(lambda x: x - 1)
    assert plain(lambda x: x + 1)["callable"].endswith("<lambda>")


def test_attributes_have_a_path_of_their_own():
    told = plain({"config": Config(0.1, solver=Config(2))})
    assert told["config"]["nu"] == 0.1
    assert told["config"]["solver"] == {"type": f"{__name__}.Config", "nu": 2}


def test_what_belongs_to_the_process_or_the_moment_is_no_fact():
    one, two = (
        Config(1, worker=threading.Thread(target=time.sleep), lock=threading.Lock(), pid=n,
               created_at=n, handle=open(os.devnull))  # noqa: SIM115, PTH123
        for n in (1, 2)
    )  # fmt: skip
    one.worker.start = None
    assert plain(one) == plain(two)
    assert plain(threading.current_thread()) == {"type": "threading._MainThread"}
    for config in (one, two):
        config.handle.close()


def test_a_property_is_not_asked_and_nothing_raises():
    class Trap:
        def __init__(self, n):
            self.n = n

        @property
        def costly(self):
            raise AssertionError

        def __getattr__(self, name):
            raise RuntimeError(name)

    class Closed:
        @property
        def __dict__(self):
            raise RuntimeError

    assert plain(Closed())["unreadable"] == "RuntimeError"
    assert plain([Trap(1), 2])[1] == 2
    assert plain(Trap(1)) == plain(Trap(1))
    assert plain(Trap(1)) != plain(Trap(2))


def test_equal_arguments_are_equal_in_every_process():
    program = """
import json, threading
from simckpt.capture.values import plain
class C:
    def __init__(self):
        self.names, self.f = {"a", "b", "c"}, (lambda x: x in {"p", "q", "r"})
        self.worker = threading.Thread(target=print)
        self.many = {str(i) for i in range(2000)}
print(json.dumps(plain([C(), threading.current_thread(), print, object(), {C: 1}])))
"""

    def told(seed):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)

    assert told("1") == told("2")


def test_the_order_of_a_long_dict_does_not_matter():
    many = {f"k{i}": i for i in range(3_000)}
    assert plain(many) == plain(dict(reversed(many.items())))


def test_secrets_among_attributes_are_taken_out():
    text = canonical_json(plain(Config(1, password="hunter2xyz"))).decode()
    assert "hunter2xyz" not in text
