"""The groups of declarations: which diagnostics each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import SetupError
from .expressions import parse
from .quantities.angular_momentum import AngularMomentum
from .quantities.budget import Budget
from .quantities.conserved import Conserved
from .quantities.courant import CFL
from .quantities.custom import Custom
from .quantities.growth import Growth
from .quantities.limits import Diffusion, Frequency
from .quantities.norm import Norm
from .quantities.quantity import Diagnostic
from .quantities.stencils import Divergence, TotalVariation

KINDS: Mapping[str, tuple[type, ...]] = {
    "conserved": (Conserved, AngularMomentum),
    "budget": (Budget,),
    "stability": (CFL, Diffusion, Frequency, Divergence, TotalVariation, Growth),
    "norms": (Norm,),
    "custom": (Custom,),
}
"""The classes of which a group takes values, in the words of `Declarations`."""

_OF_TEXT: Mapping[str, Callable[[str], Diagnostic]] = {"conserved": Conserved, "budget": Budget}
"""Groups in which an expression alone says it all."""

_OPEN = frozenset({"stability", "norms"})
"""Groups that take a diagnostic of a user's own making too."""

_EXAMPLES: Mapping[str, str] = {
    "conserved": "'rho'",
    "budget": "'rho'",
    "stability": "CFL('abs(u) + c', 'abs(v) + c')",
    "norms": "Norm('rho', 'L2')",
    "custom": "Custom(function, combine='sum')",
}


def read_diagnostic(group: str, name: str, value: object, argument: str) -> Diagnostic:
    """`value`, or what its text stands for, as a diagnostic of `group` that is called `name`.

    Raises
    ------
    SetupError
        If it is of no kind that the group takes; it names where it belongs.
    """
    if isinstance(value, KINDS[group]):
        return value  # type: ignore[return-value]
    if group in _OF_TEXT and isinstance(value, str):
        return _OF_TEXT[group](parse(value, argument).text)
    home = _home(value)
    if not home and group in _OPEN and _is_diagnostic(value):
        return value  # type: ignore[return-value]
    choices = [kind.__name__ for kind in KINDS[group]]
    if group in _OF_TEXT:
        choices.append("the text of an expression")
    mend = f"Write {group}={{{name!r}: {_example(group, value)}}}."
    problem = f"is not what {group}= takes" if len(choices) > 1 else f"is not a {choices[0]}"
    if home:
        kind = type(value).__name__
        problem = f"is a {kind}, which belongs in {home}="
        mend = f"Write {home}={{{name!r}: {kind}(...)}}."
    elif isinstance(value, type) and any(value in kinds for kinds in KINDS.values()):
        problem = "is the class and not one of its values"
        mend = f"Write {value.__name__}(...), with what it is of in the brackets."
    raise SetupError(argument, value, problem, choices=choices, mend=mend)


def _home(value: object) -> str:
    """The group that `value` belongs in; empty if it is of no kind that is known."""
    return next((group for group, kinds in KINDS.items() if isinstance(value, kinds)), "")


def _is_diagnostic(value: object) -> bool:
    made = not isinstance(value, type)
    return made and all(callable(getattr(value, method, None)) for method in ("plan", "text"))


def _example(group: str, value: object) -> str:
    if group == "norms" and isinstance(value, str):
        try:
            return f"Norm({parse(value).text!r}, 'L2')"
        except SetupError:
            pass
    return _EXAMPLES[group]
