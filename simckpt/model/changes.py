"""Differences between two trees of facts, as (path, old, new), and why they were made."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from .record import Document, Facts, Hash, Json, Record

ABSENT = "(absent)"
"""Stands for the value of a path that one side does not have."""


class Change(Record, frozen=True, kw_only=True):
    """One path whose value differs. A path that one side lacks has the value ``"(absent)"``."""

    path: str
    old: Json
    new: Json


class Specification(Document, tag="specification", frozen=True, kw_only=True):
    """Everything that the user chose about a run: what a spec diff compares.

    `facts` holds ``parameters``, ``numerics``, ``configuration`` (file to its settings, or to the
    hash of its text), ``inputs`` (path to hash), ``code`` (module to hash), ``seeds`` and
    ``declarations``; nothing of the machine.
    """

    facts: Facts


class UpstreamDiff(Record, frozen=True, kw_only=True):
    """What changed since one upstream checkpoint."""

    upstream: Hash
    changes: tuple[Change, ...] = ()


class SpecDiff(Document, tag="spec_diff", frozen=True, kw_only=True):
    """What changed in the specification since the last checkpoint and the upstream ones.

    Parameters
    ----------
    changes : tuple of Change
        Since the last checkpoint of the run.
    since_upstream : tuple of Change
        Since the checkpoint `upstream`: the first of those the run starts from whose
        specification is at hand and is that of the same program.
    further : tuple of UpstreamDiff
        Since the other ones of the same program.
    unlike : tuple of Hash
        Upstream checkpoints of other programs: nothing was changed there.
    why : str
        The reason for the changes.
    """

    since: Hash | None = None
    changes: tuple[Change, ...] = ()
    since_upstream: tuple[Change, ...] = ()
    why: str = ""
    upstream: Hash | None = None
    further: tuple[UpstreamDiff, ...] = ()
    unlike: tuple[Hash, ...] = ()


def flatten(tree: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    """The leaves of a tree of dicts and lists as ``("a.b[0].c", value)``, in sorted order."""
    if isinstance(tree, dict) and tree:
        for key in sorted(tree):
            yield from flatten(tree[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list | tuple) and tree:
        for i, item in enumerate(tree):
            yield from flatten(item, f"{prefix}[{i}]")
    else:
        yield prefix, tree


def diff(old: Json, new: Json) -> tuple[Change, ...]:
    """The paths at which two trees differ, sorted. NaN is equal to NaN here.

    Where an empty dict or list was filled, or one was emptied, what is in it is the change.
    """
    a, b = dict(flatten(old)), dict(flatten(new))
    a, b = _without_filled(a, b), _without_filled(b, a)
    return tuple(
        Change(path=path, old=a.get(path, ABSENT), new=b.get(path, ABSENT))
        for path in sorted(a.keys() | b.keys())
        if not _same(a.get(path, ABSENT), b.get(path, ABSENT))
    )


def _without_filled(leaves: Facts, other: Facts) -> Facts:
    """`leaves` without the empty dicts and lists that hold something on the other side."""
    known = sorted(other)

    def filled(path: str, value: Json) -> bool:
        if path in other or not isinstance(value, dict | list | tuple):
            return False
        begins = (f"{path}.", f"{path}[") if path else ("",)
        places = ((bisect_left(known, b), b) for b in begins)
        return any(at < len(known) and known[at].startswith(b) for at, b in places)

    return {path: value for path, value in leaves.items() if not filled(path, value)}


def _same(a: Json, b: Json) -> bool:
    # 1 and True, or 1 and 1.0, are different settings although they compare equal.
    return type(a) is type(b) and (a == b or (a != a and b != b))
