"""The chain of jobs behind a run as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from .jobs import Attempt
from .page import section, table
from .text import clean, duration, short_hash, styled


def job_table(chain: Sequence[Attempt]) -> RenderableType:
    """How each attempt of a run ended; nothing for a run that finished at its first, by itself."""
    if not any(a.job or a.ending != "finished" for a in chain):
        return Group()
    accounted = any(a.state for a in chain)
    heads = ("job", "on", "from>", "to step>", "ended", "last checkpoint")
    out = table(*heads, *(("time>", "memory>") if accounted else ()))
    for attempt in chain:
        row: list[str | Text] = [
            _number(attempt),
            _nodes(attempt),
            str(attempt.start_step),
            str(attempt.step),
            styled(attempt.reason, "" if attempt.ending == "finished" else "yellow"),
            f"{short_hash(attempt.checkpoint)} at {attempt.checkpoint_step}"
            if attempt.checkpoint
            else "none",
        ]
        if accounted:
            row += [
                "-" if attempt.elapsed is None else duration(attempt.elapsed),
                "-" if attempt.max_rss is None else f"{attempt.max_rss / 2**20:,.0f} MiB",
            ]
        out.add_row(*row)
    parts: list[RenderableType] = [section("Jobs", out)]
    last = chain[-1]
    if last.why and last.ending != "finished":
        parts.append(section("Said at the end", styled(last.why, longest=400)))
    return Group(*parts)


def _number(attempt: Attempt) -> str:
    again = f", restart {attempt.restarts}" if attempt.restarts else ""
    return clean(attempt.job) + again if attempt.job else "-"


def _nodes(attempt: Attempt) -> str:
    names = ", ".join(clean(node) for node in attempt.nodes[:3])
    return names + (f" +{len(attempt.nodes) - 3}" if len(attempt.nodes) > 3 else "")
