"""`simckpt.run`: around the driver that holds the loop."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from ..capture.driver import is_interactive
from ..errors import SetupError, SimckptWarning
from . import active
from .begin import choose_comm
from .faults import one_line
from .recorder import Recorder
from .sampling import Reports
from .settings import RunArguments, RunRequest, step_number
from .step import returns_early

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ..diagnostics.declarations import DeclarationArguments
    from ..model.series import Checkpoint

F = TypeVar("F", bound="Callable[..., Any]")

_SAMPLE_ARGUMENTS = ("grid", "fields", "particles", "step", "t", "dt")


class Run:
    """A run to be recorded: a decorator, a context manager, and plain calls.

    Made by `simckpt.run`. As a decorator it records each call of the driver as one run, with
    the call's bound arguments as parameters. As a context manager, or between `start` and
    `finish`, it records what happens in between. While simckpt is turned off
    (``SIMCKPT_DISABLE=1``) nothing has an effect.
    """

    def __init__(
        self, request: RunRequest, comm: object = None, recorder: Recorder | None = None
    ) -> None:
        self._request = request
        self._comm = comm
        self._recorder = recorder
        self._disabled = _is_disabled()

    def __call__(self, driver: F) -> F:
        """Decorate `driver`."""
        if self._disabled:
            return driver
        if problem := returns_early(driver):
            raise SetupError(
                "driver",
                driver,
                f"{problem}: the run would end before it began",
                mend="Use `with simckpt.run(...):` inside of it.",
            )
        signature = inspect.signature(driver)

        @functools.wraps(driver)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            run = Run(self._request, self._comm)
            run._begin(driver, bound.arguments)
            with run:
                return driver(*args, **kwargs)

        return recorded  # type: ignore[return-value]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = None if _is_clean_exit(error) else error
        try:
            self.finish(failure)
        except Exception as fault:
            if failure is None:
                raise
            # The driver's own exception is the one to be seen.
            text = f"ending the run failed: {one_line(fault)}"
            warnings.warn(text, SimckptWarning, stacklevel=2)

    def start(self, parameters: Mapping[str, Any] | None = None) -> Self:
        """Begin the run; `parameters` are recorded as the driver's. Collective."""
        if self._recorder is None and not self._disabled:
            self._begin(_program(), parameters or {})
        return self

    def finish(self, error: BaseException | None = None) -> None:
        """End the run, with the exception that ended it if there was one. Collective."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            if recorder in active.recorders:
                active.recorders.remove(recorder)
            recorder.end(error)

    @property
    def path(self) -> str | None:
        """Where the bundle is, as seen from the working directory; None before the run begins."""
        path = self._recorder.path if self._recorder else None
        if path is None:
            return None
        # A working directory that was removed has no name.
        with suppress(ValueError, OSError):
            return str(Path(path).relative_to(Path.cwd()))
        return path

    def checkpoint(self, label: str, *, why: str = "") -> Checkpoint | None:
        """See `simckpt.checkpoint`."""
        recorder = self._recording("run.checkpoint")
        return None if recorder is None else recorder.checkpoint(label, why=why)

    def resume(self, step: int) -> None:
        """Say, before the first step, which step a restarted driver continues from."""
        if (recorder := self._recording("run.resume")) is not None:
            recorder.resume(step_number("run.resume", step))

    def report_settings(self, *solvers: Any, **settings: Any) -> None:
        """Report numerical settings as they are in effect.

        A setting whose requested value was another one is recorded as a fall-back.

        Parameters
        ----------
        *solvers : object
            What `simckpt.describe` reads settings off: solvers, integrators, their results. A
            solver is read again at each checkpoint, as long as the program keeps it.
        **settings
            Settings by name; their values may be solvers too: ``pressure=ksp``.
        """
        if (recorder := self._recording("run.report_settings")) is not None:
            recorder.report_settings(solvers, settings)

    def event(self, name: str, text: str = "", **facts: Any) -> None:
        """Record that something happened: a stable `name`, one sentence, and values."""
        if (recorder := self._recording("run.event")) is not None:
            recorder.event(name, text or name, facts=facts)

    def add_source(self, name: str, amount: float) -> None:
        """Report what has come into the budget `name` on this rank, in units of its integral.

        Negative amounts have gone out. Amounts are added up exactly, over ranks and time.
        """
        self._report(Reports.add_source, name, amount)

    def count(self, name: str, n: int = 1) -> None:
        """Report that something happened `n` times on this rank: a limiter or floor hit."""
        self._report(Reports.count, name, n)

    def residual(
        self,
        name: str,
        *,
        iterations: int,
        initial: float = float("nan"),
        final: float = float("nan"),
    ) -> None:
        """Report a linear or non-linear solve: its iterations, and the residuals of it."""
        self._report(Reports.residual, name, iterations, initial, final)

    def scalar(self, name: str, value: float) -> None:
        """Report a number of the whole run; the last one before a sample is recorded."""
        self._report(Reports.scalar, name, value)

    def sample(
        self,
        *,
        grid: Any = None,
        fields: Mapping[str, Any] | None = None,
        particles: Any = None,
        step: int | None = None,
        t: float = float("nan"),
        dt: float = float("nan"),
        **declared: Unpack[DeclarationArguments],
    ) -> None:
        """Take one sample now; all ranks call it at the same step.

        Parameters
        ----------
        grid, fields, particles
            The state, as for `simckpt.step`, without callables.
        step : int
            The step number; by default one more than that of the last sample.
        t, dt : float
            Simulated time, and the time step that the Courant number uses.
        **declared
            ``conserved=``, ``stability=`` and the other declarations of `simckpt.step`; the
            same at each call.
        """
        from ..diagnostics.declarations import Declarations
        from ..diagnostics.state import State

        if (recorder := self._recording("run.sample")) is None:
            return
        number = recorder.step + (recorder.life == "sampling") if step is None else step
        state = functools.partial(
            State,
            grid=grid,
            fields=fields or {},
            particles=particles,
            step=number,
            t=t,
            dt=dt,
        )
        declarations = Declarations.from_arguments("run.sample", declared, _SAMPLE_ARGUMENTS)
        recorder.sample(declarations, state, number)

    def _begin(self, driver: Callable[..., Any] | str, parameters: Mapping[str, Any]) -> None:
        settings = self._request.settings(parameters)
        recorder = Recorder(settings, choose_comm(self._comm, forked=active.is_forked()))
        recorder.begin(driver, parameters)
        self._recorder = recorder
        active.recorders.append(recorder)

    def _recording(self, caller: str) -> Recorder | None:
        """The recorder of this run, or of the active one; None where simckpt is turned off."""
        if self._recorder is not None:
            return self._recorder
        return None if self._disabled else active.required(caller)

    def _report(self, method: Callable[..., None], name: str, *values: float) -> None:
        if (recorder := self._recording(f"run.{method.__name__}")) is not None:
            recorder.report(method, name, values)


@overload
def run(bundle: F) -> F: ...
@overload
def run(
    bundle: str | os.PathLike[str] | None = None,
    *,
    comm: object = None,
    **arguments: Unpack[RunArguments],
) -> Run: ...
def run(bundle: Any = None, *, comm: object = None, **arguments: Any) -> Any:
    """Record a run: a decorator around the driver that holds the loop, or a context manager.

    Parameters
    ----------
    bundle : str or path
        Where the bundle goes, ``"runs/kh.simckpt.h5"``; ``{name}`` is replaced by a parameter
        of the driver. By default the driver's name, in the working directory. The variable
        ``SIMCKPT_BUNDLE`` overrides it.
    intent : Intent or str
        Why the run is made.
    numerics : Numerics, dict, path or solver object
        The numerical settings as requested; a path is that of a settings file. Solver objects,
        alone or among the settings, tell those in effect: see `simckpt.describe`.
    inputs, outputs, config : list of path or pattern
        Input files (hashed), outputs (indexed by hash at checkpoints), and configuration files
        (kept by content).
    seeds : dict or int
        Seeds, and generators whose state is recorded at each checkpoint, by name.
    stage : str
        The name of this step in a chain of jobs.
    upstream : list of path or id
        Bundles or checkpoint ids that this run starts from (``SIMCKPT_UPSTREAM``).
    checkpoint_every : int
        Commit a checkpoint each so many steps, beside those the driver asks for.
    triggers : list of str, Trigger or callable
        Rules that capture more when they fire, beside the standard ones: bounds such as
        ``"drift(mass) > 1e-12"``, predicates, `Trigger`. False turns all of them off.
    captures : str or int
        The cap on captures: ``"1 in 10"`` checkpoints.
    logs : list of path or pattern
        Log files whose tails are captured.
    start_step : int
        The step number that a restarted driver continues from.
    if_exists : {"auto", "continue", "rename", "error"}
        What to do where the path is taken: continue an unfinished run and keep a finished one
        (the new run gets the next free name), or one of the three always.
    durability : {"fsync", "flush"}
        Whether a checkpoint waits for storage, or only for the operating system: ``"flush"``
        survives a killed process, and not a power cut.
    comm : mpi4py communicator
        All ranks of the run; by default the world of the program.
    strict : bool
        Faults of the instrumentation raise instead of being recorded.
    abort_on_error : bool
        Abort all ranks if one leaves by an exception that the others do not share. If not, they
        go on, and wait a few seconds for it where they end.

    Returns
    -------
    Run
        A decorator and context manager.

    Notes
    -----
    `intent`, `numerics`, `seeds`, `inputs`, `outputs`, `config`, `stage` and `upstream` may also
    be callables that get the driver's arguments by name, those that they accept:
    ``numerics=lambda cfl, limiter: simckpt.Numerics(cfl=cfl, limiter=limiter)``.

    Raises
    ------
    SetupError, BundleError
        On every rank alike, for an argument that cannot be used or a bundle that cannot be
        written.
    """
    if callable(bundle):
        return run()(bundle)
    return Run(RunRequest(bundle=bundle, whole_world=comm is None, **arguments), comm)


def checkpoint(label: str, *, why: str = "") -> Checkpoint | None:
    """Commit a checkpoint of the active run.

    It is durable when this returns on rank 0, and nothing waits for the other ranks, so that it
    may be called by all of them or by rank 0 alone.

    Parameters
    ----------
    label : str
        What this point of the run is, such as ``"spin-up done"``.
    why : str
        Why the specification changed, if it did.

    Returns
    -------
    Checkpoint or None
        The checkpoint with its id on rank 0, None elsewhere.

    Raises
    ------
    SetupError
        Outside of a run.
    """
    if _is_disabled():
        return None
    return active.required("simckpt.checkpoint").checkpoint(label, why=why)


def active_run() -> Run | None:
    """The run that is being recorded, None outside of any."""
    recorder = active.current()
    return None if recorder is None else Run(RunRequest(), recorder=recorder)


def should_stop() -> bool:
    """Whether the run was asked to stop: the same answer on every rank.

    A driver that asks once a step, on every rank, can save its state and leave its loop in an
    orderly way once SIGTERM, SIGINT, or SIGUSR1 (SLURM's warning before the time limit) has
    reached any of its ranks::

        while t < t_end and not simckpt.should_stop():
            advance(sim, dt)

    The run then ends as stopped by a signal, and the next job continues it in the same bundle.
    Outside of a run the answer is no.
    """
    recorder = active.current()
    return recorder is not None and recorder.should_stop()


def _program() -> str:
    if is_interactive(sys.modules.get("__main__")):
        return "run"  # the first argument is the server of the notebook
    return Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-", "-c") else "run"


def _is_clean_exit(error: BaseException | None) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _is_disabled() -> bool:
    return os.environ.get("SIMCKPT_DISABLE", "") not in ("", "0")
