"""`simckpt.analysis.transform`: one step from data to result, in each of its forms."""

from __future__ import annotations

import functools
import inspect
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import structs

from ..capture.probes import reason_of
from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain, qualified_name
from ..errors import InstrumentError, SetupError, SimckptWarning
from ..model.record import Facts, canonical_json
from ..model.transform import Dataset, Transform, schema_diff
from ..recording import active
from .datasets import identify, is_dataset
from .stage import AnalysisProfile, profile_of

if TYPE_CHECKING:
    from types import TracebackType

    from ..recording.recorder import Recorder

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")

LONGEST_KIND = 60
LONGEST_SELECTION = 2_000


@dataclass(frozen=True)
class TransformText:
    """What the user says of a transform."""

    kind: str
    selection: str = ""
    name: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        if callable(self.kind):
            raise SetupError(
                "kind",
                self.kind,
                "is a function, not a word",
                mend="Write @simckpt.analysis.transform('filter').",
            )
        if not isinstance(self.kind, str) or not self.kind.strip():
            raise SetupError(
                "kind", self.kind, "is not a word", mend="Say what is done: 'filter', 'join', ..."
            )
        if len(self.kind) > LONGEST_KIND:
            raise SetupError(
                "kind",
                self.kind,
                f"has {len(self.kind)} characters, more than {LONGEST_KIND}",
                mend="Write the rule as selection=, and the reason as why=.",
            )
        for argument in ("selection", "name", "why"):
            if not isinstance(getattr(self, argument), str):
                raise SetupError(argument, getattr(self, argument), "is not a text")

    def filled(self, arguments: Mapping[str, Any]) -> TransformText:
        """With ``{name}`` in the selection replaced by an argument; as written if that fails."""
        try:
            return replace(self, selection=self.selection.format_map(arguments))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            return self


class Transformation:
    """A transform to be recorded: a decorator, a context manager, and plain calls.

    Made by `simckpt.analysis.transform`. Outside of a stage nothing is recorded.
    """

    def __init__(self, text: TransformText, sources: tuple[Any, ...] = ()) -> None:
        self._text = text
        self._sources = sources
        self._recording = _recording(text, sources) if sources else None

    def __call__(self, function: F) -> F:
        """Decorate a function from datasets to datasets."""
        if self._sources:
            raise SetupError(
                "transform",
                function,
                "decorates a function, and sources were given",
                mend="A decorated function's datasets are its arguments and what it returns.",
            )
        if not callable(function):
            raise SetupError(
                "transform", function, "is no function", mend="Write transform(kind, data)."
            )
        signature, text = inspect.signature(function), self._text

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            bound = _arguments(signature, args, kwargs)
            data = _datasets(bound.values())
            parameters = {k: v for k, v in bound.items() if not _datasets([v])}
            recording = _recording(text.filled(bound), data, function, parameters)
            start = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                if recording is not None:
                    recording.fail(error)
                raise
            if recording is not None:
                recording.complete(_datasets([result]) or data, time.perf_counter() - start)
            return result

        return wrapper  # type: ignore[return-value]

    def __enter__(self) -> Self:
        if self._recording is None:
            self._recording = _recording(self._text, self._sources)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self._recording is not None:
            self._recording.fail(error)
        elif self._recording is not None:
            # Nothing was said to come of it: what went in may have been changed in place.
            self._recording.complete(self._sources)
        self._recording = None

    def into(self, result: D, *more: Any) -> D:
        """Say what came of it, one dataset or several; returns the first."""
        recording = self._recording or _recording(self._text, self._sources)
        if recording is not None:
            recording.complete((result, *more))
        self._recording = None
        return result


class TransformRecording:
    """One transform under way in an active stage, on this rank."""

    def __init__(
        self,
        recorder: Recorder,
        profile: AnalysisProfile,
        text: TransformText,
        sources: Iterable[Any],
        function: Callable[..., Any] | None,
        parameters: Mapping[str, Any],
    ) -> None:
        self._recorder = recorder
        self._profile = profile
        self._transform = Transform(
            index=0,
            kind=_text(text.kind),
            name=_text(text.name),
            selection=_text(text.selection),
            why=_text(text.why),
            function=qualified_name(function) if function is not None else "",
            parameters=_facts(parameters),
        )
        self._before = tuple(self._identify(thing, ("source",)) for thing in sources)
        self._start = time.perf_counter()

    def complete(self, results: Iterable[Any], seconds: float | None = None) -> None:
        """The transform is done, with these results."""
        took = time.perf_counter() - self._start if seconds is None else seconds
        origin = (canonical_json(self._transform).decode(), *(d.id for d in self._before))
        after = [
            self._identify(thing, (*origin, str(number))) for number, thing in enumerate(results)
        ]
        columns_before = [column for dataset in self._before for column in dataset.schema]
        changes = schema_diff(columns_before, [c for d in after for c in d.schema]) if after else ()
        transform = structs.replace(
            self._transform, seconds=took, changes=changes if self._before else ()
        )
        self._profile.add(transform, self._before, after)

    def fail(self, error: BaseException) -> None:
        """The transform ended by an exception, and nothing came of it."""
        took = time.perf_counter() - self._start
        transform = structs.replace(self._transform, seconds=took, problem=_text(reason_of(error)))
        self._profile.add(transform, self._before, ())

    def _identify(self, thing: Any, origin: tuple[str, ...]) -> Dataset:
        with self._recorder.timer.captures:
            dataset = identify(thing, origin)
        if not dataset.schema and dataset.problem:
            text = f"a dataset of the transform {self._transform.kind!r}: {dataset.problem}"
            if self._recorder.settings.strict:
                raise InstrumentError(text)
            self._recorder.event("dataset_unreadable", text, severity="warning")
        return dataset


