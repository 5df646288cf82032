"""Two stages of an analysis: whether they did the same to the same data, and where they diverge.

A stage has no samples; it has transforms, and datasets with ids. The transforms are paired in order
by what they do. The first one whose sources are the same and whose result is another is where two
stages part; what comes after follows from it.

Equal ids prove equal data only where an id follows from the contents. Ids that follow from how a
lazy dataset was made say nothing of its values, and equal ones leave the question open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from ..model.record import Record
from ..model.transform import Dataset, Transform, TransformManifest, schema_diff
from .causes import Explanation, explain_by_design
from .classify import Classification, Kind
from .differences import RecordedDifference
from .facts import last_transforms
from .run_view import RunView
from .verdict import Judgement

StageVerdict: TypeAlias = Literal["same", "different", "could-not-compare"]
Sameness: TypeAlias = Literal["same", "different", "unknown"]

MOST_TOLD = 6
"""Differences of a schema that are reported."""


class PairedTransform(Record, frozen=True, kw_only=True):
    """One transform of either stage, or of both: `a` and `b` are its numbers there, from 1.

    `sources` and `results` say whether the data before and after is the same; `differences` tell
    of the rule, the counts and the schema.
    """

    name: str
    a: int | None
    b: int | None
    sources: Sameness
    results: Sameness
    result_a: str = ""
    result_b: str = ""
    differences: tuple[str, ...] = ()


class StageComparison(Record, frozen=True, kw_only=True):
    """The transforms of two stages side by side; `first` is the index of the pair that diverges."""

    verdict: StageVerdict
    headline: str
    reasons: tuple[str, ...]
    transforms: tuple[PairedTransform, ...] = ()
    first: int | None = None


def compare_stages(a: RunView, b: RunView) -> StageComparison | None:
    """Compare what two stages did to their data; None if either is no stage."""
    one, two = last_transforms(a), last_transforms(b)
    if one is None or two is None:
        return None
    return compare_manifests(one, two)


def judge_stages(
    stages: StageComparison, differences: Sequence[RecordedDifference]
) -> tuple[Classification, Explanation, Judgement]:
    """Kind, causes and verdict of two stages that took no samples."""
    judgement = Judgement(stages.verdict, stages.headline, stages.reasons)
    if stages.verdict != "different":
        kind: Kind = "identical" if stages.verdict == "same" else "inconclusive"
        return Classification(kind=kind, confidence=1.0), Explanation(), judgement
    parts = ("transforms", "parameters", "configuration", "inputs", "upstream", "code")
    # What a transform left is what is to be explained.
    chosen = [d for d in differences if not d.path.endswith(".result")]
    explained = explain_by_design(chosen, parts, "It decides which data comes out.")
    return Classification(kind="data", confidence=1.0), explained, judgement


def compare_manifests(a: TransformManifest, b: TransformManifest) -> StageComparison:
    """The same of their manifests."""
    pairs = tuple(_pairs(a, b))
    compared = [p for p in pairs if p.a is not None and p.b is not None]
    differing = [i for i, p in enumerate(pairs) if _parts(p)]
    # A step that only follows from other data is not where two stages diverge.
    first = next((i for i in differing if pairs[i].sources != "different"), None)
    first = differing[0] if first is None and differing else first
    equal = sum(p.results == "same" for p in compared)
    reasons = [f"{equal} of {len(compared)} transforms that both made left the same data"]
    reasons += [f"the cohort is {a.cohort!r} in A and {b.cohort!r} in B"] * (a.cohort != b.cohort)
    reasons += [p for p in (a.problem, b.problem) if p]
    if first is not None:
        return StageComparison(
            verdict="different",
            headline=_headline(pairs[first]),
            reasons=tuple(reasons),
            transforms=pairs,
            first=first,
        )
    left_out = a.left_out or b.left_out
    unknown = [p for p in compared if p.results == "unknown"]
    if not compared or unknown or left_out or a.problem or b.problem:
        why = _open(compared, unknown, left_out)
        reasons.append(why)
        return StageComparison(
            verdict="could-not-compare",
            headline=f"Could not compare: {why}",
            reasons=tuple(reasons),
            transforms=pairs,
        )
    count = "transform" if len(compared) == 1 else "transforms"
    return StageComparison(
        verdict="same",
        headline=f"The same data after each of {len(compared)} {count}",
        reasons=tuple(reasons),
        transforms=pairs,
    )


def _pairs(a: TransformManifest, b: TransformManifest) -> Iterator[PairedTransform]:
    """Both stages' transforms in order, those that do the same side by side."""
    ones, twos = a.transforms, b.transforms
    match = SequenceMatcher(None, [_key(t) for t in ones], [_key(t) for t in twos], autojunk=False)
    for what, i, i_end, j, j_end in match.get_opcodes():
        if what == "equal":
            for one, two in zip(ones[i:i_end], twos[j:j_end], strict=True):
                yield _pair(one, a, two, b)
            continue
        yield from (_alone(t, a, "a") for t in ones[i:i_end])
        yield from (_alone(t, b, "b") for t in twos[j:j_end])


