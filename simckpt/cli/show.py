"""`simckpt show BUNDLE`, what a run recorded, and `simckpt log BUNDLE...`, what happened in it."""

from __future__ import annotations

import click


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--brief", is_flag=True, help="What the next step needs to know, in 2 KB.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(bundle: str, brief: bool, as_json: bool) -> None:
    """Show what ran, where, how healthy it was, and what the instrument cost."""
    from ..bundle.reader import open_bundle
    from ..compare.restart_check import restarts
    from ..report.brief import brief as in_brief
    from ..report.brief import brief_text
    from ..report.overview import overview, overview_report
    from ..report.text import show as show_report
    from ..report.text import show_json, show_text

    with open_bundle(bundle) as run:
        whole_run = overview(run, restarts(run))
        summary = in_brief(run, whole_run) if brief else None
    if as_json:
        show_json(summary or whole_run)
    elif summary is not None:
        show_text(brief_text(summary))
    else:
        show_report(overview_report(whole_run))


@click.command()
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
@click.option("--graph", is_flag=True, help="Draw the graph of runs; so it is for several bundles.")
@click.option("--dot", is_flag=True, help="Print the graph for Graphviz.")
@click.option(
    "-n",
    "--most",
    type=click.IntRange(0),
    default=40,
    show_default=True,
    help="Entries to show, the last ones; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def log(bundles: tuple[str, ...], graph: bool, dot: bool, most: int, as_json: bool) -> None:
    """List job attempts, checkpoints and events in the order they happened.

    Of several bundles, draw how they descend from each other: forks and merges of runs, linked
    by the ids of checkpoints.
    """
    if graph or dot or len(bundles) > 1:
        _draw(bundles, dot, as_json)
    else:
        _list(bundles[0], most, as_json)


def _draw(bundles: tuple[str, ...], dot: bool, as_json: bool) -> None:
    from contextlib import ExitStack

    from ..bundle.reader import open_bundle
    from ..compare.ancestry import ancestry
    from ..report.history import lineage_dot, lineage_report
    from ..report.text import show as show_report
    from ..report.text import show_json, show_text

    with ExitStack() as stack:
        graph = ancestry([stack.enter_context(open_bundle(path)) for path in bundles])
    if as_json:
        show_json(graph)
    elif dot:
        show_text(lineage_dot(graph))
    else:
        show_report(lineage_report(graph))


def _list(bundle: str, most: int, as_json: bool) -> None:
    from ..bundle.reader import open_bundle
    from ..capture.jobs import accounts
    from ..compare.restart_check import restarts
    from ..report.continuation import continuation, template_of
    from ..report.history import history, history_report
    from ..report.job_chain import attempts, job_number
    from ..report.text import clean, show_json
    from ..report.text import show as show_report
    from .slurm import submitted_with

    with open_bundle(bundle) as run:
        jobs = {job_number(view.segment.scheduler) for view in run.segments} - {""}
        again = continuation(run, submitted_with(template_of(run)))
        result = history(run, attempts(run, accounts(jobs)), again, restarts(run))
    if as_json:
        show_json(result)
        return
    show_report(history_report(result, most))
    if result.continuation:
        # Not in the report: a command that is cut into lines cannot be pasted.
        click.echo(f"\nContinue it with\n{clean(result.continuation)}")
