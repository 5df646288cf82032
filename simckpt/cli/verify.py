"""`simckpt verify BUNDLE`: 0 whole, 1 damaged, 2 no bundle that could be tested."""

from __future__ import annotations

import click


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def verify(ctx: click.Context, bundle: str, as_json: bool) -> None:
    """Test checksums, the chain of records and the ids of checkpoints.

    Exits with 0 if the bundle is whole, 1 if it is damaged, 2 if there is none.
    """
    from ..bundle.verify import verify as verify_bundle
    from ..report.page import show, show_json
    from ..report.verification import verification, verification_report

    result = verification(bundle, verify_bundle(bundle))
    if as_json:
        show_json(result)
    else:
        show(verification_report(result))
    ctx.exit(0 if result.whole else 1)
