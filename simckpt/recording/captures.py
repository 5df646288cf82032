"""The facts behind a checkpoint's parts, gathered once and kept current on rank 0.

What can change during a run (random state, effective settings, outputs, configuration files)
is read again at each checkpoint; the rest is captured when the segment begins.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..bundle.contents import content_hashes
from ..capture.configuration import ConfigurationFiles
from ..capture.environment import capture_environment
from ..capture.files import index_artifacts
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

# Numerical settings in effect: reported by the driver, and read off live objects again and again.
#
# What was asked for stands in the settings of the run. What is in effect is known later: a solver
# is configured by its options, falls back, or is replaced. So live objects are read at the first
# sample and at each checkpoint after it, and every difference becomes an event.


MOST_TOLD = 5
"""Changes of one setting that are told of: an adaptive step changes all the time."""

MOST_CHANGES = 20
"""Changes that one event tells of."""

WHOLE = ("solver", "integrator")
"""Settings whose object is the solver as a whole: its settings are those of the run."""

_TOLERANCE = re.compile(r"tol(erance)?s?\b|max_iter", re.IGNORECASE)
_STATE = frozenset({"state", "fresh"})


class InEffect:
    """The numerical settings of one job attempt.

    Parameters
    ----------
    written : mapping
        The settings as the user wrote them: plain values, and live objects whose settings are
        in effect under that name.
    """

    def __init__(self, written: Mapping[str, Any]) -> None:
        asked, live = divided(written)
        self.settings = NumericalSettings(requested=asked)
        self._read: dict[str, Callable[[], Any]] = {
            name: (lambda thing=thing: thing)  # type: ignore[misc]
            for name, thing in live.items()
        }
        self._source: Callable[[], Any] | None = None
        self._told: dict[str, int] = {}
        self._unreadable: set[str] = set()
        self.loosened = ""
        """What became of tolerances in effect when settings were last read; empty for nothing."""

    def report(
        self, things: tuple[Any, ...], settings: Mapping[str, Any], step: int
    ) -> list[Event]:
        """Take note of what the driver says is in effect: objects, and settings by name.

        Objects are read again as long as they live; no reference keeps them.
        """
        found: Facts = {}
        for thing in things:
            self._keep("", thing)
            found |= self._settings_of(thing)
        plainly, live = divided(settings)
        for name, thing in live.items():
            self._keep(name, thing)
            found |= _placed(name, self._settings_of(thing))
        return self._take(found | plainly, step)

    def follow(self, source: Callable[[], Any]) -> None:
        """Ask `source` for the objects, or a dict of them, whenever settings are read."""
        self._source = source

    def read(self, step: int) -> list[Event]:
        """Read the live objects; what is new about them."""
        found: Facts = {}
        problems: list[Event] = []
        sources = dict(self._read)
        if self._source is not None:
            sources[""] = self._source
        for name, source in sources.items():
            try:
                thing = source()
                facts = {} if thing is None else self._settings_of(thing)
                problem = str(facts.get("unavailable", ""))
            except Exception as error:  # noqa: BLE001 - the user's accessor and objects
                facts, problem = {}, reason_of(error)
            if not problem:
                found |= _placed(name, facts)
            elif name not in self._unreadable:
                # What was known of it before still stands.
                self._unreadable.add(name)
                text = f"the settings of {name or 'the solver'} cannot be read: {problem}"
                problems.append(_event("numerics_unreadable", "warning", step, text, {}))
        return [*problems, *self._take(found, step)]

    def _keep(self, name: str, thing: Any) -> None:
        if not is_live(thing):
            return
        try:
            self._read[name] = weakref.ref(thing)
        except TypeError:  # it has been read, and cannot be kept without keeping it alive
            self._read.pop(name, None)

    def _settings_of(self, thing: Any) -> Facts:
        # As one mapping, so that what is called a secret is taken for one.
        facts = plain(describe(thing))
        if isinstance(facts, dict):
            return facts
        told = f"describe gives a {type(facts).__name__} for it, and no dict"
        return {"type": qualified_name(type(thing)), "unavailable": told}

    def _take(self, found: Facts, step: int) -> list[Event]:
        """The events that new findings give: fall-backs, and changes since the last time."""
        self.loosened = ""
        if not found:
            return []
        before = self.settings
        self.settings = after = NumericalSettings(
            requested=before.requested, effective=before.effective | found
        )
        known, events = before.fallbacks(), []
        fallen = after.fallbacks()
        for name, (asked, value) in fallen.items():
            if known.get(name) == (asked, value) or not self._may_tell(name):
                continue
            last = " (further changes are not told)" if self._told[name] == MOST_TOLD else ""
            text = f"{name} was requested as {asked!r} and is {value!r} in effect{last}"
            facts = {"setting": name, "requested": asked, "effective": value}
            events.append(_event("numerics_fallback", "warning", step, text, facts))
        changed = _changed(before.effective, found)
        self.loosened = _shown([c for c in changed if _is_tolerance(c)])
        told = [c for c in changed if c.path not in fallen and self._may_tell(c.path)]
        if told := told[:MOST_CHANGES]:
            over = ", ".join(c.path for c in told if self._told[c.path] == MOST_TOLD)
            last = f"; further changes of {over} are not told" if over else ""
            listed = [{"path": c.path, "old": c.old, "new": c.new} for c in told]
            text = f"settings in effect changed: {_shown(told)}{last}"
            events.append(_event("numerics_changed", "note", step, text, {"changes": listed}))
        return events

    def _may_tell(self, name: str) -> bool:
        count = self._told[name] = self._told.get(name, 0) + 1
        return count <= MOST_TOLD


def divided(written: Mapping[str, Any]) -> tuple[Facts, dict[str, Any]]:
    """Settings as facts, and those of them that are live objects, by name.

    Of a random number generator its kind and seed are settings; its state is not.
    """
    live = {name: thing for name, thing in written.items() if is_live(thing)}
    others: dict[str, Any] = {}
    for name, value in written.items():
        if name not in live:
            generator = describe_generator(value)
            others[name] = (
                value
                if generator is None
                else {k: v for k, v in generator.items() if k not in _STATE}
            )
    facts: Facts = plain(others)
    return facts, live


def _placed(name: str, facts: Facts) -> Facts:
    return facts if name in ("", *WHOLE) else {name: facts}


def _changed(before: Facts, found: Facts) -> tuple[Change, ...]:
    """What is otherwise than it was; what was not known before is no change."""
    old = {name: before[name] for name in found if name in before}
    return diff(old, {name: found[name] for name in old})


def _is_tolerance(change: Change) -> bool:
    # A solver that is another one has other tolerances, and has not changed them.
    return bool(_TOLERANCE.search(change.path)) and ABSENT not in (change.old, change.new)


def _shown(changes: list[Change]) -> str:
    rest = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(f"{c.path} {c.old!r} -> {c.new!r}" for c in changes[:3]) + rest


def _event(name: str, severity: Severity, step: int, text: str, facts: Facts) -> Event:
    return Event(name=name, severity=severity, step=step, wall=time.time(), text=text, facts=facts)


# The artifact index, made in a thread that the run does not wait for.


SETTLED = 2.0
"""Seconds for which an output has not changed before it is hashed while the run goes on."""

QUIET = 0.5
"""Seconds without a change that the end of a run asks of what was written last."""

HASHING_LIMIT = 240.0
"""Seconds for hashing outputs when the run ends; what is left is named and not hashed."""

LONGEST_WAIT = 300.0
"""Seconds that the end of a run waits for the index: a file server may never answer."""


class Indexer:
    """Keeps the last index of the outputs, and makes the next one.

    Parameters
    ----------
    patterns : tuple of str
        The outputs; there is no index without any.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._root = Path.cwd()
        self._done: ArtifactIndex | None = None
        self._thread: threading.Thread | None = None

    def index(self, *, wait: bool) -> ArtifactIndex | None:
        """The index that was last finished, and a new one begun; with `wait`, that new one."""
        if not self._patterns:
            return None
        limit = LONGEST_WAIT if wait else 0.0
        if self._thread is not None:
            self._thread.join(limit)
        if self._thread is None or not self._thread.is_alive():
            self._begin(0.0 if wait else SETTLED, QUIET if wait else 0.0)
            if wait and self._thread is not None:
                self._thread.join(limit)
        return self._done

    def _begin(self, settled: float, quiet: float) -> None:
        def run() -> None:
            self._done = index_artifacts(
                self._patterns,
                self._root,
                content_hashes,
                settled=settled,
                quiet=quiet,
                limit=HASHING_LIMIT,
                previous=self._done,
            )

        # A daemon: one that hangs must not hold up the end of the program.
        self._thread = threading.Thread(target=run, name="simckpt-index", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had any more
            self._thread = None


FRESH = 5.0
"""Seconds for which the facts of the machine are taken to be still true."""


@dataclass(frozen=True)
class Beginning:
    """What is captured once, when a segment begins."""

    manifest: Manifest
    documents: tuple[Document, ...]
    environment: Environment
    circumstances: Circumstances
    scheduler: Facts


def capture_beginning(
    settings: RunSettings,
    driver: Callable[..., Any] | str,
    parameters: Mapping[str, Any],
    upstream: tuple[Hash, ...],
    mpi: Facts,
) -> Beginning:
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
    return Beginning(manifest, documents, environment, circumstances, scheduler_facts())


class Captures:
    """The parts of the next checkpoint.

    Parameters
    ----------
    settings : RunSettings
        What the run was asked for.
    beginning : Beginning
        What was captured when the segment began.
    streams : tuple of str
        What tells the seeds and generators of each rank from those of the others.
    parameters : mapping of str to object
        The driver's arguments: the generators among them are followed.
    """

    def __init__(
        self,
        settings: RunSettings,
        beginning: Beginning,
        streams: tuple[str, ...] = (),
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._streams = streams if any(streams) and len(streams) > 1 else ()
        self._generators = attempt(partial(generators_in, parameters), None)[0] or {}
        self.beginning = beginning
        self._begun = time.monotonic()
        self.intent = redact_intent(settings.intent) if settings.intent else None
        self._configuration = ConfigurationFiles(settings.config)
        self._texts: tuple[Text, ...] = ()
        self._declarations: Mapping[str, Json] = {}
        self.nodes: Mapping[str, Environment] = {}
        self.start_step = settings.start_step
        self.in_effect = InEffect(settings.numerics.settings() if settings.numerics else {})
        self._outputs = Indexer(settings.outputs)

    @property
    def numerics(self) -> NumericalSettings:
        """Numerical settings as requested, and as far as they are known to be in effect."""
        return self.in_effect.settings

    def specification(self) -> Specification:
        """Everything the user chose, with the configuration files as they are now."""
        self._texts = self._configuration.read()
        return specification(
            self.beginning.manifest,
            self.numerics,
            declarations=self._declarations,
            seeds=_facts({k: v for k, v in self._settings.seeds.items() if isinstance(v, int)}),
            configuration=self._configuration.facts(),
            captures={
                "one_in": self._settings.captures,
                "triggers": {t.name: t.facts() for t in self._settings.triggers},
            },
        )

    def declared(self, declarations: Mapping[str, Json]) -> None:
        """Take note of what is measured: it is known when the first sample is set up."""
        self._declarations = declarations

    def random(self) -> RandomState:
        """Seeds, and the state of the generators now."""
        return replace(
            capture_random(self._settings.seeds, self._generators), streams=self._streams
        )

    def transforms(self) -> TransformManifest | None:
        """What an analysis did to its data so far; None for a simulation."""
        return self._settings.profile.transforms()

    def configuration(self) -> tuple[Text, ...]:
        """The configuration files as the specification has them: as they were read for it."""
        return self._texts

    def artifacts(self, *, wait: bool) -> ArtifactIndex | None:
        """The index of the outputs that was last finished, and a new one started.

        Hashing goes on in a thread that the run does not wait for, unless `wait` says so; a
        checkpoint then carries the index that was ready when it was made.
        """
        return self._outputs.index(wait=wait)

    def surroundings(self) -> dict[str, Document]:
        """All facts of this node and process as they are now, and the whole list of packages."""
        known = self.beginning
        environment, circumstances = known.environment, known.circumstances
        packages = next((d for d in known.documents if isinstance(d, Packages)), None)
        if packages is None or time.monotonic() - self._begun > FRESH:
            mpi = environment.sections.get("mpi")
            environment, circumstances = capture_environment({"mpi": mpi} if mpi else {})
            packages = capture_packages()
        return {"environment": environment, "circumstances": circumstances, "packages": packages}


def _facts(values: Mapping[str, Any]) -> Facts:
    return {name: plain(value) for name, value in values.items()}
