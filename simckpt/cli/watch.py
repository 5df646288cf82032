"""`simckpt watch BUNDLE`: follow a run that is going on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep, time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..report.status import RunStatus

ENDED = {"finished": 0}
"""Status by ending; any other ending is 1."""


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between updates.",
)
@click.option("--once", is_flag=True, help="Look once.")
@click.option("--json", "as_json", is_flag=True, help="Look once and print it as JSON.")
@click.pass_context
def watch(ctx: click.Context, /, bundle: str, interval: float, once: bool, as_json: bool) -> None:
    """Follow a run: progress, drifts, Courant number, events. Ctrl-C ends it.

    Reads the journal that the run writes, and leaves the run alone. Ends when the run does, or its
    process is gone (which can be told on the host that it runs on), with 0 if it finished and 1 if
    not.
    """
    from ..report.status import watch_news, watch_report
    from ..report.text import page, show, show_json

    if once or as_json:
        now = look(bundle)
        if as_json:
            show_json(now)
        else:
            show(watch_report(now, time()))
        return
    console = page()
    last: RunStatus | None = None
    if console.is_terminal:
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=False) as live:
            for last in follow(bundle, interval):
                live.update(watch_report(last, time()), refresh=True)
    else:
        for now in follow(bundle, interval):
            # A log gets lines for what is new, not for each look.
            for line in watch_news(now, last, time()):
                click.echo(line)
            last = now
    if last is not None:
        ctx.exit(ENDED.get(last.ending or "", 1))


def look(bundle: str) -> RunStatus:
    """How the run is now."""
    from ..bundle.appender import writer_lives
    from ..bundle.files import bundle_paths
    from ..bundle.reader import open_bundle
    from ..report.status import run_status

    # Asked first: a run that ends between the questions has said so in what is read then.
    lives = writer_lives(bundle_paths(bundle).journal)
    with open_bundle(bundle) as run:
        return run_status(run, lives)


def follow(
    bundle: str, interval: float, pause: Callable[[float], None] = sleep
) -> Iterator[RunStatus]:
    """The run at each look, until it has ended or its process is gone.

    Its files are read only when they changed.
    """
    from ..bundle.appender import writer_lives
    from ..bundle.files import bundle_paths
    from .ls import identity

    paths = bundle_paths(bundle)
    last_identity = None
    state: RunStatus | None = None
    while True:
        current = identity(Path(paths.stem))
        if state is None or current != last_identity or writer_lives(paths.journal) is False:
            state, last_identity = look(bundle), current
        yield state
        if state.ending is not None or state.killed:
            return
        pause(interval)
