"""`simckpt recover BUNDLE`: make a whole bundle of what a killed run left."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SetupError


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--salvage", is_flag=True, help="Take over what lies behind a damage, too.")
@click.option("-o", "--output", metavar="OUT", help="Recover a copy there, and touch nothing here.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recovered as JSON.")
def recover(bundle: str, salvage: bool, output: str | None, as_json: bool) -> None:
    """Fold what a killed run or damaged storage left into a whole .simckpt.h5.

    Exits with 0 if that was done and 2 if it could not be.
    """
    from ..bundle.recover import recover as recover_bundle
    from ..report.text import show, show_json
    from ..report.verification import recovery_report

    place = bundle if output is None else str(_copied(bundle, output))
    result = recover_bundle(place, salvage=salvage)
    if as_json:
        show_json(result)
    else:
        show(recovery_report(result))


def _copied(bundle: str, output: str) -> Path:
    """A copy of the bundle's files under another name; what is there is never overwritten."""
    from ..bundle.files import bundle_paths, copy_regular, is_there
    from ..bundle.reader import not_there

    source, target = bundle_paths(bundle), bundle_paths(output)
    if not source.exists():
        raise not_there(bundle, source)
    if target.exists():
        raise SetupError("--output", output, "is there already", mend="Choose another name.")
    target.h5.parent.mkdir(parents=True, exist_ok=True)
    # The journal first: while a run goes on, what leaves the journal is in the .h5 by then.
    for old, new in ((source.journal, target.journal), (source.h5, target.h5)):
        if is_there(old):
            copy_regular(old, new)
    return target.h5
