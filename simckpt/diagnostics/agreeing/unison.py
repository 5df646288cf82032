"""Whether all ranks were asked for the same: a message means something only if they were.

The order of declarations is that of rank 0. A set of names has another one in every process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any

from ...errors import SetupError
from .offer import Facts, PartOffer

ROUNDOFF = 1e-9
"""Relative difference of widths that are meant to be the same."""

MOST_RANKS = 8
"""Ranks that an error names one by one."""


def check_unison(asked: Sequence[Facts], settings: Sequence[Mapping[str, str]]) -> None:
    """Raise where ranks declare something else, or under other settings, than rank 0.

    Parameters
    ----------
    asked : sequence of mapping
        Each rank's declarations.
    settings : sequence of mapping
        Each rank's other arguments that must be the same, such as ``every``.

    Raises
    ------
    SetupError
        Naming the first declaration that differs, what the ranks say, and which they are.
    """
    for argument, texts in _arguments(asked, settings):
        first = texts[0]
        others = [rank for rank, text in enumerate(texts) if text != first]
        if not others:
            continue
        there = texts[others[0]]
        alike = [rank for rank in others if texts[rank] == there]
        if first is None or there is None:
            without = [rank for rank, text in enumerate(texts) if text is None]
            having = [rank for rank, text in enumerate(texts) if text is not None]
            problem = f"is declared on {_named(having)}, and not on {_named(without)}"
        else:
            problem = f"is what {_named(alike)} declares, and rank 0 {first!r}"
        raise SetupError(
            argument,
            there if there is not None else first,
            problem,
            mend="Give the same arguments on every rank.",
        )


def same_width(one: float, other: float) -> bool:
    """Whether two widths are the same but for roundoff."""
    return isclose(one, other, rel_tol=ROUNDOFF)


def check_widths(parts: Sequence[tuple[int, PartOffer]]) -> None:
    """Raise where a level's cells are said to have one width along an axis, and another one.

    Ranks may have worked the width out each for itself: what roundoff explains is let pass.
    """
    first: dict[int, tuple[int, PartOffer]] = {}
    for rank, part in parts:
        other, known = first.setdefault(part.level, (rank, part))
        for axis, (there, here) in enumerate(zip(known.widths, part.widths, strict=True)):
            numbers = known.numbers[axis] and part.numbers[axis]
            if not numbers or here is None or there is None or same_width(here, there):
                continue
            raise SetupError(
                f"Grid.spacing[{axis}]",
                here,
                f"on rank {rank} is not what rank {other} says, {there!r}",
                mend="Where widths vary along an axis, give an array of them.",
            )


def in_order(given: Mapping[str, Any], order: Mapping[str, str]) -> dict[str, Any]:
    """The entries of `given` in the order of `order`, which has the same names."""
    return {name: given[name] for name in order}


def _arguments(
    asked: Sequence[Facts], settings: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, list[str | None]]]:
    """What each rank says of each argument that any rank was given."""
    for group in dict.fromkeys(group for facts in asked for group in facts):
        here = [facts.get(group, {}) for facts in asked]
        for name in dict.fromkeys(name for texts in here for name in texts):
            yield f"{group}[{name!r}]", [texts.get(name) for texts in here]
    for name in dict.fromkeys(name for texts in settings for name in texts):
        yield name, [texts.get(name) for texts in settings]


def _named(ranks: Sequence[int]) -> str:
    shown = ", ".join(map(str, ranks[:MOST_RANKS]))
    if len(ranks) > MOST_RANKS:
        shown += f" and {len(ranks) - MOST_RANKS} more"
    return f"rank {shown}" if len(ranks) == 1 else f"ranks {shown}"
