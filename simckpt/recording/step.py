"""`simckpt.step`: around the function that advances the simulation by one step."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Unpack

from ..errors import SetupError
from . import active
from .cadence import AtSteps, Cadence, EverySteps, cadence

if TYPE_CHECKING:
    from types import TracebackType

    from ..diagnostics.declarations import DeclarationArguments, Declarations
    from ..diagnostics.state import State
    from .recorder import Recorder

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Accessor:
    """A value, or a callable that finds it among a call's arguments.

    Parameters
    ----------
    name : str
        The argument of `simckpt.step` that it was given as.
    source : object
        The value itself, or a callable of at most as many arguments as the described function.
    """

    name: str
    source: Any
    needs: int = field(init=False)
    accepts: int = field(init=False)

    def __post_init__(self) -> None:
        needs, accepts = _arity(self.name, self.source)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(self, "accepts", accepts)

    def __call__(self, arguments: Arguments) -> Any:
        if not callable(self.source):
            return self.source
        if self.needs > len(arguments):
            raise SetupError(
                self.name,
                self.source,
                f"takes {self.needs} arguments, and the step was called with {len(arguments)}",
                mend="Use the positional arguments of the decorated function.",
            )
        return self.source(*arguments[: self.accepts])


def _arity(name: str, source: Any) -> tuple[int, int]:
    """The fewest and the most positional arguments of `source`; nothing for a plain value."""
    if not callable(source):
        return 0, 0
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature: give it the state alone
        return 0, 1
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise SetupError(name, source, "has a keyword-only argument without a default")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needs = sum(p.default is p.empty for p in positional)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return needs, sys.maxsize
    return needs, len(positional)


def returns_early(function: Any) -> str:
    """Why a call of `function` returns before it has done its work; empty if it does not."""
    for is_it, what in (
        (inspect.iscoroutinefunction, "is a coroutine"),
        (inspect.isasyncgenfunction, "is an asynchronous generator"),
        (inspect.isgeneratorfunction, "is a generator"),
    ):
        if is_it(function) or is_it(type(function).__call__):
            return what
    return ""


def _is_number(value: object) -> bool:
    if type(value) is float:
        return value == value
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Real) and not math.isnan(value)


F = TypeVar("F", bound="Callable[..., Any]")
N = TypeVar("N", int, float)
Source = Literal["arguments", "result"]

_ARGUMENTS = (
    "grid", "fields", "particles", "time", "dt", "step", "numerics", "every", "source",
)  # fmt: skip


class Step:
    """What to measure around a step: a decorator, a context manager, and plain calls.

    Made by `simckpt.step`.
    """

    _latest: ClassVar[int] = 0

    def __init__(
        self,
        declarations: Declarations,
        *,
        grid: Any,
        fields: Any,
        particles: Any,
        time: Any,
        dt: Any,
        step: Any,
        numerics: Any,
        every: Cadence,
        source: Source,
    ) -> None:
        self._declarations = declarations
        self._grid = Accessor("grid", grid)
        self._fields = Accessor("fields", fields)
        self._particles = Accessor("particles", particles)
        self._time = Accessor("time", time)
        self._dt = Accessor("dt", dt)
        self._step = Accessor("step", step)
        self._numerics = Accessor("numerics", numerics)
        self._cadence = every
        self._needs_time = time is not None or not isinstance(every, EverySteps | AtSteps)
        self._source = source
        self._warn = active.OutsideWarning()
        Step._latest += 1
        self._id = Step._latest

    def __call__(self, advance: F) -> F:
        """Decorate `advance`."""
        if problem := returns_early(advance):
            raise SetupError(
                "step",
                advance,
                f"{problem}: its samples would be taken before it has done its work",
                mend="Use `with step:` or step.done() inside of it.",
            )
        positions = _positions(advance)
        name = getattr(advance, "__name__", type(advance).__name__)
        of_result = self._source == "result"

        @functools.wraps(advance)
        def sampled(*args: Any, **kwargs: Any) -> Any:
            if not active.recorders:
                self._warn(name)
                return advance(*args, **kwargs)
            recorder = active.recorders[-1]
            if recorder.life == "open" and not of_result:
                self._before(StepCall(recorder, args, args, kwargs, positions))
            result = advance(*args, **kwargs)
            arguments = (result,) if of_result else args
            self._after(StepCall(recorder, arguments, args, kwargs, positions))
            return result

        return sampled  # type: ignore[return-value]

    def __enter__(self) -> Self:
        recorder = active.current()
        if recorder is not None and recorder.life == "open":
            self._before(StepCall(recorder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and (recorder := active.current()) is not None:
            self._after(StepCall(recorder))

    def done(self, *arguments: Any) -> None:
        """Say that one step was made; `arguments` are what the accessors get."""
        self._after(StepCall(active.required("step.done"), arguments))

    def _before(self, call: StepCall) -> None:
        """The initial condition is a sample of its own, before the first step."""
        recorder = call.recorder
        if recorder.source.is_rival(self._id, Step._latest):
            return
        call.number = self._number(call, recorder.step)
        self._sample(call, joint=not self._is_due(call))

    def _after(self, call: StepCall) -> None:
        recorder = call.recorder
        source = recorder.source
        if (
            source.declarations is not self._declarations and source.is_foreign(self._declarations)
        ) or source.is_rival(self._id, Step._latest):
            # Another object counts the steps, and holds the last state.
            return
        number = recorder.step + 1
        if self._step.source is not None:
            number = self._number(call, number)
        recorder.step = call.number = number
        due = self._is_due(call)
        if due or recorder.life == "open":
            self._sample(call, joint=not due)
        else:
            recorder.last_state = functools.partial(self._sample, call)
            recorder.collect()
        every = recorder.settings.checkpoint_every
        if every and number % every == 0:
            recorder.checkpoint(f"step {number}", reason="schedule")

    def _is_due(self, call: StepCall) -> bool:
        recorder = call.recorder
        if recorder.life == "closed":
            return False
        schedule = recorder.schedule or recorder.start_schedule(self._cadence)
        # A cadence that counts steps has no need of the time.
        return schedule.due(call.number, self._t(call) if self._needs_time else math.nan)

    def _sample(self, call: StepCall, joint: bool = False) -> None:
        if self._numerics.source is not None:
            call.recorder.follow(lambda: self._numerics(call.arguments))
        read = functools.partial(self._state, call)
        call.recorder.sample(self._declarations, read, call.number, joint=joint)

    def _state(self, call: StepCall) -> State:
        from ..diagnostics.state import State

        arguments = call.arguments
        return State(
            grid=self._grid(arguments),
            fields=self._fields(arguments) or {},
            particles=self._particles.source and self._particles(arguments),
            step=call.number,
            t=self._t(call),
            dt=call.find(("dt",)) if self._dt.source is None else call.read(self._dt, float, nan),
            unreadable=len(call.failed),
        )

    def _number(self, call: StepCall, otherwise: int) -> int:
        if self._step.source is None:
            return otherwise
        call.number = otherwise
        return call.read(self._step, int, otherwise)

    def _t(self, call: StepCall) -> float:
        if self._time.source is None:
            return call.find(("t", "time"))
        return call.read(self._time, float, nan)


class StepCall:
    """One call of the step function as accessors see it, and which of them raised.

    Parameters
    ----------
    recorder : Recorder
        The run's.
    arguments : tuple
        What the accessors get.
    args, kwargs
        The arguments of the decorated function.
    positions : mapping of str to int
        Where those called ``t``, ``time`` and ``dt`` are among `args`.

    Attributes
    ----------
    number : int
        The step's number.
    failed : set of str
        The accessors that raised.
    """

    def __init__(
        self,
        recorder: Recorder,
        arguments: Arguments = (),
        args: Arguments = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        positions: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.recorder = recorder
        self.arguments = arguments
        self.number = 0
        self.failed: set[str] = set()
        self._args = args
        self._kwargs = kwargs
        self._positions = positions

    def read(self, accessor: Accessor, convert: Callable[[Any], N], otherwise: N) -> N:
        """The number that `accessor` finds, or `otherwise`: its fault must not end the run."""
        try:
            return convert(accessor(self.arguments))
        except Exception as error:  # noqa: BLE001 - the user's accessors may raise anything
            if accessor.name not in self.failed:
                self.failed.add(accessor.name)
                self.recorder.unreadable(accessor.name, error, self.number)
            return otherwise

    def find(self, names: tuple[str, ...]) -> float:
        """The first number called one of `names`: an argument, or an attribute of the first one."""
        for name in names:
            at = self._positions.get(name, -1)
            value = self._args[at] if 0 <= at < len(self._args) else self._kwargs.get(name)
            if value is not None and _is_number(value):
                return float(value)
        if self.arguments:
            for name in names:
                value = getattr(self.arguments[0], name, None)
                if value is not None and _is_number(value):
                    return float(value)
        return nan


def step(
    *,
    grid: Any = None,
    fields: Any = None,
    particles: Any = None,
    time: Any = None,
    dt: Any = None,
    step: Any = None,
    numerics: Any = None,
    every: int | float | Iterable[int] | Cadence = 1,
    source: Source = "arguments",
    **declared: Unpack[DeclarationArguments],
) -> Step:
    """Sample diagnostics around the function that advances the simulation by one step.

    Each of `grid`, `fields`, `particles`, `time`, `dt`, `step` and `numerics` is a value, or a
    callable that gets the positional arguments of the decorated function, as many as it accepts.

    Parameters
    ----------
    grid : Grid or callable
        Where this rank's cells lie in the global index space.
    fields : dict or callable
        Arrays by name, of this rank's cells and their ghost layers; live views, never copied.
    particles : Particles or callable
        This rank's particles.
    time, dt : callable
        Simulated time, and the time step that the Courant number uses. By default an argument
        called ``t`` or ``time``, or ``dt``, or that attribute of the first argument.
    step : callable
        The step number; by default the calls are counted from the run's ``start_step``.
    numerics : callable
        The solver objects, one or a dict of them, whose settings in effect are recorded: see
        `simckpt.describe`. Asked for at the first sample and at each checkpoint, on rank 0 only.
    every : int, float, list of int, or `simckpt.MaxOverhead(share)`
        The cadence: steps, simulated time, a list of steps, or as often as a share of the wall
        time allows. The initial condition is always sampled, before the first step, and so is
        the last state.
    source : {"arguments", "result"}
        What callables get: the arguments, or what the function returned (for functional
        drivers; there is then no sample of the initial condition).
    conserved : dict of str
        Conserved integrals by name: expressions of the fields, such as ``{"mass": "rho"}``.
    stability : dict
        Stability numbers by name, such as ``{"courant": simckpt.CFL("abs(u)", "abs(v)")}``.
    **declared
        The other declarations of `simckpt.diagnostics.declarations.Declarations`.

    Returns
    -------
    Step
        A decorator; also ``with step: ...`` around one step, or ``step.done()`` after it.

    Raises
    ------
    SetupError
        For a declaration that cannot be used: here where that can be known, and otherwise at
        the first sample, on every rank alike.
    """
    from ..diagnostics.declarations import Declarations

    if source not in ("arguments", "result"):
        raise SetupError("source", source, "is not a choice", choices=("arguments", "result"))
    if callable(grid) and not declared and fields is None and particles is None:
        raise SetupError(
            "grid", grid, "is all that was given", mend="Did you forget fields=lambda sim: {...}?"
        )
    return Step(
        Declarations.from_arguments("step", declared, _ARGUMENTS),
        grid=grid,
        fields=fields,
        particles=particles,
        time=time,
        dt=dt,
        step=step,
        numerics=numerics,
        every=cadence(every),
        source=source,
    )


def _positions(function: Any) -> dict[str, int]:
    """Where the arguments of `function` are that are called as time and time step are."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {
        parameter.name: index
        for index, parameter in enumerate(parameters)
        if parameter.name in ("t", "time", "dt")
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
