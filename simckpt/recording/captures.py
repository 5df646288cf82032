"""The facts behind a checkpoint's parts, gathered once and kept current on rank 0.

What can change during a run (random state, effective settings, outputs, configuration files)
is read again at each checkpoint; the rest is captured when the segment begins.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle.contents import content_hashes
from ..capture.artifacts import index_artifacts
from ..capture.configuration import capture_configuration
from ..capture.environment import capture_environment
from ..capture.manifest import capture_manifest
from ..capture.packages import capture_packages
from ..capture.rng import capture_random
from ..capture.scheduler import scheduler_facts
from ..capture.specification import specification
from ..capture.values import plain
from ..model.manifest import Packages
from ..model.numerics import NumericalSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.artifact import ArtifactIndex
    from ..model.changes import Specification
    from ..model.environment import Circumstances, Environment
    from ..model.manifest import Manifest, RandomState, Text
    from ..model.record import Document, Facts, Hash, Json
    from ..model.transform import TransformManifest
    from .settings import RunSettings


SETTLED = 2.0
"""Seconds for which an output has not changed before it is hashed while the run goes on."""

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
    driver: str,
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
        stage=settings.stage,
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
    """

    def __init__(self, settings: RunSettings, beginning: Beginning) -> None:
        self._settings = settings
        self.beginning = beginning
        self._begun = time.monotonic()
        self.intent = settings.intent
        self._declarations: Mapping[str, Json] = {}
        self.start_step = settings.start_step
        requested = settings.numerics.settings() if settings.numerics else {}
        self.numerics = NumericalSettings(requested=_facts(requested))
        self._indexer = ThreadPoolExecutor(1, thread_name_prefix="simckpt-index")
        self._index: Future[ArtifactIndex] | None = None
        self._indexed: ArtifactIndex | None = None

    def effective(self, settings: Facts) -> dict[str, tuple[Any, Any]]:
        """Take note of settings in effect; the fall-backs that are new: (requested, effective)."""
        known = self.numerics.fallbacks()
        self.numerics = NumericalSettings(
            requested=self.numerics.requested,
            effective=self.numerics.effective | _facts(settings),
        )
        return {k: v for k, v in self.numerics.fallbacks().items() if known.get(k) != v}

    def specification(self) -> Specification:
        """Everything the user chose."""
        return specification(
            self.beginning.manifest,
            self.numerics,
            declarations=self._declarations,
            seeds=_facts({k: v for k, v in self._settings.seeds.items() if isinstance(v, int)}),
        )

    def declared(self, declarations: Mapping[str, Json]) -> None:
        """Take note of what is measured: it is known when the first sample is set up."""
        self._declarations = declarations

    def random(self) -> RandomState:
        """Seeds, and the state of the generators now."""
        return capture_random(self._settings.seeds)

    def transforms(self) -> TransformManifest | None:
        """What an analysis did to its data so far; None for a simulation."""
        return self._settings.profile.transforms()

    def configuration(self) -> tuple[Text, ...]:
        """The configuration files as they are now."""
        return capture_configuration(self._settings.config)

    def artifacts(self, *, wait: bool) -> ArtifactIndex | None:
        """The index of the outputs that was last finished, and a new one started.

        Hashing goes on in a thread that the run does not wait for, unless `wait` says so; a
        checkpoint then carries the index that was ready when it was made.
        """
        if not self._settings.outputs:
            return None
        if self._index is not None and (wait or self._index.done()):
            self._indexed = self._index.result()
            self._index = None
        if self._index is None:
            self._index = self._indexer.submit(
                index_artifacts,
                self._settings.outputs,
                Path.cwd(),
                content_hashes,
                settled=0.0 if wait else SETTLED,
                previous=self._indexed,
            )
        return self._index.result() if wait else self._indexed

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

    def close(self) -> None:
        """Stop indexing."""
        self._indexer.shutdown(wait=False, cancel_futures=True)


def _facts(values: Mapping[str, Any]) -> Facts:
    return {name: plain(value) for name, value in values.items()}
