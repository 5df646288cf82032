"""Differences between two trees of facts, as (path, old, new), and why they were made."""

from __future__ import annotations

from bisect import bisect_left

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


def flatten(tree: Json, prefix: str = "") -> list[tuple[str, Json]]:
    """The leaves of a tree of dicts and lists as ``("a.b[0].c", value)``, in sorted order."""
    leaves: list[tuple[str, Json]] = []
    stack = [(prefix, tree)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value:
            keys = sorted(value, reverse=True)
            stack += [(f"{path}.{key}" if path else str(key), value[key]) for key in keys]
        elif isinstance(value, list | tuple) and value:
            stack += [(f"{path}[{i}]", value[i]) for i in range(len(value) - 1, -1, -1)]
        else:
            leaves.append((path, value))
    return leaves


def diff(old: Json, new: Json) -> tuple[Change, ...]:
    """The paths at which two trees differ, sorted. NaN is equal to NaN here.

    Where an empty dict or list was filled, or one was emptied, what is in it is the change.
    """
    before, after = dict(flatten(old)), dict(flatten(new))
    a, b = _without_filled(before, after), _without_filled(after, before)
    changes = []
    for path in sorted(a.keys() | b.keys()):
        one, two = a.get(path, ABSENT), b.get(path, ABSENT)
        # 1 and True, or 1 and 1.0, are different settings although they compare equal.
        both_nan = one != one and two != two
        if type(one) is not type(two) or (one != two and not both_nan):
            changes.append(Change(path=path, old=one, new=two))
    return tuple(changes)


def _without_filled(leaves: Facts, other: Facts) -> Facts:
    """`leaves` without the empty dicts and lists that hold something on the other side."""
    paths: list[str] = []
    filled = set()
    for path, value in leaves.items():
        if path in other or not isinstance(value, dict | list | tuple):
            continue
        paths = paths or sorted(other)
        for start in (f"{path}.", f"{path}[") if path else ("",):
            at = bisect_left(paths, start)
            if at < len(paths) and paths[at].startswith(start):
                filled.add(path)
    if not filled:
        return leaves
    return {path: value for path, value in leaves.items() if path not in filled}