def _key(transform: Transform) -> tuple[str, str]:
    return transform.kind, transform.name


def _pair(
    one: Transform, a: TransformManifest, two: Transform, b: TransformManifest
) -> PairedTransform:
    sources = _same(_datasets(one.sources, a), _datasets(two.sources, b))
    after = _datasets(one.results, a), _datasets(two.results, b)
    texts = [
        f"{what} {x!r} against {y!r}"
        for what, x, y in (
            ("selection", one.selection, two.selection),
            ("function", one.function, two.function),
            ("parameters", one.parameters, two.parameters),
            ("failure", one.problem, two.problem),
        )
        if x != y
    ]
    for number, (x, y) in enumerate(zip(*after, strict=False), start=1):
        of = f" of result {number}" if max(map(len, after)) > 1 else ""
        changes = schema_diff(x.schema, y.schema)
        texts += [f"{c.column} {c.what}{of}: {c.old} against {c.new}" for c in changes[:MOST_TOLD]]
        if len(changes) > MOST_TOLD:
            texts.append(f"{len(changes) - MOST_TOLD} more differences of the schema{of}")
    return PairedTransform(
        name=one.name or one.kind,
        a=one.index + 1,
        b=two.index + 1,
        sources=sources,
        results=_same(*after),
        result_a=_sizes(after[0]),
        result_b=_sizes(after[1]),
        differences=tuple(texts),
    )


def _alone(
    transform: Transform, manifest: TransformManifest, side: Literal["a", "b"]
) -> PairedTransform:
    size = _sizes(_datasets(transform.results, manifest))
    return PairedTransform(
        name=transform.name or transform.kind,
        a=transform.index + 1 if side == "a" else None,
        b=transform.index + 1 if side == "b" else None,
        sources="unknown",
        results="unknown",
        result_a=size if side == "a" else "",
        result_b=size if side == "b" else "",
        differences=(f"only in {side.upper()}",),
    )


def _datasets(ids: Iterable[str], manifest: TransformManifest) -> list[Dataset]:
    by_id = {dataset.id: dataset for dataset in manifest.datasets}
    return [by_id[id_] for id_ in ids if id_ in by_id]


def _same(ones: list[Dataset], twos: list[Dataset]) -> Sameness:
    """Whether two lists of datasets hold the same data."""
    if len(ones) != len(twos):
        return "different"
    results = {_same_data(one, two) for one, two in zip(ones, twos, strict=True)}
    return "different" if "different" in results else "unknown" if "unknown" in results else "same"


def _same_data(one: Dataset, two: Dataset) -> Sameness:
    by_content = one.identified == two.identified == "content"
    # An id belongs to one library and one number of parts: else only sizes and schemas compare.
    if by_content and (one.library, one.parts) == (two.library, two.parts):
        return "same" if one.id == two.id else "different"
    sizes = (one.rows, one.dims), (two.rows, two.dims)
    return "different" if sizes[0] != sizes[1] and all(map(any, sizes)) else "unknown"


def _parts(pair: PairedTransform) -> bool:
    alone = pair.a is None or pair.b is None
    return alone or pair.results == "different"


def _sizes(datasets: Iterable[Dataset]) -> str:
    return "; ".join(_size(dataset) for dataset in datasets)


def _size(dataset: Dataset) -> str:
    spread = f" on {dataset.parts} ranks" if dataset.parts > 1 else ""
    if dataset.rows is not None:
        columns = "" if dataset.columns is None else f" x {dataset.columns}"
        return f"{dataset.rows} row{'' if dataset.rows == 1 else 's'}{columns}{spread}"
    dims = ", ".join(f"{name} {n}" for name, n in dataset.dims.items())
    return f"{dims}{spread}" if dims else "of unknown size"


def _headline(pair: PairedTransform) -> str:
    if pair.b is None:
        return f"Transform {pair.a} {pair.name!r} is only in A"
    if pair.a is None:
        return f"Transform {pair.b} {pair.name!r} is only in B"
    number = str(pair.a) if pair.a == pair.b else f"{pair.a} (in B {pair.b})"
    if pair.sources == "different" or not pair.differences:
        sizes = f"{pair.result_a} against {pair.result_b}"
        if pair.sources == "same":
            return f"Transform {number} {pair.name!r} left other data of the same: {sizes}"
        return f"The data differs from transform {number} {pair.name!r} on: {sizes}"
    return f"The stages diverge at transform {number} {pair.name!r}: {pair.differences[0]}"


def _open(compared: list[PairedTransform], unknown: list[PairedTransform], left_out: int) -> str:
    if not compared:
        return "no transform is in both stages"
    if unknown:
        names = ", ".join(repr(p.name) for p in unknown[:3])
        return f"the contents of what {names} left were not hashed on both sides"
    if left_out:
        return f"{left_out} transforms past the limit were not kept"
    return "not all of the data is described"
