"""Faults of runs, as they happen: each is slipped into a program that knows nothing of it."""

from __future__ import annotations

import ctypes
import mmap
import random
import threading
from types import ModuleType
from typing import Any

import numpy as np
from state import State, rank


class Disturbance:
    """One fault; each of its occasions does nothing unless a fault says otherwise."""

    def before_import(self) -> None:
        """Before the program is loaded."""

    def prepare(self, module: ModuleType) -> None:
        """The program is loaded, and has not begun."""

    def at_start(self, state: State) -> None:
        """The initial condition is set, and not yet recorded."""

    def after_step(self, state: State) -> None:
        """A step was made, and is not yet recorded."""


class FlippedBit(Disturbance):
    """One bit of one cell is another after a step."""

    def __init__(self, step: int, field: str, cell: list[int], bit: int) -> None:
        self._step, self._field, self._cell, self._bit = step, field, tuple(cell), bit

    def after_step(self, state: State) -> None:
        if state.step != self._step:
            return
        cell = state.cell(self._field, self._cell)
        if cell is not None:
            flipped = np.ascontiguousarray(cell).view(np.uint64) ^ np.uint64(1 << self._bit)
            cell[...] = flipped.view(np.float64)


class Overwritten(Disturbance):
    """One cell is overwritten after a step."""

    def __init__(self, step: int, field: str, cell: list[int], value: float | str) -> None:
        self._step, self._field, self._cell = step, field, tuple(cell)
        self._value = float(value)

    def after_step(self, state: State) -> None:
        if state.step == self._step:
            cell = state.cell(self._field, self._cell)
            if cell is not None:
                cell[...] = self._value


class Drift(Disturbance):
    """A field gains a small part of itself in every step from `first` on."""

    def __init__(self, field: str, rate: float, first: int = 1) -> None:
        self._field, self._rate, self._first = field, rate, first

    def after_step(self, state: State) -> None:
        if state.step >= self._first:
            array = state.arrays[self._field]
            array *= 1 + self._rate


class PerturbedStart(Disturbance):
    """The initial condition is another, by a smooth relative perturbation."""

    def __init__(self, field: str, amplitude: float) -> None:
        self._field, self._amplitude = field, amplitude

    def at_start(self, state: State) -> None:
        array = state.arrays[self._field]
        rows = np.arange(array.shape[0]) + (state.start[0] if state.start else 0)
        wave = np.cos(0.1 * rows).reshape(-1, *([1] * (array.ndim - 1)))
        array *= 1 + self._amplitude * wave


class RankInSinglePrecision(Disturbance):
    """One rank's results come back in single precision from a step on."""

    def __init__(self, of: int, field: str, first: int) -> None:
        self._of, self._field, self._first = of, field, first

    def after_step(self, state: State) -> None:
        if rank() == self._of and state.step >= self._first:
            array = state.arrays[self._field]
            array[...] = array.astype(np.float32)


class MissedExchange(Disturbance):
    """Every `each`-th step of the flow goes without filling the ghost layers."""

    def __init__(self, each: int, stages: int = 3) -> None:
        self._period, self._calls, self._stages = each, 0, stages

    def prepare(self, module: ModuleType) -> None:
        owner = module.Domain
        exchange = owner.exchange

        def sometimes(domain: Any, *arrays: Any) -> None:
            # The first call sets up the initial condition.
            step = (self._calls + self._stages - 1) // self._stages
            self._calls += 1
            if step == 0 or step % self._period:
                exchange(domain, *arrays)

        owner.exchange = sometimes


class WrongStream(Disturbance):
    """One rank's random numbers come from another stream than they should."""

    def __init__(self, of: int, seed: int) -> None:
        self._of, self._seed = of, seed

    def prepare(self, module: ModuleType) -> None:
        right = module.stream

        def stream(*arguments: Any) -> np.random.Generator:
            if rank() == self._of:
                return np.random.default_rng(self._seed)
            found: np.random.Generator = right(*arguments)
            return found

        module.stream = stream


class UnorderedSum(Disturbance):
    """Threads add their shares to a sum in the order in which they come to the end."""

    def prepare(self, module: ModuleType) -> None:
        module.inner = unordered_inner


def unordered_inner(x: Any, y: Any, threads: int = 4) -> float:
    """The inner product, its parts added by threads as they finish."""
    total = 0.0
    lock = threading.Lock()
    parts = (np.array_split(array.ravel(), threads) for array in (x, y))
    shares = list(zip(*parts, strict=True))
    random.SystemRandom().shuffle(shares)  # whichever thread the machine happens to run first

    def add(a: Any, b: Any) -> None:
        nonlocal total
        share = float(np.dot(a, b))
        with lock:
            total += share

    workers = [threading.Thread(target=add, args=share) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return total


class FlushToZero(Disturbance):
    """Subnormal numbers are flushed, as libraries built with ``-ffast-math`` do when loaded."""

    def before_import(self) -> None:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("0fae17c3"))  # x86-64: ldmxcsr [rdi]; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        mode = ctypes.c_uint32(0x9FC0)  # the default 0x1f80 with FTZ (bit 15) and DAZ (bit 6)
        ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))(address)(ctypes.byref(mode))


class SolverSettings(Disturbance):
    """Runtime parameters of pyro, as another parameter file would set them."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def prepare(self, module: ModuleType) -> None:
        begin = module.Pyro.initialize_problem

        def initialize(pyro: Any, problem: str, *, inputs_dict: dict[str, Any]) -> None:
            begin(pyro, problem, inputs_dict=inputs_dict | self._settings)

        module.Pyro.initialize_problem = initialize


KINDS: dict[str, type[Disturbance]] = {
    "flipped bit": FlippedBit,
    "overwritten": Overwritten,
    "drift": Drift,
    "perturbed start": PerturbedStart,
    "rank in single precision": RankInSinglePrecision,
    "missed exchange": MissedExchange,
    "wrong stream": WrongStream,
    "unordered sum": UnorderedSum,
    "flush to zero": FlushToZero,
    "solver settings": SolverSettings,
}


def disturbance(kind: str, **told: Any) -> Disturbance:
    """The fault of this kind."""
    return KINDS[kind](**told)
