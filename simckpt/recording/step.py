"""`simckpt.step`: around the function that advances the simulation by one step."""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from ..errors import SetupError
from . import active
from .arguments import Accessor, Arguments, named_number
from .samples.cadence import Cadence, cadence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from ..diagnostics.declarations import Declarations
    from ..diagnostics.probe import State
    from .recorder import Recorder

F = TypeVar("F", bound="Callable[..., Any]")
Source = Literal["arguments", "result"]

_ARGUMENTS = (
    "grid", "fields", "particles", "time", "dt", "step", "numerics", "every", "source",
)  # fmt: skip


class Step:
    """What to measure around a step: a decorator, a context manager, and plain calls.

    Made by `simckpt.step`.
    """

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
        self._source = source
        self._warn = active.OnceWarned()

    def __call__(self, advance: F) -> F:
        """Decorate `advance`."""
        signature = _signature(advance)
        name = getattr(advance, "__name__", type(advance).__name__)

        @functools.wraps(advance)
        def sampled(*args: Any, **kwargs: Any) -> Any:
            recorder = active.current()
            if recorder is None:
                self._warn(name)
                return advance(*args, **kwargs)
            bound = _bound(signature, args, kwargs)
            if self._source == "arguments":
                self._before(recorder, args, bound)
            result = advance(*args, **kwargs)
            self._after(recorder, args if self._source == "arguments" else (result,), bound)
            return result

        return sampled  # type: ignore[return-value]

    def __enter__(self) -> Self:
        if (recorder := active.current()) is not None:
            self._before(recorder, (), {})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None and (recorder := active.current()) is not None:
            self._after(recorder, (), {})

    def done(self, *arguments: Any) -> None:
        """Say that one step was made; `arguments` are what the accessors get."""
        self._after(active.required("step.done"), arguments, {})

    def _before(self, recorder: Recorder, arguments: Arguments, bound: Mapping[str, Any]) -> None:
        """The initial condition is a sample of its own, before the first step."""
        if recorder.life != "open":
            return
        number = self._number(recorder, arguments, recorder.step)
        due = recorder.due(self._cadence, number, self._now(arguments, bound))
        self._sample(recorder, arguments, bound, number, joint=not due)

    def _after(self, recorder: Recorder, arguments: Arguments, bound: Mapping[str, Any]) -> None:
        recorder.step = number = self._number(recorder, arguments, recorder.step + 1)
        due = recorder.due(self._cadence, number, self._now(arguments, bound))
        if due or recorder.life == "open":
            self._sample(recorder, arguments, bound, number, joint=not due)
        else:
            recorder.hold(lambda: self._sample(recorder, arguments, bound, number))
            recorder.collect()
        every = recorder.settings.checkpoint_every
        if every and number % every == 0:
            recorder.checkpoint(f"step {number}", reason="schedule")

    def _sample(
        self,
        recorder: Recorder,
        arguments: Arguments,
        bound: Mapping[str, Any],
        number: int,
        joint: bool = False,
    ) -> None:
        def build() -> State:
            from ..diagnostics.probe import State

            return State(
                grid=self._grid(arguments),
                fields=self._fields(arguments) or {},
                particles=self._particles(arguments),
                step=number,
                t=self._now(arguments, bound),
                dt=self._interval(arguments, bound),
            )

        if self._numerics.source is not None:
            recorder.follow(lambda: self._numerics(arguments))
        recorder.sample(self._declarations, build, number, joint=joint)

    def _number(self, recorder: Recorder, arguments: Arguments, counted: int) -> int:
        if self._step.source is None:
            return counted
        try:
            return int(self._step(arguments))
        except Exception as error:  # noqa: BLE001 - an accessor's fault must not end the run
            recorder.event("step_unreadable", f"step= raised {error!r}", severity="warning")
            return counted

    def _now(self, arguments: Arguments, bound: Mapping[str, Any]) -> float:
        return self._quantity(self._time, ("t", "time"), arguments, bound)

    def _interval(self, arguments: Arguments, bound: Mapping[str, Any]) -> float:
        return self._quantity(self._dt, ("dt",), arguments, bound)

    def _quantity(
        self,
        accessor: Accessor,
        names: tuple[str, ...],
        arguments: Arguments,
        bound: Mapping[str, Any],
    ) -> float:
        if accessor.source is not None:
            try:
                return float(accessor(arguments))
            except Exception:  # noqa: BLE001 - the sample then has no time, and says so
                return math.nan
        found = named_number(names, bound, arguments)
        return math.nan if found is None else found


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
    **declared: Any,
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
    every : int, float, list of int, or `simckpt.overhead(share)`
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
        Declarations.given("step", declared, _ARGUMENTS),
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
