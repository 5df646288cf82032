"""Which reference runs are runs of their own.

A reference shows natural spread only if it is another run than those compared and than the other
references. A copy, a file named twice, or a twin that repeats another bit for bit shows none: it
would narrow the band, or make the run under test its own witness.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..view import Ints, RunView, SeriesView
from ..where.steps import common_rows


def independent(
    compared: Sequence[RunView], references: Sequence[RunView]
) -> tuple[list[RunView], list[str]]:
    """The references that repeat no other run, and why the others are left out."""
    known = [
        ("the run under test" if number else "run A", run) for number, run in enumerate(compared)
    ]
    kept: list[RunView] = []
    left_out = []
    for run in references:
        twin = next((named for named, other in known if _repeats(run, other)), None)
        if twin is None:
            kept.append(run)
            known.append((f"reference {run.path}", run))
        else:
            left_out.append(f"{run.path} repeats {twin} and shows no spread")
    return kept, left_out


def _repeats(run: RunView, other: RunView) -> bool:
    if run.run_id == other.run_id:
        return True
    one, two = run.series(), other.series()
    rows = common_rows(one.step, two.step)
    if not len(rows[0]) or not _same_numbers(one, two, rows):
        return False
    return all(_same_state(run, other, name) for name in {*run.fields} & {*other.fields})


def _same_numbers(one: SeriesView, two: SeriesView, rows: tuple[Ints, Ints]) -> bool:
    return all(
        np.array_equal(one[name][rows[0]], two[name][rows[1]], equal_nan=True)
        for name in {*one} & {*two}
    )


def _same_state(run: RunView, other: RunView, field: str) -> bool:
    """Whether a field is the same at the last step that has its digests in both runs.

    What differed before and left no trace in any number is no spread either.
    """
    one, two = run.digests(field), other.digests(field)
    if one.tiles.edges != two.tiles.edges:
        return True
    rows = common_rows(one.step, two.step)
    if not len(rows[0]):
        return True
    i, j = int(rows[0][-1]), int(rows[1][-1])
    return bool(np.array_equal(one.rows(i, i + 1), two.rows(j, j + 1)))
