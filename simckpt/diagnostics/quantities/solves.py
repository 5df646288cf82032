"""Residual histories of linear and non-linear solves, as the driver reports them."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

from ...model.series import Column, ColumnKind
from .quantity import Answers, Context, Quantity
from .reported import Solves
from .shares import ABSENT, Here, Share, ShareRequest

NONE = Solves()

_COLUMNS: tuple[tuple[str, ColumnKind, str], ...] = (
    ("iterations", "count", "iterations of the solves since the last sample"),
    ("initial", "residual", "largest residual before one of these solves"),
    ("final", "residual", "largest residual after one of these solves"),
    ("solves", "count", "solves since the last sample"),
)


@dataclass(frozen=True)
class Residual:
    """What the solves since the last sample took, and how far they came.

    The driver says after each solve ``run.residual(name, iterations=, initial=, final=)``. A
    solve belongs to all ranks, so that each of them may report it, or one alone: of every column
    the largest over the ranks counts. A negative number of iterations is refused.

    ====================  ===================================================================
    ``NAME.iterations``   iterations of all these solves
    ``NAME.initial``      the largest residual before a solve; NaN where none was made
    ``NAME.final``        the largest residual after a solve; NaN where none was made
    ``NAME.solves``       the number of solves
    ====================  ===================================================================
    """

    def text(self) -> str:
        return "solves that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(here: Here) -> Share:
            made = here.state.reported.solves.get(name, NONE)
            if not made.solves:
                return Share(counts=(0, 0), maxima=(ABSENT,) * 4)
            residuals = made.initial, made.final
            return Share(
                counts=tuple(int(isnan(r)) for r in residuals),
                maxima=(
                    float(made.iterations),
                    float(made.solves),
                    *(ABSENT if isnan(r) else r for r in residuals),
                ),
            )

        return Quantity(
            name,
            tuple(
                Column(name=f"{name}.{what}", kind=kind, exact=False, note=note)
                for what, kind, note in _COLUMNS
            ),
            _columns,
            share=ShareRequest(give, counts=2, maxima=4),
        )


def _columns(answers: Answers) -> tuple[float, ...]:
    iterations, solves, *residuals = answers.shared.maxima
    initial, final = (
        nan if missing or value == ABSENT else value
        for missing, value in zip(answers.shared.counts, residuals, strict=True)
    )
    return (max(iterations, 0.0), initial, final, max(solves, 0.0))
