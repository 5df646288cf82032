"""`simckpt.step`: around the function that advances the simulation by one step."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Unpack

from ..errors import SetupError
from . import active
from .cadence import AtSteps, Cadence, EverySteps, cadence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from ..diagnostics.declarations import DeclarationArguments, Declarations
    from ..diagnostics.state import State
    from .recorder import Recorder

    Bound = Callable[[], Mapping[str, Any]]

# Calls a user's accessors with the arguments of the function they describe.
#
# ``grid=lambda sim: ...`` describes ``advance(sim, dt)``: an accessor gets as many of the
# positional arguments as it accepts, so that the common one that needs only the first is short.


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


def named_number(
    names: tuple[str, ...], bound: Mapping[str, Any], arguments: Arguments
) -> float | None:
    """The first number called one of `names`: an argument, or an attribute of the first one."""
    for name in names:
        if _number(bound.get(name)):
            return float(bound[name])
    for name in names:
        value = getattr(arguments[0], name, None) if arguments else None
        if _number(value):
            return float(value)  # type: ignore[arg-type]
    return None


def _number(value: object) -> bool:
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
        self._counted = isinstance(every, EverySteps | AtSteps)
        self._source = source
        self._warn = active.OnceWarned()
        Step._latest += 1
        self._made = Step._latest

    def __call__(self, advance: F) -> F:
        """Decorate `advance`."""
        if problem := returns_early(advance):
            raise SetupError(
                "step",
                advance,
                f"{problem}: its samples would be taken before it has done its work",
                mend="Use `with step:` or step.done() inside of it.",
            )
        signature = _signature(advance)
        name = getattr(advance, "__name__", type(advance).__name__)

        @functools.wraps(advance)
        def sampled(*args: Any, **kwargs: Any) -> Any:
            recorder = active.current()
            if recorder is None:
                self._warn(name)
                return advance(*args, **kwargs)
            bound = functools.partial(_bound, signature, args, kwargs)
            if self._source == "arguments":
                self._before(recorder, args, bound)
            result = advance(*args, **kwargs)
            self._after(recorder, args if self._source == "arguments" else (result,), bound)
            return result

        return sampled  # type: ignore[return-value]

    def __enter__(self) -> Self:
        if (recorder := active.current()) is not None:
            self._before(recorder, (), dict)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and (recorder := active.current()) is not None:
            self._after(recorder, (), dict)

    def done(self, *arguments: Any) -> None:
        """Say that one step was made; `arguments` are what the accessors get."""
        self._after(active.required("step.done"), arguments, dict)

    def _before(self, recorder: Recorder, arguments: Arguments, bound: Bound) -> None:
        """The initial condition is a sample of its own, before the first step."""
        if recorder.life != "open" or self._rival(recorder):
            return
        moment = Moment(recorder, arguments, bound, recorder.step)
        moment.number = self._number(moment)
        due = recorder.due(self._cadence, moment.number, self._beaten(moment))
        self._sample(moment, joint=not due)

    def _after(self, recorder: Recorder, arguments: Arguments, bound: Bound) -> None:
        if recorder.counting.foreign(self._declarations) or self._rival(recorder):
            # Another object counts the steps, and holds the last state.
            return
        moment = Moment(recorder, arguments, bound, recorder.step + 1)
        recorder.step = moment.number = number = self._number(moment)
        due = recorder.due(self._cadence, number, self._beaten(moment))
        if due or recorder.life == "open":
            self._sample(moment, joint=not due)
        else:
            recorder.hold(lambda: self._sample(moment))
            recorder.collect()
        every = recorder.settings.checkpoint_every
        if every and number % every == 0:
            recorder.checkpoint(f"step {number}", reason="schedule")

    def _rival(self, recorder: Recorder) -> bool:
        return recorder.counting.rival(self._made, Step._latest)

    def _sample(self, moment: Moment, joint: bool = False) -> None:
        arguments = moment.arguments

        def build() -> State:
            from ..diagnostics.state import State

            return State(
                grid=self._grid(arguments),
                fields=self._fields(arguments) or {},
                particles=self._particles(arguments),
                step=moment.number,
                t=self._now(moment),
                dt=self._interval(moment),
                unreadable=len(moment.failed),
            )

        if self._numerics.source is not None:
            moment.recorder.follow(lambda: self._numerics(arguments))
        moment.recorder.sample(self._declarations, build, moment.number, joint=joint)

    def _number(self, moment: Moment) -> int:
        if self._step.source is None:
            return moment.number
        return moment.read(self._step, int, moment.number)

    def _now(self, moment: Moment) -> float:
        return self._quantity(moment, self._time, ("t", "time"))

    def _beaten(self, moment: Moment) -> float:
        """The time that the cadence is asked at; one that counts steps has no need of it."""
        if self._counted and self._time.source is None:
            return math.nan
        return self._now(moment)

    def _interval(self, moment: Moment) -> float:
        return self._quantity(moment, self._dt, ("dt",))

    def _quantity(self, moment: Moment, accessor: Accessor, names: tuple[str, ...]) -> float:
        if accessor.source is not None:
            return moment.read(accessor, float, math.nan)
        found = named_number(names, moment.bound, moment.arguments)
        return math.nan if found is None else found


class Moment:
    """One step as accessors see it, and which of them raised.

    Parameters
    ----------
    recorder : Recorder
        The run's.
    arguments : tuple
        What the accessors get.
    bound : callable
        Finds those of the decorated function by name; asked for only where a name is needed.
    number : int
        The step's number, as it is counted.
    """

    def __init__(self, recorder: Recorder, arguments: Arguments, bound: Bound, number: int) -> None:
        self.recorder = recorder
        self.arguments = arguments
        self._bound = bound
        self.number = number
        self.failed: set[str] = set()

    @functools.cached_property
    def bound(self) -> Mapping[str, Any]:
        """The arguments of the decorated function by name."""
        return self._bound()

    def read(self, accessor: Accessor, convert: Callable[[Any], N], otherwise: N) -> N:
        """The number that `accessor` finds, or `otherwise`: its fault must not end the run."""
        try:
            return convert(accessor(self.arguments))
        except Exception as error:  # noqa: BLE001 - the user's accessors may raise anything
            if accessor.name not in self.failed:
                self.failed.add(accessor.name)
                self.recorder.unreadable(accessor.name, error, self.number)
            return otherwise


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


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _bound(
    signature: inspect.Signature | None, args: Arguments, kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    if signature is None:
        return kwargs
    try:
        return signature.bind_partial(*args, **kwargs).arguments
    except TypeError:
        return kwargs
