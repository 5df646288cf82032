"""The transforms of many ranks as those of one stage.

Every rank looks at the data that it holds. Data that all ranks hold alike has one id, and stays
what it is. Data of which each rank holds a part has as many rows as the parts together, and an id
that follows from theirs in the order of ranks: it is the same for the same data on as many ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ..model.record import content_hash
from ..model.transform import Dataset, PartOfDataset, StagePart, Transform, TransformManifest


def part_of(dataset: Dataset) -> PartOfDataset:
    """What a rank tells of a dataset."""
    return dataset.id, dataset.rows, dataset.dims


def merged(own: TransformManifest, parts: Sequence[StagePart | None]) -> TransformManifest:
    """Rank 0's manifest with the data of all ranks in it; pure.

    Where the ranks did not do the same transforms, it is rank 0's alone and says so.
    """
    told = [part if part is not None else StagePart() for part in parts]
    own = replace(own, ranks=len(told))
    steps = {tuple(kind for kind, _ in part.transforms) for part in told}
    shapes = {tuple(len(data) for _, data in part.transforms) for part in told}
    if len(steps) != 1 or len(shapes) != 1:
        problem = "the ranks did not make the same transforms: these are rank 0's"
        return replace(own, problem=problem)
    known = {dataset.id: dataset for dataset in own.datasets}
    datasets: dict[str, Dataset] = {}
    transforms: list[Transform] = []
    kept = own.transforms[: len(told[0].transforms)]
    for number, step in enumerate(kept):
        across = [part.transforms[number][1] for part in told]
        ids = [*step.sources, *step.results]
        whole = [_whole(known[id_], [data[at] for data in across]) for at, id_ in enumerate(ids)]
        for dataset in whole:
            datasets.setdefault(dataset.id, dataset)
        new = [dataset.id for dataset in whole]
        sources = len(step.sources)
        transforms.append(replace(step, sources=tuple(new[:sources]), results=tuple(new[sources:])))
    return replace(
        own,
        datasets=tuple(datasets.values()),
        transforms=tuple(transforms),
        left_out=own.left_out + len(own.transforms) - len(kept),
    )


def _whole(dataset: Dataset, parts: Sequence[PartOfDataset]) -> Dataset:
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
