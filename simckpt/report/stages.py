"""Two stages side by side: each transform, the data it left in either, and what differs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.stages import PairedTransform, StageComparison, Standing
from .page import more, section, table
from .text import clean, styled

MOST_TRANSFORMS = 20

WORDS: dict[Standing, str] = {"same": "same", "different": "DIFFERENT", "unknown": "?"}
STYLES: dict[Standing, str] = {"same": "green", "different": "red", "unknown": "yellow"}


def stages_section(found: StageComparison | None) -> RenderableType:
    """A row for each transform; nothing for runs that are no stages."""
    if found is None or not found.transforms:
        return Group()
    out = table("", "A", "B", "data", "what differs")
    # Where two stages part must be among what is shown.
    start = max(0, (found.first or 0) - MOST_TRANSFORMS // 2)
    shown = found.transforms[start : start + MOST_TRANSFORMS]
    for pair in shown:
        out.add_row(
            styled(_name(pair), longest=28),
            styled(pair.result_a or "-", longest=24),
            styled(pair.result_b or "-", longest=24),
            Text(WORDS[pair.results], style=STYLES[pair.results]),
            Text("\n".join(clean(text) for text in pair.differences[:4])),
        )
    parts: list[RenderableType] = [out]
    if len(found.transforms) > len(shown):
        parts.append(more(len(found.transforms), len(shown), "transforms"))
    return section("Transforms", *parts)


def _name(pair: PairedTransform) -> str:
    return f"{pair.a or pair.b} {pair.name}"
