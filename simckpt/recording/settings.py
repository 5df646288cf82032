"""The arguments of `simckpt.run`: checked once, before anything is recorded."""

from __future__ import annotations

import difflib
import inspect
import operator
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, get_args

from ..capture.configuration import has_settings_suffix
from ..capture.solvers.describe import describe, is_bag, is_live
from ..errors import SetupError
from ..model.documents import Intent, Stage
from ..model.numerics import Numerics
from .triggers import ONE_IN, STANDARD, Trigger, checked_rate, checked_triggers

if TYPE_CHECKING:
    from ..model.transform import StagePart, TransformManifest


class Profile(Protocol):
    """Asked for its parts at each checkpoint, on rank 0."""

    @abstractmethod
    def transforms(self) -> TransformManifest | None:
        """What was done to data so far; None for nothing."""

    @abstractmethod
    def rank_part(self) -> StagePart | None:
        """What this rank has to tell the others when the run ends."""

    @abstractmethod
    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Take in what all ranks have told, in the order of ranks."""


class SimulationProfile:
    """A simulation: the common parts say all of it."""

    def transforms(self) -> TransformManifest | None:
        return None

    def rank_part(self) -> StagePart | None:
        return None

    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Nothing to do."""


IfExists = Literal["auto", "continue", "rename", "error"]
Durability = Literal["fsync", "flush"]

EXCHANGE_TIMEOUT = 300.0
"""Seconds that a rank waits for the others where a run begins and ends."""

EXIT_TIMEOUT = 3.0
"""Seconds that a rank which raised waits for the others before it ends the job."""

SETTLE_TIMEOUT = 20.0
"""Seconds that a checkpoint waits for the last sample to arrive from the other ranks."""

