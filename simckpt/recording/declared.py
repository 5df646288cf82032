"""What a specification says of the diagnostics, which are known once the first sample is set up.

A checkpoint that is made before has nothing of them. That they are known afterwards is no change
of the specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.changes import Specification
    from ..model.record import Facts

_KEY = "declarations"


def declared_in(specification: Specification) -> Facts:
    """The declarations in `specification`; empty where they were not known yet."""
    found = specification.facts.get(_KEY)
    return found if isinstance(found, dict) else {}


def comparable(old: Specification, new: Specification) -> tuple[Facts, Facts]:
    """The facts of both, without the declarations where one side does not know them yet."""
    if declared_in(old) and declared_in(new):
        return old.facts, new.facts
    first, second = (
        {key: value for key, value in side.facts.items() if key != _KEY} for side in (old, new)
    )
    return first, second
