"""What the driver reports between two samples, on this rank."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...diagnostics.quantities.exact_sum import ExactSum
    from ...diagnostics.quantities.reported import Reported, Solves


class Reports:
    """Adds up reports until a sample takes them.

    Each method raises TypeError or ValueError for what is no number; the report then is as if it
    had not been made.
    """

    def __init__(self) -> None:
        self._amounts: dict[str, ExactSum] = {}
        self._counts: dict[str, int] = {}
        self._solves: dict[str, Solves] = {}
        self._scalars: dict[str, float] = {}

    def account(self, name: str, amount: float) -> None:
        """Add what has come in; exact."""
        from ...diagnostics.quantities.exact_sum import exact_term

        term = exact_term(float(amount))
        if not term.finite:
            # Nothing could be told of the budget ever after.
            raise ValueError(f"an amount of {amount} is not finite: it is not counted")
        name = _normal(name)
        known = self._amounts.get(name)
        self._amounts[name] = term if known is None else known + term

    def count(self, name: str, n: int) -> None:
        """Add how often something happened."""
        from ...diagnostics.quantities.reported import counted

        name = _normal(name)
        self._counts[name] = counted(self._counts.get(name, 0), index(n), "a count")

    def residual(self, name: str, iterations: int, initial: float, final: float) -> None:
        """Add one solve."""
        from ...diagnostics.quantities.reported import Solves, counted

        name = _normal(name)
        known = self._solves.get(name)
        counted(known.iterations if known else 0, index(iterations), "a number of iterations")
        solve = Solves(1, index(iterations), float(initial), float(final))
        self._solves[name] = solve if known is None else known + solve

    def scalar(self, name: str, value: float) -> None:
        """Keep the value that was reported last."""
        self._scalars[_normal(name)] = float(value)

    def take(self) -> Reported:
        """What was reported since this was last asked."""
        from ...diagnostics.quantities.reported import Reported

        reported = Reported(self._amounts, self._counts, self._solves, self._scalars)
        self._amounts, self._counts, self._solves, self._scalars = {}, {}, {}, {}
        return reported

    def give_back(self, reported: Reported) -> None:
        """Keep what a sample took and could not send, for the next one."""
        later = self.take()
        self._amounts = _joined(reported.amounts, later.amounts)
        self._counts = _joined(reported.counts, later.counts)
        self._solves = _joined(reported.solves, later.solves)
        self._scalars = {**reported.scalars, **later.scalars}


def _normal(name: str) -> str:
    # Names are declared in this form.
    from ...diagnostics.expressions import normal_form

    return normal_form(name)


def _joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(earlier)
    for name, value in later.items():
        joined[name] = joined[name] + value if name in joined else value
    return joined
