"""What a stage records beyond the common parts: its transforms, kept in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..capture.secrets.redaction import redact_text
from ..capture.values import clean_text
from ..model.transform import Dataset, StagePart, Transform, TransformManifest
from .ranks import merged, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_TRANSFORMS = 1_000
"""Transforms of which a stage keeps all; a loop over members may make more."""

MOST_TOLD = 100
"""Transforms that each rank tells the others of when the stage ends."""


class AnalysisProfile:
    """The transforms of one stage on this rank; safe to use from several threads.

    Parameters
    ----------
    cohort : str
        What the stage as a whole is about.
    """

    def __init__(self, cohort: str = "") -> None:
        self._cohort = redact_text(clean_text(cohort))
        self._datasets: dict[str, Dataset] = {}
        self._transforms: list[Transform] = []
        self._left_out = 0
        self._lock = threading.Lock()
        self._parts: tuple[StagePart | None, ...] | None = None
        self.ranks = 1
        """Ranks of the stage."""

    def transforms(self) -> TransformManifest:
        """The manifest so far; that of all ranks once they have parted."""
        with self._lock:
            own = TransformManifest(
                cohort=self._cohort,
                datasets=tuple(self._datasets.values()),
                transforms=tuple(self._transforms),
                left_out=self._left_out,
                ranks=self.ranks,
            )
        if self.ranks == 1:
            return own
        if self._parts is None:
            return replace(own, problem=f"these are rank 0's parts of data on {self.ranks} ranks")
        return merged(own, self._parts)

    def parting(self) -> StagePart | None:
        """What this rank did, for the others; None on the only one."""
        if self.ranks == 1:
            return None
        with self._lock:
            made = self._transforms[:MOST_TOLD]
            left_out = self._left_out + len(self._transforms) - len(made)
            return StagePart(
                transforms=tuple(
                    (
                        step.kind,
                        tuple(
                            part_of(self._datasets[id_]) for id_ in (*step.sources, *step.results)
                        ),
                    )
                    for step in made
                ),
                left_out=left_out,
            )

    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Take in what all ranks did, in the order of ranks."""
        self._parts = parts

    def add(self, made: Transform, sources: Iterable[Dataset], results: Iterable[Dataset]) -> None:
        """Keep a transform that is complete, as the next in order."""
        before, after = tuple(sources), tuple(results)
        with self._lock:
            if len(self._transforms) >= MOST_TRANSFORMS:
                self._left_out += 1
                return
            for dataset in (*before, *after):
                # The first look at a dataset tells where it came from.
                self._datasets.setdefault(dataset.id, dataset)
            self._transforms.append(
                replace(
                    made,
                    index=len(self._transforms),
                    sources=tuple(d.id for d in before),
                    results=tuple(d.id for d in after),
                )
            )


def profile_of(settings: Any) -> AnalysisProfile | None:
    """The profile of a run's settings if the run is a stage."""
    found = settings.profile
    return found if isinstance(found, AnalysisProfile) else None
