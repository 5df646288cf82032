"""Calls a user's accessors with the arguments of the function they describe.

``grid=lambda sim: ...`` describes ``advance(sim, dt)``: an accessor gets as many of the
positional arguments as it accepts, so that the common one that needs only the first is short.
"""

from __future__ import annotations

import inspect
import math
import numbers
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Accessor:
    """A value, or a callable that finds it among a call's arguments.

    Parameters
    ----------
    name : str
        The argument of `simckpt.step` that it was given as.
    source : object
        The value itself, or a callable of at most as many arguments as the described function.
    """

    name: str
    source: Any
    needs: int = field(init=False)
    accepts: int = field(init=False)

    def __post_init__(self) -> None:
        needs, accepts = _arity(self.name, self.source)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(self, "accepts", accepts)

    def __call__(self, arguments: Arguments) -> Any:
        if not callable(self.source):
            return self.source
        if self.needs > len(arguments):
            raise SetupError(
                self.name,
                self.source,
                f"takes {self.needs} arguments, and the step was called with {len(arguments)}",
                mend="Use the positional arguments of the decorated function.",
            )
        return self.source(*arguments[: self.accepts])


def _arity(name: str, source: Any) -> tuple[int, int]:
    """The fewest and the most positional arguments of `source`; nothing for a plain value."""
    if not callable(source):
        return 0, 0
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature: give it the state alone
        return 0, 1
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise SetupError(name, source, "has a keyword-only argument without a default")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needs = sum(p.default is p.empty for p in positional)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return needs, sys.maxsize
    return needs, len(positional)


def returns_early(function: Any) -> str:
    """Why a call of `function` returns before it has done its work; empty if it does not."""
    for is_it, what in (
        (inspect.iscoroutinefunction, "is a coroutine"),
        (inspect.isasyncgenfunction, "is an asynchronous generator"),
        (inspect.isgeneratorfunction, "is a generator"),
    ):
        if is_it(function) or is_it(type(function).__call__):
            return what
    return ""


def named_number(
    names: tuple[str, ...], bound: Mapping[str, Any], arguments: Arguments
) -> float | None:
    """The first number called one of `names`: an argument, or an attribute of the first one."""
    for name in names:
        if _number(bound.get(name)):
            return float(bound[name])
    for name in names:
        value = getattr(arguments[0], name, None) if arguments else None
        if _number(value):
            return float(value)  # type: ignore[arg-type]
    return None


def _number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Real) and not math.isnan(value)
