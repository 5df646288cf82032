"""Counts that the driver reports: limiter and floor hits, rejected steps."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.series import Column
from .quantity import Answers, Context, Quantity
from .shares import Here, Share, ShareRequest

HALF = 2**32
"""Counts travel as two halves: many ranks' together then never pass the 64 bits of a word."""


@dataclass(frozen=True)
class Count:
    """How often something happened since the last sample, added up over the ranks.

    The driver says so by ``run.count(name, n)`` on the ranks where it happens. Up to 2**64 - 1 of
    them may come on a rank between two samples: a count that would pass that is refused, and is an
    event. The column is the float64 nearest to the whole number.
    """

    def text(self) -> str:
        return "count that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(here: Here) -> Share:
            return Share(counts=divmod(here.state.reported.counts.get(name, 0), HALF))

        note = "reported since the last sample, all ranks together"
        return Quantity(
            name,
            (Column(name=name, kind="count", exact=False, note=note),),
            _only_count,
            share=ShareRequest(give, counts=2),
        )


def _only_count(answers: Answers) -> tuple[float, ...]:
    high, low = answers.shared.counts
    return (float(high * HALF + low),)
