"""`simckpt verify` tests a bundle, and `simckpt recover` rebuilds one after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..capture.artifacts import CheckedOutput


@click.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--index",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Hash the outputs below FOLDER and hold them against the run's index of them.",
)
@click.option("--expect", metavar="ID", help="Ask for a checkpoint, by the beginning of its id.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def verify(
    ctx: click.Context, bundle: str, folder: Path | None, expect: str | None, as_json: bool
) -> None:
    """Test checksums, the chain of records and the ids of checkpoints.

    With --index FOLDER also whether the outputs are what they were: FOLDER is the run's working
    directory or a copy of it, and no file outside of it is looked at.

    A bundle from which the last records were dropped is whole as far as it knows. With --expect
    ID, an id that the run's log or another file has, a checkpoint is asked for.

    Exits with 0 if the bundle is whole and its outputs are the same, 1 if the bundle is damaged,
    an output is missing or changed or the checkpoint is missing, 2 if there is no bundle, or no
    index of outputs in it.
    """
    from ..bundle.verify import verify as verify_bundle
    from ..report.text import show, show_json
    from ..report.verification import verification, verification_report

    findings = verify_bundle(bundle)
    is_whole = verification(bundle, findings).whole
    outputs = _outputs(bundle, folder) if folder is not None and is_whole else None
    checkpoints = _checkpoints(bundle, every=bool(expect)) if is_whole else ()
    result = verification(bundle, findings, outputs, checkpoints, expect or None)
    if as_json:
        show_json(result)
    else:
        show(verification_report(result))
    ctx.exit(0 if result.holds else 1)


def _checkpoints(bundle: str, *, every: bool) -> tuple[str, ...]:
    """The ids of the last checkpoint, or of all."""
    from ..bundle.reader import open_bundle

    with open_bundle(bundle) as run:
        return tuple(c.id for c in (run.checkpoints if every else run.checkpoints[-1:]))


def _outputs(bundle: str, folder: Path) -> tuple[CheckedOutput, ...]:
    from ..bundle.contents import content_hashes
    from ..bundle.reader import open_bundle
    from ..capture.artifacts import check_outputs
    from ..errors import BundleError
    from ..report.brief import artifact_index

    with open_bundle(bundle) as run:
        index = artifact_index(run)
    if index is None:
        problem = "holds no index of outputs that could be tested"
        raise BundleError(bundle, problem, "Name them in the driver: outputs=['out/*.nc'].")
    return check_outputs(index, folder, content_hashes)


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
