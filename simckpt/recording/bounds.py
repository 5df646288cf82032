"""Bounds that a user declares, such as ``mass drift > 1e-12``: their grammar, and their test.

bound     = quantity [measure] ( ">" | ">=" | "<" | "<=" ) number
quantity  = a column of the samples: mass, courant, rho.min, rho.nan
measure   = "drift" | "change" | "growth"
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

from ..diagnostics.arguments import real_number
from ..diagnostics.expressions import normal_form
from ..errors import SetupError
from .anomaly import magnitude
from .trigger_engine import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..diagnostics.probe import Reading
    from ..model.series import SeriesSchema

Measure = Literal["value", "drift", "change", "growth"]
Relation = Literal[">", ">=", "<", "<="]

_RELATIONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_MEASURES = tuple(m for m in get_args(Measure) if m != "value")
_FORM = "quantity [drift | change | growth] > number"
_GRAMMAR = re.compile(
    r"\s*(?P<quantity>[^\W\d]\w*(?:\.\w+)*)"
    r"(?:\s+(?P<measure>[a-z]+))?"
    r"\s*(?P<relation>>=|<=|>|<)"
    r"\s*(?P<limit>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Bound:
    """A limit that a quantity is not meant to pass; it says what is wrong, not what is right.

    Parameters
    ----------
    quantity : str
        A column of the samples: a name that was declared, or ``"rho.min"``, ``"rho.max"``.
    relation : {">", ">=", "<", "<="}
        How the quantity stands to the limit where the bound is broken.
    limit : float
        Finite; in the unit of the measure.
    measure : {"value", "drift", "change", "growth"}
        What of the quantity: itself; its distance from the run's first sample, relative to its
        scale (`drift`) or as it is (`change`), neither with a sign; or the growth rate
        ``d ln|q| / dt`` from one sample to the next, per unit of simulated time.

    Raises
    ------
    SetupError
        If the limit is not a finite number, or a relation or measure is unknown.

    Examples
    --------
    >>> Bound.parse("mass drift > 1e-12")
    Bound(quantity='mass', relation='>', limit=1e-12, measure='drift')
    """

    quantity: str
    relation: Relation
    limit: float
    measure: Measure = "value"

    def __post_init__(self) -> None:
        if self.relation not in _RELATIONS:
            raise SetupError(
                "Bound.relation", self.relation, "is not a relation", choices=_RELATIONS
            )
        if self.measure not in get_args(Measure):
            raise SetupError(
                "Bound.measure", self.measure, "is not a measure", choices=get_args(Measure)
            )
        number = real_number(self.limit)
        if number is None or not math.isfinite(number):
            raise SetupError("Bound.limit", self.limit, "is not a finite number")
        object.__setattr__(self, "limit", number)
        object.__setattr__(self, "quantity", normal_form(self.quantity))

    @classmethod
    def parse(cls, text: str, argument: str = "bound") -> Self:
        """The bound that a text stands for; `argument` is what it was given as.

        Raises
        ------
        SetupError
            If the text is not of the form ``quantity [measure] > number``.
        """
        match = _GRAMMAR.fullmatch(text)
        if match is None:
            raise SetupError(
                argument, text, "is not a bound", mend=f"Write {_FORM}: 'mass drift > 1e-12'."
            )
        if match["measure"] not in (None, *_MEASURES):
            raise SetupError(
                argument, text, f"{match['measure']!r} is not a measure", choices=_MEASURES
            )
        measure: Measure = match["measure"] or "value"  # type: ignore[assignment]
        return cls(match["quantity"], match["relation"], float(match["limit"]), measure)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.subject} {self.relation} {self.limit:g}"

    @property
    def subject(self) -> str:
        """What is compared with the limit, in words."""
        return self.quantity if self.measure == "value" else f"{self.quantity} {self.measure}"

    @property
    def since_first(self) -> bool:
        """Whether the quantity is compared with the run's first sample."""
        return self.measure in ("drift", "change")

    def broken_by(self, value: float) -> bool:
        """Whether `value`, in the bound's measure, is past the limit; NaN is not."""
        return bool(_RELATIONS[self.relation](value, self.limit))

    def check(self, schema: SeriesSchema, argument: str) -> None:
        """SetupError if samples of `schema` do not have the quantity."""
        names = [column.name for column in schema.columns]
        if self.quantity not in names:
            raise SetupError(
                argument,
                str(self),
                f"{self.quantity!r} is not a quantity of the samples",
                choices=names,
            )


class BoundRule:
    """A bound at work.

    Parameters
    ----------
    bound : Bound
        The bound.
    schema : SeriesSchema
        What the samples mean.
    first : mapping of str to float
        The run's first values, where an earlier job attempt took them.
    """

    def __init__(self, bound: Bound, schema: SeriesSchema, first: Mapping[str, float]) -> None:
        self._bound = bound
        self._measure = _measure(bound, schema, first)

    def look(self, reading: Reading) -> Finding | None:
        value = self._measure.of(reading)
        if not self._bound.broken_by(value):
            return None
        return Finding(
            f"{self._bound.subject} is {value:.4g}, past the bound "
            f"{self._bound.relation} {self._bound.limit:g}",
            {self._bound.subject: value, "limit": self._bound.limit},
        )


class _Value:
    def __init__(self, name: str) -> None:
        self._name = name

    def of(self, reading: Reading) -> float:
        return reading[self._name]


class _Change:
    """The distance from the first finite value."""

    def __init__(self, name: str, first: Mapping[str, float]) -> None:
        self._name = name
        self._first = first.get(name, math.nan)

    def of(self, reading: Reading) -> float:
        value = reading[self._name]
        if not math.isfinite(value):
            return math.nan
        if not math.isfinite(self._first):
            self._first = value
        return abs(value - self._first)


class _Drift:
    """The same relative to the quantity's scale, the largest that was seen."""

    def __init__(self, bound: Bound, schema: SeriesSchema, first: Mapping[str, float]) -> None:
        self._bound = bound
        self._schema = schema
        self._change = _Change(bound.quantity, first)
        self._scale = 0.0

    def of(self, reading: Reading) -> float:
        distance = self._change.of(reading)
        # A scale takes longer than a sample's other work: it is asked for where it may matter.
        if self._scale == 0 or self._bound.broken_by(distance / self._scale):
            now = magnitude(self._bound.quantity, reading, self._schema)
            self._scale = max(self._scale, now)
        if distance == 0:
            return 0.0
        return distance / self._scale if self._scale > 0 else math.nan


class _Growth:
    def __init__(self, name: str) -> None:
        self._name = name
        self._before: tuple[float, float] = (math.nan, math.nan)

    def of(self, reading: Reading) -> float:
        (t, size), self._before = self._before, (reading.t, abs(reading[self._name]))
        now, larger = self._before
        if not (now > t and size > 0 and larger > 0 and math.isfinite(larger)):
            return math.nan
        return math.log(larger / size) / (now - t)


def _measure(
    bound: Bound, schema: SeriesSchema, first: Mapping[str, float]
) -> _Value | _Change | _Drift | _Growth:
    if bound.measure == "drift":
        return _Drift(bound, schema, first)
    if bound.measure == "change":
        return _Change(bound.quantity, first)
    return _Growth(bound.quantity) if bound.measure == "growth" else _Value(bound.quantity)
