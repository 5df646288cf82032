"""`simckpt log BUNDLE`: job attempts, checkpoints and events in the order they happened."""

from __future__ import annotations

import click


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "-n",
    "--most",
    type=click.IntRange(0),
    default=40,
    show_default=True,
    help="Show the last so many entries; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def log(bundle: str, most: int, as_json: bool) -> None:
    """List job attempts, checkpoints and events in the order they happened."""
    from ..bundle.reader import open_bundle
    from ..capture.accounting import accounts
    from ..compare.restart import restarts
    from ..report.history import history, history_report
    from ..report.jobs import attempts, continuation, job_number
    from ..report.page import show, show_json
    from ..report.text import clean

    with open_bundle(bundle) as run:
        jobs = {job_number(view.segment.scheduler) for view in run.segments} - {""}
        told = history(run, attempts(run, accounts(jobs)), continuation(run), restarts(run))
    if as_json:
        show_json(told)
        return
    show(history_report(told, most))
    if told.continuation:
        # Not on the page: a command that is cut into lines cannot be pasted.
        click.echo(f"\nContinue it with\n{clean(told.continuation)}")
