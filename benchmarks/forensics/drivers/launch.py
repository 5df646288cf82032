"""Start one program of the catalogue: ``python launch.py job.json``.

The program is an example or a driver beside this file, as it is. What a case changes in mid-run,
and what the witness writes down, is slipped in between the program's own step and the recording of
it, so that the record knows no more of it than of any fault.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import platform
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from disturb import disturbance
from state import State, load_flow, save
from witness import Witness

import simckpt


class TimeLimit(Exception):
    """The job's time is over: it leaves the run in the middle, for the next job to continue."""


class Job:
    """One start of a program, as the catalogue says it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.start = int(told.get("start", 0))
        self.stop = told.get("stop")
        self.faults = [disturbance(**fault) for fault in told.get("faults", ())]
        self.witness = Witness(Path(told["witness"]), self.start)

    def run(self) -> None:
        for fault in self.faults:
            fault.before_import()
        self._rename_host()
        simckpt.step = self._stepping(simckpt.step)
        simckpt.run = self._running(simckpt.run)
        module = load(Path(self.told["driver"]))
        for fault in self.faults:
            fault.prepare(module)
        if self.start and hasattr(module, "Flow"):
            load_flow(module)
        try:
            module.main(**self.told["arguments"])
        finally:
            self.witness.close()

    def _rename_host(self) -> None:
        host = self.told.get("host")
        if host:
            socket.gethostname = platform.node = lambda: host

    def _running(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """`simckpt.run`, with this job's goal."""

        def running(*arguments: Any, **settings: Any) -> Any:
            if self.told.get("goal"):
                settings["intent"] = simckpt.Intent(goal=self.told["goal"])
            return run(*arguments, **settings)

        return running

    def _stepping(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`simckpt.step`, with this job's doings around each step of the program."""

        def stepping(**declared: Any) -> Any:
            if self.told.get("every") is not None:
                declared["every"] = self.told["every"]
            return lambda advance: self._around(advance, step(**declared), declared)

        return stepping

    def _around(self, advance: Any, sampled: Any, declared: dict[str, Any]) -> Any:
        number = self.start

        @functools.wraps(advance)
        def inner(*arguments: Any) -> Any:
            nonlocal number
            result = advance(*arguments)
            number += 1
            state = State(declared, arguments, number)
            for fault in self.faults:
                fault.after_step(state)
            self.witness.note(state)
            return result

        recorded = sampled(inner)

        @functools.wraps(advance)
        def outer(*arguments: Any) -> Any:
            if number == self.start:
                state = State(declared, arguments, number)
                self._begin(state, getattr(advance, "__self__", None))
            result = recorded(*arguments)
            if self.stop is not None:
                if number == self.stop.get("saved", self.stop["step"]):
                    save(arguments[0], self.stop)
                if number == self.stop["step"]:
                    raise TimeLimit(f"step {number}")
            return result

        return outer

    def _begin(self, state: State, solver: object) -> None:
        run = simckpt.active_run()
        if self.start:
            run.resume(self.start)
        else:
            for fault in self.faults:
                fault.at_start(state)
        if solver is not None:
            run.report_settings(simulation=solver)
        self.witness.note(state)


def load(path: Path) -> ModuleType:
    """The program as a module of its own name."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    Job(json.loads(Path(sys.argv[1]).read_text())).run()
