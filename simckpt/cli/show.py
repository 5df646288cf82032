"""`simckpt show BUNDLE`: what ran, where, how healthy it was, what the instrument cost."""

from __future__ import annotations

import click


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--brief", is_flag=True, help="One line, and one more for what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(bundle: str, brief: bool, as_json: bool) -> None:
    """Show what ran, where, how healthy it was, and what the instrument cost."""
    from ..bundle.reader import open_bundle
    from ..report import page
    from ..report.overview import brief_report, overview, overview_report

    with open_bundle(bundle) as run:
        told = overview(run)
    if as_json:
        page.show_json(told)
    else:
        page.show(brief_report(told) if brief else overview_report(told))
