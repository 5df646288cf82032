"""A user's own number from the arrays of each rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Any, Literal, get_args

import numpy as np

from ...errors import SetupError
from ...model.series import Column
from ..domain.components import Components
from .exact_sum import exact_term
from .quantity import Answers, Context, Quantity
from .shares import ABSENT, Here, Share, ShareRequest

Combine = Literal["sum", "max", "min"]


@dataclass(frozen=True)
class Custom:
    """A number that a callable makes of the fields of each rank, put together over the ranks.

    Parameters
    ----------
    function : callable
        Gets the mapping of this rank's fields, as the driver gives them (ghost layers included;
        empty where a rank holds no cells), and returns its partial result, a number, or None
        where it has nothing to say. What it raises, `SystemExit` included, marks the sample on
        this rank and makes the value NaN; the run goes on. `KeyboardInterrupt` goes through.

        NumPy's arrays are read-only views, and so is their ``base``. That keeps a function from
        writing by mistake; one that means to can always reach the memory. Arrays of other
        libraries are handed over as they are.
    combine : {"sum", "max", "min"}
        How the partial results are put together. They are added exactly and rounded once, so the
        order of the ranks does not matter.
    exact : bool
        Whether the result does not depend on how the cells are shared out among the ranks. A
        rounded sum over the cells of a rank does, an extremum over them does not.

    Examples
    --------
    >>> Custom(max, "max").text()
    'max over the ranks of builtins.max'
    """

    function: Callable[[Mapping[str, Any]], float | None] = field(compare=False)
    combine: Combine = "sum"
    exact: bool = False
    _name: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SetupError(
                "Custom.function",
                self.function,
                "is not callable",
                mend="Give a function of the mapping of fields.",
            )
        if self.combine not in get_args(Combine):
            raise SetupError(
                "Custom.combine", self.combine, "is not a choice", choices=get_args(Combine)
            )
        # Declarations are compared, and recorded: by the function's name, not its address.
        named = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        home = getattr(self.function, "__module__", None) or type(self.function).__module__
        object.__setattr__(self, "_name", f"{home}.{named}")

    def text(self) -> str:
        exact = "exact " if self.exact else ""
        return f"{exact}{self.combine} over the ranks of {self._name}"

    def plan(self, name: str, context: Context) -> Quantity:
        note = self.text()
        if not self.exact:
            note += "; partial results may depend on the decomposition"
        column = Column(name=name, kind="custom", of=self._name, exact=self.exact, note=note)
        if self.combine == "sum":
            share = ShareRequest(self._summand, sums=1)
            return Quantity(name, (column,), _only_sum, share=share)
        sign = 1.0 if self.combine == "max" else -1.0

        def give(here: Here) -> Share:
            value = self._partial(here)
            if value is None or isnan(value):
                return Share(counts=(int(value is not None), 0), maxima=(ABSENT,))
            return Share(counts=(0, 1), maxima=(sign * value,))

        def finish(answers: Answers) -> tuple[float, ...]:
            missing, given = answers.shared.counts
            return (nan if missing or not given else sign * answers.shared.maxima[0] + 0.0,)

        share = ShareRequest(give, counts=2, maxima=1)
        return Quantity(name, (column,), finish, share=share)

    def _partial(self, here: Here) -> float | None:
        fields = {name: _guarded(value) for name, value in here.state.fields.items()}
        try:
            value = self.function(fields)
        except SystemExit as error:
            # What is measured never ends a simulation.
            raise RuntimeError(f"{self._name} raised SystemExit({error.code!r})") from error
        return None if value is None else float(value)

    def _summand(self, here: Here) -> Share:
        return Share(sums=(exact_term(self._partial(here) or 0.0),))


def _only_sum(answers: Answers) -> tuple[float, ...]:
    return (answers.shared.sums[0].rounded,)


def _guarded(value: Any) -> Any:
    """A field as a view that cannot be written through; a list of boxes one by one."""
    if isinstance(value, np.ndarray):
        return _read_only(value)
    if isinstance(value, Components):
        return replace(value, array=_guarded(value.array))
    if isinstance(value, list | tuple):
        return [_guarded(part) for part in value]
    return value


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if type(array) is np.ndarray:
        # The base of such a view is a buffer that is read-only, where that of a plain one would
        # be the driver's array.
        with suppress(BufferError, ValueError, TypeError, NotImplementedError):
            return np.asarray(array.data.toreadonly())
    view = array.view()
    view.flags.writeable = False
    return view
