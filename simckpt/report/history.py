"""What `simckpt log` tells: job attempts, checkpoints and events in the order they happened."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..compare.kind.restart import Restart
from ..compare.view import RunView
from ..compare.why.facts import ending
from ..model.record import Facts, Json, Record
from .job_table import job_table
from .jobs import Attempt
from .page import section, table
from .restarts import restart_section
from .text import clean, moment, plural, short_hash, styled

STYLES = {"warning": "yellow", "error": "red"}


class Entry(Record, frozen=True, kw_only=True):
    """One line of a run's history; `facts` holds what `text` leaves out."""

    what: str
    wall: float
    step: int
    text: str
    severity: str = "note"
    facts: Facts = {}


class History(Record, frozen=True, kw_only=True):
    """The history of one run, in order of wall time.

    `jobs` are its attempts, `continuation` is the command that continues it, if it can be, and
    `restarts` says what its later segments repeat of the earlier ones.
    """

    path: str
    run_id: str
    entries: tuple[Entry, ...]
    jobs: tuple[Attempt, ...] = ()
    continuation: str = ""
    restarts: tuple[Restart, ...] = ()


def history(
    run: RunView,
    jobs: tuple[Attempt, ...] = (),
    continuation: str = "",
    restarts: tuple[Restart, ...] = (),
) -> History:
    """Put segments, checkpoints and events in order."""
    entries: list[Entry] = []
    for view in run.segments:
        segment, end = view.segment, view.end
        origin = f", resumed from {view.resumed_from[:12]}" if view.resumed_from else ""
        hosts = ", ".join(node.host for node in segment.nodes[:4])
        entries.append(
            Entry(
                what="segment",
                wall=segment.started,
                step=view.start_step,
                text=f"segment {segment.index} begins on {plural(segment.ranks, 'rank')}"
                + (f" of {hosts}" if hosts else "")
                + origin,
                facts=dict(segment.scheduler),
            )
        )
        if end is not None:
            why = f": {end.why}" if end.why else ""
            entries.append(
                Entry(
                    what="segment",
                    wall=end.ended,
                    step=end.step,
                    text=f"segment {segment.index} ends, {ending(view)}{why}",
                    severity="note" if end.ending == "finished" else "warning",
                )
            )
    for checkpoint in run.checkpoints:
        why = f" ({checkpoint.why})" if checkpoint.why else ""
        facts: dict[str, Json] = {"id": checkpoint.id, "parents": list(checkpoint.parents)}
        entries.append(
            Entry(
                what="checkpoint",
                wall=checkpoint.wall,
                step=checkpoint.step,
                text=f"{checkpoint.id[:12]}  {checkpoint.label or checkpoint.reason}{why}",
                facts=facts | {"reason": checkpoint.reason, "label": checkpoint.label},
            )
        )
    entries += [
        Entry(
            what="event",
            wall=e.wall,
            step=e.step,
            text=f"{e.name}: {e.text}",
            severity=e.severity,
            facts=dict(e.facts),
        )
        for e in run.events
    ]
    # What a checkpoint confirms comes before it, and the end of a segment after all of it.
    order = {"event": 1, "checkpoint": 2}
    entries.sort(key=lambda e: (e.wall, order.get(e.what, 3 if " ends" in e.text else 0)))
    return History(
        path=str(run.path),
        run_id=run.run_id,
        entries=tuple(entries),
        jobs=jobs,
        continuation=continuation,
        restarts=restarts,
    )


def history_report(told: History, most: int = 0) -> Group:
    """The page that `simckpt log` prints; with `most`, the last so many entries."""
    entries = told.entries[-most:] if most else told.entries
    out = table("when", "step>", "what", "")
    for entry in entries:
        style = STYLES.get(entry.severity, "")
        row = (moment(entry.wall), str(entry.step), entry.what)
        out.add_row(*row, styled(entry.text, style, longest=200))
    parts: list[RenderableType] = [Text.assemble(styled(told.path, "bold"))]
    left = len(told.entries) - len(entries)
    if left:
        parts.append(Text(f"... {left:,} entries before these", style="dim"))
    parts.append(section(f"Run {clean(short_hash(told.run_id))}", out))
    parts.append(job_table(told.jobs))
    parts.append(restart_section(told.restarts))
    return Group(*parts)
