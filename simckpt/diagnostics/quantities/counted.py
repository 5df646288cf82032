"""Counts that the driver reports: limiter and floor hits, rejected steps."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.series import Column
from .quantity import Answers, Context, Quantity
from .shares import Here, Share, ShareRequest


@dataclass(frozen=True)
class Count:
    """How often something happened since the last sample, added up over the ranks.

    The driver says so by ``run.count(name, n)`` on the ranks where it happens.
    """

    def text(self) -> str:
        return "count that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(here: Here) -> Share:
            return Share(counts=(here.state.reported.counts.get(name, 0),))

        note = "reported since the last sample, all ranks together"
        return Quantity(
            name,
            (Column(name=name, kind="count", exact=False, note=note),),
            _only_count,
            share=ShareRequest(give, counts=1),
        )


def _only_count(answers: Answers) -> tuple[float, ...]:
    return (float(answers.shared.counts[0]),)
