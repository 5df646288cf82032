"""Which parts of two specifications can be compared.

The diagnostics are known once the first sample is set up, and a checkpoint that is made before has
nothing of them. That they are known afterwards is no change of the specification. Neither are the
triggers and the configuration files, where one of the two was written by a simckpt that did not
record them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...model.changes import Specification
    from ...model.record import Facts

_KEY = "declarations"
_LATER = (_KEY, "captures")
_SINCE = ("configuration",)


def declared_in(specification: Specification) -> Facts:
    """The declarations in `specification`; empty where they were not known yet."""
    return _part(specification.facts, _KEY)


def alike(old: Specification, new: Specification) -> bool:
    """Whether two specifications are of one program: then what differs was changed.

    They have the same role in their chains, and modules of the user's own in common. A driver
    whose file alone has another name has the same arguments.
    """
    one, other = old.facts, new.facts
    if _part(one, "stage").get("role") != _part(other, "stage").get("role"):
        return False
    code = _part(one, "code"), _part(other, "code")
    if code[0].keys() & code[1].keys():
        return True
    same = one.get("driver") == other.get("driver")
    arguments = _part(one, "parameters").keys() & _part(other, "parameters").keys()
    return same and bool(arguments or not (code[0] and code[1]))


def comparable(old: Specification, new: Specification) -> tuple[Facts, Facts]:
    """The facts of both, without the parts that one side does not know."""
    unknown = {key for key in _LATER if not (old.facts.get(key) and new.facts.get(key))}
    unknown |= {key for key in _SINCE if not (key in old.facts and key in new.facts)}
    first, second = (
        {key: value for key, value in side.facts.items() if key not in unknown}
        for side in (old, new)
    )
    return first, second


def _part(facts: Facts, name: str) -> Facts:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}
