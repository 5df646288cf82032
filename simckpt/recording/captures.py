"""The facts behind a checkpoint's parts, gathered once and kept current on rank 0.

What can change during a run (random state, effective settings, outputs, configuration files)
is read again at each checkpoint; the rest is captured when the segment begins.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..bundle.contents import content_hashes
from ..capture.environment import capture_environment
from ..capture.files.configuration import ConfigurationFiles
from ..capture.jobs.scheduler import scheduler_facts
from ..capture.manifest import capture_manifest
from ..capture.probes import attempt
from ..capture.rng import capture_random, generators_in
from ..capture.source.packages import capture_packages
from ..capture.specification import specification
from ..capture.values import plain
from ..model.manifest import Packages
from .disclosed import meant, placed
from .in_effect import InEffect
from .indexing import Indexer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.artifact import ArtifactIndex
    from ..model.changes import Specification
    from ..model.environment import Circumstances, Environment
    from ..model.manifest import Manifest, RandomState, Text
    from ..model.numerics import NumericalSettings
    from ..model.record import Document, Facts, Hash, Json
    from ..model.transform import TransformManifest
    from .settings import RunSettings

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
        stage=placed(settings.stage),
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
        self.intent = meant(settings.intent) if settings.intent else None
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
