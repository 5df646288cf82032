"""What a box lacks that a diagnostic was promised at the first sample: boxes may change since."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..expressions import Tree
    from ..local import Part


def lacking(tree: Tree, part: Part, single: frozenset[int], *, masked: bool) -> str:
    """Why `tree` cannot be had of this box; empty if it can.

    `single` are the levels of which a box is the only one, and `masked` says that the tree minds
    masks.
    """
    kind, *rest = tree
    if kind == "even_width" and not isinstance(part.widths[rest[0]], float):
        return f"the cells along axis {rest[0]} were of one width in the first sample"
    if kind == "width_beside" and part.widths_around[rest[0]] is None:
        return f"the widths of the cells beside the box along axis {rest[0]} are not known"
    if kind == "shifted":
        return _ghosts(part, *rest[1:]) or _mask(part, single, masked=masked)
    found = (lacking(t, part, single, masked=masked) for t in rest if isinstance(t, tuple))
    return next(filter(None, found), "")


def _ghosts(part: Part, axis: int, offset: int) -> str:
    low, high = part.ghost[axis]
    if (high if offset > 0 else low) >= abs(offset):
        return ""
    return f"a box has no ghost layer on both sides of axis {axis}, as it had in the first sample"


def _mask(part: Part, single: frozenset[int], *, masked: bool) -> str:
    if part.where is None:
        return ""
    if not masked:
        return "there was no mask in the first sample; give one from the start"
    if part.where_around is None and part.space not in single:
        return "Grid.where does not tell which ghost cells count, and these belong to other boxes"
    return ""
