"""Limits that a user declares as bounds, such as ``drift(mass) > 1e-12``, and their test."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from ..diagnostics.arguments import real_number
from ..diagnostics.expressions import RELATIONS, Language, normal_form, parse
from ..errors import SetupError
from .sample_checks import magnitudes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.series import SeriesSchema

Measure = Literal["value", "drift", "change", "growth"]
Relation = Literal[">", ">=", "<", "<="]

_MEASURES: Mapping[str, Measure] = {"drift": "drift", "change": "change", "growth": "growth"}
_LANGUAGE = Language(
    "a bound",
    "drift(mass) > 1e-12",
    dict.fromkeys(_MEASURES, 1),
    ("columns of the samples", "> >= < <=", "numbers"),
    conditions=True,
)
_MEASURE_LAST = re.compile(rf"\s*(\S+)\s+({'|'.join(_MEASURES)})\s*([<>]=?.*)", re.DOTALL)


@dataclass(frozen=True)
class Bound:
    """A limit that a quantity is not meant to pass; it says what is wrong, not what is right.

    Parameters
    ----------
    quantity : str
        A column of the samples: a name that was declared, or ``"rho.min"``, ``"rho.max"``.
    relation : {">", ">=", "<", "<="}
        How the quantity compares with the limit where the bound is broken.
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
    >>> Bound.parse("drift(mass) > 1e-12")
    Bound(quantity='mass', relation='>', limit=1e-12, measure='drift')
    """

    quantity: str
    relation: Relation
    limit: float
    measure: Measure = "value"

    def __post_init__(self) -> None:
        for name, choices in (("relation", get_args(Relation)), ("measure", get_args(Measure))):
            value = getattr(self, name)
            if value not in choices:
                raise SetupError(f"Bound.{name}", value, f"is not a {name}", choices=choices)
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
            If the text is not of the form ``quantity > number`` or ``drift(quantity) > number``.
        """
        if old := _MEASURE_LAST.fullmatch(text):
            problem = f"has the measure {old[2]!r} after the quantity"
            raise SetupError(argument, text, problem, mend=f"Write {old[2]}({old[1]}) {old[3]}.")
        match parse(text, argument, _LANGUAGE).tree:
            case (">" | ">=" | "<" | "<=" as relation, term, ("number", limit)):
                quantity = term[1] if term[0] == "field" else term[1][1]
                return cls(quantity, relation, limit, _MEASURES.get(term[0], "value"))
        mend = "Compare one quantity with a number: drift(mass) > 1e-12, or rho.min < 0."
        raise SetupError(argument, text, "is not a bound", mend=mend)

    def __str__(self) -> str:
        return f"{self.subject} {self.relation} {self.limit:g}"

    @property
    def subject(self) -> str:
        """What is compared with the limit, as it is written."""
        return self.quantity if self.measure == "value" else f"{self.measure}({self.quantity})"

    @property
    def since_first(self) -> bool:
        """Whether the quantity is compared with the run's first sample."""
        return self.measure in ("drift", "change")

    def broken_by(self, value: float) -> bool:
        """Whether `value`, in the bound's measure, is past the limit; NaN is not."""
        return bool(RELATIONS[self.relation](value, self.limit))

    def check(self, schema: SeriesSchema, argument: str) -> None:
        """SetupError if samples of `schema` do not have the quantity."""
        names = [column.name for column in schema.columns]
        if self.quantity not in names:
            problem = f"{self.quantity!r} is not a quantity of the samples"
            raise SetupError(argument, str(self), problem, choices=names)


class BoundRule:
    """Tests a bound at each sample.

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
        self._schema = schema
        self._first = first.get(bound.quantity, math.nan)
        self._scale = 0.0
        self._previous = (math.nan, math.nan)
        self._measure: Callable[[ReducedSample], float] = {
            "value": self._value,
            "drift": self._drift,
            "change": self._change,
            "growth": self._growth,
        }[bound.measure]

    def check(self, sample: ReducedSample) -> tuple[str, dict[str, Any]] | None:
        """Why `sample` breaks the bound, in words and values; None if it does not."""
        value = self._measure(sample)
        if not self._bound.broken_by(value):
            return None
        bound = self._bound
        reason = f"{bound.subject} is {value:.4g}, past the bound {bound.relation} {bound.limit:g}"
        return reason, {bound.subject: value, "limit": bound.limit}

    def _value(self, sample: ReducedSample) -> float:
        return sample[self._bound.quantity]

    def _change(self, sample: ReducedSample) -> float:
        """The distance from the first finite value."""
        value = sample[self._bound.quantity]
        if not math.isfinite(value):
            return math.nan
        if not math.isfinite(self._first):
            self._first = value
        return abs(value - self._first)

    def _drift(self, sample: ReducedSample) -> float:
        """The same relative to the quantity's scale, the largest so far."""
        distance = self._change(sample)
        # A scale takes longer than a sample's other work: computed only where it may matter.
        if self._scale == 0 or self._bound.broken_by(distance / self._scale):
            scale = magnitudes(sample, self._schema)[self._bound.quantity]
            self._scale = max(self._scale, scale)
        if distance == 0:
            return 0.0
        return distance / self._scale if self._scale > 0 else math.nan

    def _growth(self, sample: ReducedSample) -> float:
        t, size = self._previous
        now, larger = self._previous = sample.t, abs(sample[self._bound.quantity])
        if not (now > t and size > 0 and larger > 0 and math.isfinite(larger)):
            return math.nan
        return math.log(larger / size) / (now - t)
