"""The facts behind a checkpoint's parts, on rank 0.

What can change during a run (random state, effective settings, outputs, configuration files)
is read again at each checkpoint; the rest is captured when the segment begins.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..bundle.contents import content_hashes
from ..capture.artifacts import index_artifacts
from ..capture.configuration import ConfigurationFiles
from ..capture.environment import capture_environment
from ..capture.jobs import scheduler_facts
from ..capture.manifest import capture_manifest, specification
from ..capture.packages import capture_packages
from ..capture.probes import attempt, reason_of
from ..capture.rng import capture_random, describe_generator, generators_in
from ..capture.solvers.describe import describe, is_live
from ..capture.values import plain, qualified_name
from ..model.changes import ABSENT, diff
from ..model.documents import Packages
from ..model.numerics import NumericalSettings
from ..model.series import Event
from .redacted_texts import redact_intent, redact_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.changes import Change, Specification
    from ..model.documents import (
        ArtifactIndex,
        Circumstances,
        Environment,
        Manifest,
        RandomState,
        Text,
    )
    from ..model.record import Document, Facts, Hash, Json
    from ..model.series import Severity
    from ..model.transform import TransformManifest
    from .settings import RunSettings

MOST_CHANGES_OF_ONE = 5
"""Changes of one setting that are recorded: an adaptive step changes all the time."""

MOST_CHANGES = 20
"""Changes that one event lists."""

_SOLVERS = ("solver", "integrator")
"""Settings whose object is the solver of the run: its settings are those of the run."""

_TOLERANCE = re.compile(r"tol(erance)?s?\b|max_iter", re.IGNORECASE)
_RANDOM_STATE = frozenset({"state", "fresh"})

STABLE_AGE = 2.0
"""Seconds for which an output has not changed before it is hashed while the run goes on."""

FINAL_QUIET = 0.5
"""Seconds without a change that the end of a run asks of what was written last."""

HASHING_LIMIT = 240.0
"""Seconds for hashing outputs when the run ends; the rest is named and not hashed."""

LONGEST_WAIT = 300.0
"""Seconds that the end of a run waits for the index: a file server may never answer."""

FRESH = 5.0
"""Seconds for which the facts of the machine are taken to be still true."""


class EffectiveSettings:
    """The numerical settings of one job attempt: as requested, and as they are in effect.

    A solver is configured by its options, falls back, or is replaced. So live objects are read at
    the first sample and at each checkpoint after it, and every difference becomes an event.

    Parameters
    ----------
    requested : mapping
        The settings as the user wrote them: plain values, and live objects whose settings are
        in effect under that name.
    """

    def __init__(self, requested: Mapping[str, Any]) -> None:
        plain_settings, live = split_live(requested)
        self.settings = NumericalSettings(requested=plain_settings)
        self._sources: dict[str, Callable[[], Any]] = {
            name: partial(_same, thing) for name, thing in live.items()
        }
        self._accessor: Callable[[], Any] | None = None
        self._counts: Counter[str] = Counter()
        self._unreadable: set[str] = set()
        self.loosened = ""
        """How tolerances in effect changed when settings were last read; empty for not at all."""

    def report(
        self, objects: tuple[Any, ...], settings: Mapping[str, Any], step: int
    ) -> list[Event]:
        """Take what the driver says is in effect: objects, and settings by name.

        Objects are read again as long as they live; no reference keeps them alive.
        """
        plain_settings, live = split_live(settings)
        facts: Facts = {}
        for name, thing in [*(("", thing) for thing in objects), *live.items()]:
            self._follow(name, thing)
            facts |= _under(name, self._settings_of(thing))
        return self._update(facts | plain_settings, step)

    def follow(self, source: Callable[[], Any]) -> None:
        """Ask `source` for the objects, or a dict of them, whenever settings are read."""
        self._accessor = source

    def read(self, step: int) -> list[Event]:
        """Read the live objects; the events of what changed."""
        effective: Facts = {}
        problems: list[Event] = []
        sources = self._sources | ({"": self._accessor} if self._accessor else {})
        for name, source in sources.items():
            try:
                thing = source()
                facts = {} if thing is None else self._settings_of(thing)
                problem = str(facts.get("unavailable", ""))
            except Exception as error:  # noqa: BLE001 - the user's accessor and objects
                facts, problem = {}, reason_of(error)
            if not problem:
                effective |= _under(name, facts)
            elif name not in self._unreadable:
                # The values that were read before are still recorded.
                self._unreadable.add(name)
                text = f"the settings of {name or 'the solver'} cannot be read: {problem}"
                problems.append(_event("numerics_unreadable", "warning", step, text, {}))
        return [*problems, *self._update(effective, step)]

    def _follow(self, name: str, thing: Any) -> None:
        if not is_live(thing):
            return
        try:
            self._sources[name] = weakref.ref(thing)
        except TypeError:  # only a reference that keeps it alive is possible
            self._sources.pop(name, None)

    def _settings_of(self, thing: Any) -> Facts:
        # As one mapping, so that a setting with the name of a secret is redacted.
        facts = plain(describe(thing))
        if isinstance(facts, dict):
            return facts
        problem = f"describe gives a {type(facts).__name__} for it, and no dict"
        return {"type": qualified_name(type(thing)), "unavailable": problem}

    def _update(self, effective: Facts, step: int) -> list[Event]:
        """The events of new settings in effect: fall-backs, and changes since the last time."""
        self.loosened = ""
        if not effective:
            return []
        before = self.settings
        self.settings = after = NumericalSettings(
            requested=before.requested, effective=before.effective | effective
        )
        earlier, fallbacks, events = before.fallbacks(), after.fallbacks(), []
        for name, (requested, value) in fallbacks.items():
            if earlier.get(name) == (requested, value) or not self._count(name):
                continue
            is_last = self._counts[name] == MOST_CHANGES_OF_ONE
            text = f"{name} was requested as {requested!r} and is {value!r} in effect" + (
                " (further changes are not recorded)" if is_last else ""
            )
            facts = {"setting": name, "requested": requested, "effective": value}
            events.append(_event("numerics_fallback", "warning", step, text, facts))
        # A setting that was not known before is not a change.
        old = {name: before.effective[name] for name in effective if name in before.effective}
        changes = diff(old, {name: effective[name] for name in old})
        self.loosened = _listing([c for c in changes if _is_tolerance(c)])
        changed = [c for c in changes if c.path not in fallbacks and self._count(c.path)]
        if changed := changed[:MOST_CHANGES]:
            over = [c.path for c in changed if self._counts[c.path] == MOST_CHANGES_OF_ONE]
            last = f"; further changes of {', '.join(over)} are not recorded" if over else ""
            text = f"settings in effect changed: {_listing(changed)}{last}"
            rows = [{"path": c.path, "old": c.old, "new": c.new} for c in changed]
            events.append(_event("numerics_changed", "note", step, text, {"changes": rows}))
        return events

    def _count(self, name: str) -> bool:
        self._counts[name] += 1
        return self._counts[name] <= MOST_CHANGES_OF_ONE


def split_live(settings: Mapping[str, Any]) -> tuple[Facts, dict[str, Any]]:
    """Settings as facts, and those of them that are live objects, by name.

    Of a random number generator its kind and seed are settings; its state is not.
    """
    live = {name: thing for name, thing in settings.items() if is_live(thing)}
    values: dict[str, Any] = {}
    for name in settings.keys() - live.keys():
        generator = describe_generator(settings[name])
        values[name] = (
            settings[name]
            if generator is None
            else {k: v for k, v in generator.items() if k not in _RANDOM_STATE}
        )
    facts: Facts = plain({name: values[name] for name in settings if name in values})
    return facts, live


def _same(thing: Any) -> Any:
    return thing


def _under(name: str, facts: Facts) -> Facts:
    return facts if name in ("", *_SOLVERS) else {name: facts}


def _is_tolerance(change: Change) -> bool:
    # A solver that is replaced has other tolerances, and has not changed them.
    return bool(_TOLERANCE.search(change.path)) and ABSENT not in (change.old, change.new)


def _listing(changes: list[Change]) -> str:
    rest = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(f"{c.path} {c.old!r} -> {c.new!r}" for c in changes[:3]) + rest


def _event(name: str, severity: Severity, step: int, text: str, facts: Facts) -> Event:
    return Event(name=name, severity=severity, step=step, wall=time.time(), text=text, facts=facts)


class Indexer:
    """Makes the index of the outputs in a thread, which the run waits for only at its end.

    Parameters
    ----------
    patterns : tuple of str
        The outputs; there is no index without any.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._root = Path.cwd()
        self._index: ArtifactIndex | None = None
        self._thread: threading.Thread | None = None

    def index(self, *, wait: bool) -> ArtifactIndex | None:
        """The index that was last finished, and a new one begun; with `wait`, that new one."""
        if not self._patterns:
            return None
        limit = LONGEST_WAIT if wait else 0.0
        if self._thread is not None:
            self._thread.join(limit)
        if self._thread is None or not self._thread.is_alive():
            # A daemon: one that hangs must not hold up the end of the program.
            thread = threading.Thread(
                target=self._run,
                args=(0.0, FINAL_QUIET) if wait else (STABLE_AGE, 0.0),
                name="simckpt-index",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # the process can start no more threads
                self._thread = None
                return self._index
            self._thread = thread
            if wait:
                thread.join(limit)
        return self._index

    def _run(self, settled: float, quiet: float) -> None:
        self._index = index_artifacts(
            self._patterns,
            self._root,
            content_hashes,
            settled=settled,
            quiet=quiet,
            limit=HASHING_LIMIT,
            previous=self._index,
        )


@dataclass(frozen=True)
class StartCapture:
    """What is captured once, when a segment begins."""

    manifest: Manifest
    documents: tuple[Document, ...]
    environment: Environment
    circumstances: Circumstances
    scheduler: Facts


def capture_start(
    settings: RunSettings,
    driver: Callable[..., Any] | str,
    parameters: Mapping[str, Any],
    upstream: tuple[Hash, ...],
    mpi: Facts,
) -> StartCapture:
    """Capture the manifest and the environment of this process."""
    manifest, documents = capture_manifest(
        driver=driver,
        parameters=parameters,
        inputs=settings.inputs,
        outputs=settings.outputs,
        stage=redact_stage(settings.stage),
        upstream=upstream,
        contents=content_hashes,
    )
    environment, circumstances = capture_environment({"mpi": mpi} if mpi else {})
    return StartCapture(manifest, documents, environment, circumstances, scheduler_facts())


class Captures:
    """The parts of the next checkpoint.

    Parameters
    ----------
    settings : RunSettings
        The arguments of the run.
    start : StartCapture
        What was captured when the segment began.
    streams : tuple of str
        What distinguishes the seeds and generators of each rank.
    parameters : mapping of str to object
        The driver's arguments: the state of the generators among them is recorded.

    Attributes
    ----------
    declarations : mapping of str to Json
        What is measured, once the first sample is set up.
    nodes : mapping of str to Environment
        Of each node of the run, by name.
    """

    def __init__(
        self,
        settings: RunSettings,
        start: StartCapture,
        streams: tuple[str, ...] = (),
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._streams = streams if any(streams) and len(streams) > 1 else ()
        self._generators = attempt(partial(generators_in, parameters), None)[0] or {}
        self._start_time = time.monotonic()
        self._configuration = ConfigurationFiles(settings.config)
        self._texts: tuple[Text, ...] = ()
        self._outputs = Indexer(settings.outputs)
        self.start = start
        self.intent = redact_intent(settings.intent) if settings.intent else None
        self.declarations: Mapping[str, Json] = {}
        self.nodes: Mapping[str, Environment] = {}
        self.start_step = settings.start_step
        self.effective = EffectiveSettings(
            settings.numerics.settings() if settings.numerics else {}
        )

    @property
    def numerics(self) -> NumericalSettings:
        """Numerical settings as requested, and as far as they are known to be in effect."""
        return self.effective.settings

    def specification(self) -> Specification:
        """Everything the user chose, with the configuration files as they are now."""
        self._texts = self._configuration.read()
        seeds = {k: plain(v) for k, v in self._settings.seeds.items() if isinstance(v, int)}
        return specification(
            self.start.manifest,
            self.numerics,
            declarations=self.declarations,
            seeds=seeds,
            configuration=self._configuration.facts(),
            captures={
                "one_in": self._settings.captures,
                "triggers": {t.name: t.facts() for t in self._settings.triggers},
            },
        )

    def random(self) -> RandomState:
        """Seeds, and the state of the generators now."""
        state = capture_random(self._settings.seeds, self._generators)
        return replace(state, streams=self._streams)

    def transforms(self) -> TransformManifest | None:
        """What an analysis did to its data so far; None for a simulation."""
        return self._settings.profile.transforms()

    def configuration(self) -> tuple[Text, ...]:
        """The configuration files as they were read for the last specification."""
        return self._texts

    def artifacts(self, *, wait: bool) -> ArtifactIndex | None:
        """The index of the outputs that was last finished, and a new one started.

        Hashing goes on in a thread that the run does not wait for, unless `wait` says so; a
        checkpoint then carries the index that was ready when it was made.
        """
        return self._outputs.index(wait=wait)

    def surroundings(self) -> dict[str, Document]:
        """All facts of this node and process as they are now, and the whole list of packages."""
        environment, circumstances = self.start.environment, self.start.circumstances
        packages = next((d for d in self.start.documents if isinstance(d, Packages)), None)
        if packages is None or time.monotonic() - self._start_time > FRESH:
            mpi = environment.sections.get("mpi")
            environment, circumstances = capture_environment({"mpi": mpi} if mpi else {})
            packages = capture_packages()
        return {"environment": environment, "circumstances": circumstances, "packages": packages}
