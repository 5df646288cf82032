"""What is told of a run's restarts: a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType

from ..compare.kind.restart import Restart
from .page import section
from .text import clean, plural, styled

MOST_NAMES = 6


def restart_section(found: Sequence[Restart]) -> RenderableType:
    """A section with a line for each restart; nothing for a run that was never restarted."""
    if not found:
        return Group()
    lines = [styled(restart_text(r), "yellow" if r.verdict == "differs" else "") for r in found]
    return section("Restart reproducibility", *lines)


def restart_text(found: Restart) -> str:
    """One restart in a sentence."""
    who = f"segment {found.segment}, from step {found.start_step}"
    if found.verdict == "no-overlap":
        return f"{who}: repeats no sample of those before it, so there is nothing to compare"
    segments = ", ".join(map(str, found.repeats))
    steps = (
        f"step {found.first_step}"
        if found.first_step == found.last_step
        else f"steps {found.first_step} to {found.last_step}"
    )
    many = "s" if len(found.repeats) > 1 else ""
    what = f"{plural(found.samples, 'sample')} of segment{many} {segments} repeated, {steps}"
    if found.verdict == "bit-for-bit":
        return f"{who}: {what}, bit for bit the same"
    names = [
        *found.fields,
        *(q for q in found.quantities if q.partition(".")[0] not in found.fields),
    ]
    shown = ", ".join(clean(n) for n in names[:MOST_NAMES])
    shown += f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    tiles = f", {found.tiles} of {found.of} tiles" if found.of else ""
    if found.in_state:
        meaning = "the state that was read is not the one that was sampled"
    elif found.first_step == found.start_step:
        meaning = "the state that was read is the same, so the restart lacks what a step needs"
    else:
        meaning = f"nothing tells of the state at step {found.start_step}"
    return f"{who}: {what}; DIFFERENT from step {found.parts_at} on ({shown}{tiles}): {meaning}"
