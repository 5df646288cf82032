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
class Wording:
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

    def filled(self, arguments: Mapping[str, Any]) -> Wording:
        """With ``{name}`` in the selection replaced by an argument; as written if that fails."""
        try:
            return replace(self, selection=self.selection.format_map(arguments))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            return self


class Transformation:
    """A transform to be recorded: a decorator, a context manager, and plain calls.

    Made by `simckpt.analysis.transform`. Outside of a stage nothing is recorded.
    """

    def __init__(self, wording: Wording, sources: tuple[Any, ...] = ()) -> None:
        self._wording = wording
        self._sources = sources
        self._watch = _watch(wording, sources) if sources else None

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
        signature, wording = inspect.signature(function), self._wording

        @functools.wraps(function)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            bound = _arguments(signature, args, kwargs)
            data = _datasets(bound.values())
            others = {k: v for k, v in bound.items() if not _datasets([v])}
            watch = _watch(wording.filled(bound), data, function, others)
            begun = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                if watch is not None:
                    watch.fail(error)
                raise
            if watch is not None:
                watch.complete(_datasets([result]) or data, time.perf_counter() - begun)
            return result

        return recorded  # type: ignore[return-value]

    def __enter__(self) -> Self:
        if self._watch is None:
            self._watch = _watch(self._wording, self._sources)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self._watch is not None:
            self._watch.fail(error)
        elif self._watch is not None:
            # Nothing was said to come of it: what went in may have been changed in place.
            self._watch.complete(self._sources)
        self._watch = None

    def into(self, result: D, *more: Any) -> D:
        """Say what came of it, one dataset or several; returns the first."""
        watch = self._watch or _watch(self._wording, self._sources)
        if watch is not None:
            watch.complete((result, *more))
        self._watch = None
        return result


class Watch:
    """One transform under way in an active stage, on this rank."""

    def __init__(
        self,
        recorder: Recorder,
        profile: AnalysisProfile,
        wording: Wording,
        sources: Iterable[Any],
        function: Callable[..., Any] | None,
        parameters: Mapping[str, Any],
    ) -> None:
        self._recorder = recorder
        self._profile = profile
        self._made = Transform(
            index=0,
            kind=_text(wording.kind),
            name=_text(wording.name),
            selection=_text(wording.selection),
            why=_text(wording.why),
            function=qualified_name(function) if function is not None else "",
            parameters=_facts(parameters),
        )
        self._before = tuple(self._seen(thing, ("source",)) for thing in sources)
        self._begun = time.perf_counter()

    def complete(self, results: Iterable[Any], seconds: float | None = None) -> None:
        """The transform is done, with these results."""
        took = time.perf_counter() - self._begun if seconds is None else seconds
        origin = (canonical_json(self._made).decode(), *(d.id for d in self._before))
        after = [self._seen(thing, (*origin, str(number))) for number, thing in enumerate(results)]
        known = [column for dataset in self._before for column in dataset.schema]
        changes = schema_diff(known, [c for d in after for c in d.schema]) if after else ()
        made = structs.replace(self._made, seconds=took, changes=changes if self._before else ())
        self._profile.add(made, self._before, after)

    def fail(self, error: BaseException) -> None:
        """The transform ended by an exception, and nothing came of it."""
        took = time.perf_counter() - self._begun
        made = structs.replace(self._made, seconds=took, problem=_text(reason_of(error)))
        self._profile.add(made, self._before, ())

    def _seen(self, thing: Any, origin: tuple[str, ...]) -> Dataset:
        with self._recorder.capturing():
            dataset = identify(thing, origin)
        if not dataset.schema and dataset.problem:
            text = f"a dataset of the transform {self._made.kind!r}: {dataset.problem}"
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
    return Transformation(Wording(kind, selection, name, why), sources)


def _watch(
    wording: Wording,
    sources: Iterable[Any],
    function: Callable[..., Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Watch | None:
    recorder = active.current()
    profile = profile_of(recorder.settings) if recorder is not None else None
    if recorder is None or profile is None:
        _say_outside(wording.kind)
        return None
    profile.ranks = recorder.size
    try:
        return Watch(recorder, profile, wording, sources, function, parameters or {})
    except InstrumentError:
        raise
    except Exception as error:
        if recorder.settings.strict:
            raise InstrumentError(f"transform {wording.kind!r}: {error}") from error
        text = f"transform {wording.kind!r} is not recorded: {reason_of(error)}"
        recorder.event("transform_unreadable", text, severity="warning")
        return None


_said: set[str] = set()


def _say_outside(kind: str) -> None:
    """Say once for each kind of transform that no stage is there to record it."""
    if kind in _said or os.environ.get("SIMCKPT_DISABLE", "") not in ("", "0"):
        return
    _said.add(kind)
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
    named = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name)
    return named


def _datasets(things: Iterable[Any]) -> tuple[Any, ...]:
    """The datasets among `things`, and those in the tuples, lists and dicts among them."""
    found: list[Any] = []
    for thing in things:
        if is_dataset(thing):
            found.append(thing)
        elif isinstance(thing, list | tuple):
            found += [item for item in thing if is_dataset(item)]
        elif isinstance(thing, dict):
            found += [item for item in thing.values() if is_dataset(item)]
    return tuple(found)


def _facts(values: Mapping[str, Any]) -> Facts:
    # As one mapping, so that what is called a secret is taken for one.
    facts: Facts = plain(dict(values))
    return facts


def _text(text: str) -> str:
    cleaned = redact_text(clean_text(text.strip()))
    if len(cleaned) > LONGEST_SELECTION:
        return cleaned[: LONGEST_SELECTION - 3] + "..."
    return cleaned