def transform(
    kind: str, /, *sources: Any, selection: str = "", name: str = "", why: str = ""
) -> Transformation:
    """Record one step from data to result in the manifest of the active stage.

    Kept are, for each dataset before and after: an id that follows from its contents, the
    number of rows and columns or the lengths of its dimensions, and its schema (names, dtypes,
    units, dimensions); and the difference of the schemas. Values never are.

    Parameters
    ----------
    kind : str
        What is done: ``"filter"``, ``"join"``, ``"select"``, ``"resample"``, ``"regrid"``, or any
        other word.
    *sources : pandas, Polars, PyArrow, xarray or NumPy objects
        What it starts from; not for a decorator, which takes the arguments of the function. A
        dict of arrays is one dataset.
    selection : str
        The rule by which it selects, as text: ``"t >= 1"``. In a decorator ``{t_min}`` is
        replaced by that argument.
    name, why : str
        What the step is called, and the reason for it.

    Returns
    -------
    Transformation
        A decorator; a context manager; or a step whose result is told by ``.into(result)``.

    Raises
    ------
    SetupError
        If `kind` is not a word, or a text is something else.

    Examples
    --------
    ::

        late = transform("select", data, selection="t >= 1").into(data.sel(time=slice(1, None)))

        @transform("regrid", selection="means of {factor} x {factor} cells")
        def coarsened(data, factor): ...

        with transform("join", runs, members, selection="on member") as joining:
            table = joining.into(runs.merge(members, on="member"))
    """
    return Transformation(TransformText(kind, selection, name, why), sources)


def _recording(
    text: TransformText,
    sources: Iterable[Any],
    function: Callable[..., Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> TransformRecording | None:
    recorder = active.current()
    profile = profile_of(recorder.settings) if recorder is not None else None
    if recorder is None or profile is None:
        _warn_outside(text.kind)
        return None
    profile.ranks = recorder.size
    try:
        return TransformRecording(recorder, profile, text, sources, function, parameters or {})
    except InstrumentError:
        raise
    except Exception as error:
        if recorder.settings.strict:
            raise InstrumentError(f"transform {text.kind!r}: {error}") from error
        problem = f"transform {text.kind!r} is not recorded: {reason_of(error)}"
        recorder.event("transform_unreadable", problem, severity="warning")
        return None


_warned: set[str] = set()


def _warn_outside(kind: str) -> None:
    """Say once for each kind of transform that no stage is there to record it."""
    if kind in _warned or os.environ.get("SIMCKPT_DISABLE", "") not in ("", "0"):
        return
    _warned.add(kind)
    text = f"transform {kind!r} happens outside of simckpt.analysis.stage: it is not recorded"
    warnings.warn(text, SimckptWarning, stacklevel=4)


def _arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return {}  # the call itself is about to say so
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= arguments.pop(parameter.name)
    return arguments


def _datasets(things: Iterable[Any]) -> tuple[Any, ...]:
    """The datasets among `things`, and those in the tuples, lists and dicts among them."""
    datasets: list[Any] = []
    for thing in things:
        if is_dataset(thing):
            datasets.append(thing)
        elif isinstance(thing, list | tuple):
            datasets += [item for item in thing if is_dataset(item)]
        elif isinstance(thing, dict):
            datasets += [item for item in thing.values() if is_dataset(item)]
    return tuple(datasets)


def _facts(values: Mapping[str, Any]) -> Facts:
    # As one mapping, so that what is called a secret is taken for one.
    facts: Facts = plain(dict(values))
    return facts


def _text(text: str) -> str:
    cleaned = redact_text(clean_text(text.strip()))
    if len(cleaned) > LONGEST_SELECTION:
        return cleaned[: LONGEST_SELECTION - 3] + "..."
    return cleaned
