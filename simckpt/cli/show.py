"""`simckpt show BUNDLE`: what ran, where, how healthy it was, what the instrument cost."""

from __future__ import annotations

import click


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--brief", is_flag=True, help="What the next step needs to know, in 2 KB.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(bundle: str, brief: bool, as_json: bool) -> None:
    """Show what ran, where, how healthy it was, and what the instrument cost."""
    from ..bundle.reader import open_bundle
    from ..compare.restart import restarts
    from ..report import overview as in_brief
    from ..report import text as page
    from ..report.overview import overview, overview_report

    with open_bundle(bundle) as run:
        told = overview(run, restarts(run))
        short = in_brief.brief(run, told) if brief else None
    if as_json:
        page.show_json(short or told)
    elif short is not None:
        page.show_text(in_brief.brief_text(short))
    else:
        page.show(overview_report(told))
