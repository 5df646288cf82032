"""Numbers of the whole run that the driver reports: a time step, a multiplier, a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

from ...model.series import Column
from .quantity import Answers, Context, Quantity
from .shares import ABSENT, Here, Share, ShareRequest


@dataclass(frozen=True)
class Scalar:
    """A number that is the same on all ranks: what ``run.scalar(name, value)`` was given last.

    One rank may report it, or several; NaN where none did since the last sample, and NaN with
    a fault of the sample where they do not report the same.
    """

    def text(self) -> str:
        return "number that the driver reports"

    def plan(self, name: str, context: Context) -> Quantity:
        def give(here: Here) -> Share:
            value = here.state.reported.scalars.get(name)
            if value is None:
                return Share(counts=(0, 0), maxima=(ABSENT, ABSENT))
            if isnan(value):
                return Share(counts=(1, 1), maxima=(ABSENT, ABSENT))
            return Share(counts=(1, 0), maxima=(value, -value))

        def problem(answers: Answers) -> str:
            reported, missing = answers.shared.counts
            high, low = answers.shared.maxima[0], -answers.shared.maxima[1]
            if 0 < missing < reported:
                return f"scalar {name} is NaN on {missing} of the {reported} ranks that report it"
            if missing < reported and low != high:
                return f"scalar {name} differs between ranks: {low!r} to {high!r}"
            return ""

        return Quantity(
            name,
            (Column(name=name, kind="scalar", exact=False, note="as the driver reports it"),),
            _agreed,
            share=ShareRequest(give, counts=2, maxima=2),
            problem=problem,
        )


def _agreed(answers: Answers) -> tuple[float, ...]:
    reported, missing = answers.shared.counts
    high, negated = answers.shared.maxima
    return (high + 0.0 if reported and not missing and high == -negated else nan,)
