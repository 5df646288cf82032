"""`simckpt.analysis.stage`: around a step of an analysis, as `simckpt.run` is around a driver."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from msgspec.structs import replace

from ..capture.redaction import redact_text
from ..capture.values import clean_text
from ..errors import SetupError
from ..model.documents import Stage
from ..model.record import content_hash
from ..model.transform import Dataset, PartOfDataset, StagePart, Transform, TransformManifest
from ..recording.run import Run
from ..recording.settings import RunArguments, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

# The transforms of many ranks as those of one stage.
#
# Every rank looks at the data that it holds. Data that all ranks hold alike has one id, and stays
# what it is. Data of which each rank holds a part has as many rows as the parts together, and an id
# that follows from theirs in the order of ranks: it is the same for the same data on as many ranks.


def part_of(dataset: Dataset) -> PartOfDataset:
    """What a rank tells of a dataset."""
    return dataset.id, dataset.rows, dataset.dims


def merge_ranks(own: TransformManifest, parts: Sequence[StagePart | None]) -> TransformManifest:
    """Rank 0's manifest with the data of all ranks in it; pure.

    Where the ranks did not do the same transforms, it is rank 0's alone and says so.
    """
    rank_parts = [part if part is not None else StagePart() for part in parts]
    own = replace(own, ranks=len(rank_parts))
    steps = {tuple(kind for kind, _ in part.transforms) for part in rank_parts}
    shapes = {tuple(len(data) for _, data in part.transforms) for part in rank_parts}
    if len(steps) != 1 or len(shapes) != 1:
        problem = "the ranks did not make the same transforms: these are rank 0's"
        return replace(own, problem=problem)
    datasets_by_id = {dataset.id: dataset for dataset in own.datasets}
    datasets: dict[str, Dataset] = {}
    transforms: list[Transform] = []
    common = own.transforms[: len(rank_parts[0].transforms)]
    for number, step in enumerate(common):
        across = [part.transforms[number][1] for part in rank_parts]
        ids = [*step.sources, *step.results]
        all_ranks = [
            _on_all_ranks(datasets_by_id[id_], [data[at] for data in across])
            for at, id_ in enumerate(ids)
        ]
        for dataset in all_ranks:
            datasets.setdefault(dataset.id, dataset)
        new = [dataset.id for dataset in all_ranks]
        sources = len(step.sources)
        transforms.append(replace(step, sources=tuple(new[:sources]), results=tuple(new[sources:])))
    return replace(
        own,
        datasets=tuple(datasets.values()),
        transforms=tuple(transforms),
        left_out=own.left_out + len(own.transforms) - len(common),
    )


def _on_all_ranks(dataset: Dataset, parts: Sequence[PartOfDataset]) -> Dataset:
    ids = [id_ for id_, _, _ in parts]
    if len(set(ids)) == 1:
        return dataset
    rows = [n for _, n, _ in parts if n is not None]
    lengths = [dims for _, _, dims in parts]
    return replace(
        dataset,
        id=content_hash({"parts": ids}),
        rows=sum(rows) if len(rows) == len(parts) else None,
        dims={name: max(dims.get(name, 0) for dims in lengths) for name in dataset.dims},
        parts=len(parts),
    )


# What a stage records beyond the common parts: its transforms, kept in order.


MOST_TRANSFORMS = 1_000
"""Transforms of which a stage keeps all; a loop over members may make more."""

MOST_SHARED = 100
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
        return merge_ranks(own, self._parts)

    def rank_part(self) -> StagePart | None:
        """What this rank did, for the others; None on the only one."""
        if self.ranks == 1:
            return None
        with self._lock:
            transforms = self._transforms[:MOST_SHARED]
            left_out = self._left_out + len(self._transforms) - len(transforms)
            return StagePart(
                transforms=tuple(
                    (
                        step.kind,
                        tuple(
                            part_of(self._datasets[id_]) for id_ in (*step.sources, *step.results)
                        ),
                    )
                    for step in transforms
                ),
                left_out=left_out,
            )

    def gather(self, parts: tuple[StagePart | None, ...]) -> None:
        """Take in what all ranks did, in the order of ranks."""
        self._parts = parts

    def add(
        self, transform: Transform, sources: Iterable[Dataset], results: Iterable[Dataset]
    ) -> None:
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
                    transform,
                    index=len(self._transforms),
                    sources=tuple(d.id for d in before),
                    results=tuple(d.id for d in after),
                )
            )


def profile_of(settings: Any) -> AnalysisProfile | None:
    """The profile of a run's settings if the run is a stage."""
    profile = settings.profile
    return profile if isinstance(profile, AnalysisProfile) else None


F = TypeVar("F", bound=Callable[..., Any])

ROLE = "analysis"


@overload
def stage(bundle: F) -> F: ...
@overload
def stage(
    bundle: str | os.PathLike[str] | None = None,
    *,
    name: str = "",
    cohort: str = "",
    comm: object = None,
    **settings: Unpack[RunArguments],
) -> Run: ...
def stage(
    bundle: Any = None,
    *,
    name: str = "",
    cohort: str = "",
    comm: object = None,
    **settings: Any,
) -> Any:
    """Record a step of an analysis: a decorator around a function, or a context manager.

    What is recorded is what a simulation records (manifest, spec diff, environment, intent,
    index of the outputs) and the ordered manifest of the transforms that happen inside; see
    `simckpt.analysis.transform`.

    Parameters
    ----------
    bundle : str or path
        Where the bundle goes; ``{name}`` is replaced by a parameter of the function. By default
        the function's name, in the working directory.
    name : str
        The name of this step in a chain, such as ``"growth rates"``.
    cohort : str
        What the stage as a whole is about: which runs, which members, which times.
    **settings
        The arguments of `simckpt.run`. ``upstream=`` names the bundles whose output is
        analysed, so that a figure leads back to the run; ``inputs=`` and ``outputs=`` are
        hashed.

    Returns
    -------
    simckpt.recording.run.Run
        A decorator and context manager.

    Raises
    ------
    SetupError, BundleError
        As `simckpt.run`.

    Examples
    --------
    ::

        @simckpt.analysis.stage(
            "growth.simckpt.h5",
            upstream=["kh.simckpt.h5"],
            inputs=["kh.nc"],
            outputs=["growth.png"],
        )
        def growth(source="kh.nc"): ...
    """
    if callable(bundle):
        return stage()(bundle)
    if "stage" in settings:
        raise SetupError(
            "stage",
            settings["stage"],
            "is no argument of analysis.stage",
            mend="Write name=, and cohort= for what the stage is about.",
        )
    if "profile" in settings:
        raise SetupError("profile", settings["profile"], "is no argument of analysis.stage")
    if not isinstance(cohort, str):
        raise SetupError("cohort", cohort, "is not a text")
    request = RunRequest(
        bundle=bundle,
        stage=Stage(name=name, role=ROLE),
        profile=partial(AnalysisProfile, cohort),
        whole_world=comm is None,
        **settings,
    )
    return Run(request, comm)