EXIT_GRACE = 5.0
"""Seconds that ranks other than 0 wait before a signal ends them."""


Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class RunArguments(TypedDict, total=False):
    """The arguments of `simckpt.run`, beside the bundle and the communicator."""

    intent: Intent | str | Callable[..., Intent | str | None] | None
    numerics: Any
    inputs: Paths | Callable[..., Paths]
    outputs: Paths | Callable[..., Paths]
    config: Paths
    seeds: Mapping[str, Any] | int | Callable[..., Mapping[str, Any] | int | None] | None
    stage: Stage | str | Callable[..., Stage | str | None] | None
    upstream: Paths | Callable[..., Paths]
    checkpoint_every: int | None
    triggers: Iterable[Trigger | str | Callable[..., Any]] | bool | None
    captures: str | int
    logs: Paths | Callable[..., Paths]
    start_step: int
    if_exists: IfExists
    durability: Durability
    strict: bool
    abort_on_error: bool


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The arguments of `simckpt.run`, checked.

    `whole_world` says that the user named no communicator, so that all ranks the launcher
    started should be in the one that is used.
    """

    bundle: str | None = None
    intent: Intent | None = None
    numerics: Numerics | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    seeds: Mapping[str, Any] = field(default_factory=dict)
    stage: Stage = field(default_factory=Stage)
    upstream: tuple[str, ...] = ()
    checkpoint_every: int | None = None
    triggers: tuple[Trigger, ...] = STANDARD
    captures: int = ONE_IN
    logs: tuple[str, ...] = ()
    start_step: int = 0
    if_exists: IfExists = "auto"
    durability: Durability = "fsync"
    strict: bool = False
    abort_on_error: bool = True
    whole_world: bool = True
    profile: Profile = field(default_factory=SimulationProfile)

    @classmethod
    def checked(cls, **arguments: Any) -> RunSettings:
        """Settings from what a user may write; SetupError names what cannot be used."""
        settings = {name: _CHECKS[name](value) for name, value in arguments.items()}
        if variable := os.environ.get("SIMCKPT_BUNDLE"):
            settings["bundle"] = variable
        # What the driver says and what its job says both hold.
        variable = os.environ.get("SIMCKPT_UPSTREAM", "")
        of_job = (str(Path(path)) for path in variable.split(os.pathsep) if path)
        settings["upstream"] = tuple(dict.fromkeys((*settings.get("upstream", ()), *of_job)))
        return cls(**settings)

    def place(self, driver: str, parameters: Mapping[str, Any]) -> str:
        """The bundle's path, with ``{name}`` replaced by the driver's parameters.

        Without a path it is the driver's name in the working directory.

        Raises
        ------
        SetupError
            If the path names a parameter that the driver does not have.
        """
        if self.bundle is None:
            return f"{driver or 'run'}.simckpt.h5"
        try:
            return self.bundle.format_map(parameters)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise SetupError(
                "bundle",
                self.bundle,
                f"has a placeholder that cannot be filled ({error})",
                choices=sorted(parameters),
                mend="Name parameters of the decorated function, and double other braces.",
            ) from error


class RunRequest:
    """The arguments of `simckpt.run` as they were written, some perhaps as callables.

    A callable gets the driver's parameters by name, those that it accepts. All else is checked at
    once.

    Raises
    ------
    SetupError
        For an argument that is unknown or cannot be used.
    """

    def __init__(self, **arguments: Any) -> None:
        choices = _CHECKS.keys() - _INTERNAL | {"comm"}
        for name in arguments.keys() - _CHECKS.keys():
            close = difflib.get_close_matches(name, choices, n=1)
            raise SetupError(
                name,
                arguments[name],
                "is no argument of run",
                choices=sorted(choices),
                mend=f"Did you mean {close[0]}=?"
                if close
                else "Parameters of the driver are its arguments.",
            )
        # A solver may be callable and is no function of the driver's parameters.
        self._callables = {
            name: value
            for name, value in arguments.items()
            if name in _BY_PARAMETERS and callable(value) and not is_live(value)
        }
        self._values = {k: v for k, v in arguments.items() if k not in self._callables}
        RunSettings.checked(**self._values)

    def settings(self, parameters: Mapping[str, Any]) -> RunSettings:
        """The settings for a call of the driver with these parameters."""
        results = {name: _called(name, f, parameters) for name, f in self._callables.items()}
        return RunSettings.checked(**self._values, **results)


_INTERNAL = frozenset({"profile", "whole_world"})
"""Settings that are no arguments of `simckpt.run`."""

_BY_PARAMETERS = frozenset(
    {"intent", "numerics", "inputs", "outputs", "config", "logs", "seeds", "stage", "upstream"}
)


def _called(name: str, source: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    accepted = inspect.signature(source).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in accepted):
        return source(**parameters)
    missing = [p.name for p in accepted if p.default is p.empty and p.name not in parameters]
    if missing:
        raise SetupError(
            name,
            source,
            f"asks for {missing[0]!r}",
            choices=sorted(parameters),
            mend="Name parameters of the decorated function.",
        )
    return source(**{p.name: parameters[p.name] for p in accepted if p.name in parameters})


def step_number(argument: str, value: Any) -> int:
    """A step number, of whatever integer type; SetupError if it is none."""
    if not _whole(value, least=0):
        raise SetupError(
            argument,
            value,
            "is not a step number of zero or more",
            mend="Give the number of the step that the restart file holds.",
        )
    return operator.index(value)


def _period(steps: Any) -> int | None:
    if steps is None:
        return None
    if not _whole(steps, least=1):
        raise SetupError(
            "checkpoint_every",
            steps,
            "is not a positive number of steps",
            mend="Write checkpoint_every=100, or leave it out.",
        )
    return operator.index(steps)


def _whole(value: Any, least: int) -> bool:
    # An integer of NumPy's is one; a truth value is not meant to be.
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return False
    return operator.index(value) >= least


def _intent(intent: Intent | str | None) -> Intent | None:
    if intent is None or isinstance(intent, Intent):
        return intent
    if isinstance(intent, str):
        return Intent(goal=intent)
    raise SetupError(
        "intent", intent, "is not an Intent", mend="Write intent=simckpt.Intent(goal='...')."
    )


def _numerics(numerics: Any) -> Numerics | None:
    if numerics is None or isinstance(numerics, Numerics):
        return numerics
    if is_live(numerics):
        return Numerics(solver=numerics)
    if is_bag(numerics):
        facts = numerics if isinstance(numerics, Mapping) else describe(numerics)
        names = set(Numerics.__struct_fields__) - {"extra"}
        common = {k: v for k, v in facts.items() if k in names}
        return Numerics(**common, extra={k: v for k, v in facts.items() if k not in names})
    if isinstance(numerics, str | os.PathLike) and has_settings_suffix(numerics):
        raise SetupError(
            "numerics",
            os.fspath(numerics),
            f"is no file: it is looked for in {Path.cwd()}",
            mend="Give the path from there, or the whole one.",
        )
    raise SetupError(
        "numerics",
        numerics,
        "is neither a Numerics, nor a dict, nor an object whose settings can be read",
        mend="Write numerics=simckpt.Numerics(solver='...', ...), or teach "
        "@simckpt.describe.register what the object's class has to tell.",
    )


def _paths(name: str, value: Paths) -> tuple[str, ...]:
    items = [value] if isinstance(value, str | os.PathLike) else value
    try:
        return tuple(os.fspath(item) for item in items)
    except TypeError as error:
        raise SetupError(
            name, value, "is not a list of paths", mend=f"Write {name}=['path/or/pattern*']."
        ) from error


def _seeds(seeds: Mapping[str, Any] | int | None) -> Mapping[str, Any]:
    if seeds is None:
        return {}
    if isinstance(seeds, Mapping):
        return dict(seeds)
    if _whole(seeds, least=0):
        return {"seed": operator.index(seeds)}
    raise SetupError("seeds", seeds, "is neither an int nor a dict of name to seed or generator")


def _stage(stage: Stage | str | None) -> Stage:
    if isinstance(stage, Stage):
        return stage
    if stage is None or isinstance(stage, str):
        return Stage(name=stage or "")
    raise SetupError("stage", stage, "is neither a name nor a Stage")


def _choice(name: str, choices: tuple[str, ...], value: Any) -> Any:
    if value not in choices:
        raise SetupError(name, value, "is not a choice", choices=choices)
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "bundle": lambda path: None if path is None else str(path),
    "intent": _intent,
    "numerics": _numerics,
    "inputs": partial(_paths, "inputs"),
    "outputs": partial(_paths, "outputs"),
    "config": partial(_paths, "config"),
    "seeds": _seeds,
    "stage": _stage,
    "upstream": partial(_paths, "upstream"),
    "checkpoint_every": _period,
    "triggers": checked_triggers,
    "captures": checked_rate,
    "logs": partial(_paths, "logs"),
    "start_step": partial(step_number, "start_step"),
    "if_exists": partial(_choice, "if_exists", get_args(IfExists)),
    "durability": partial(_choice, "durability", get_args(Durability)),
    "strict": bool,
    "abort_on_error": bool,
    "whole_world": bool,
    "profile": lambda make: make(),
}
"""Each argument of `simckpt.run`, and what makes a setting of it."""
