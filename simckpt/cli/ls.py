"""`simckpt ls DIR`: the bundles under a folder, filtered and sorted by what they recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import SetupError


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--where", metavar="FILTER", help="Only these: 'solver=HLLC and drift(mass)>1e-12'.")
@click.option("--sort", metavar="NAME", help="Order by a name; -NAME for falling.")
@click.option("--show", "shown", multiple=True, metavar="NAME", help="One more column.")
@click.option(
    "-n",
    "--most",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Show the first so many; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.pass_context
def ls(
    ctx: click.Context,
    /,
    folder: Path,
    where: str | None,
    sort: str | None,
    shown: tuple[str, ...],
    most: int,
    as_json: bool,
) -> None:
    """List the bundles under a folder.

    A FILTER compares names with values by = != < <= > >= and ~ (for * and ?), joined by and, or,
    not and brackets. Names are settings and parameters (solver, parameters.n), drift(Q),
    largest(Q) and last(Q) of a quantity, and path, name, ending, finished, created, ranks, step,
    t, samples, checkpoints, segments, warnings, errors, faults, non_finite, sound, driver, goal,
    campaign, run_id.

    Exits with 0 if there are any, 1 if there is none, 2 if one could not be read.
    """
    from msgspec.structs import replace

    from ..report.filtering import Anything, Filter, parse_filter, parse_term
    from ..report.listing import chosen, listing_report, ordered, require_known
    from ..report.page import show, show_json
    from .bundle_index import list_folder, untold

    if not folder.is_dir():
        raise SetupError("DIR", str(folder), "is no folder")
    wanted: Filter = parse_filter(where) if where is not None else Anything()
    columns = [parse_term(name, "--show") for name in shown]
    found = list_folder(folder, told=_progress if sys.stderr.isatty() else untold)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    require_known(found.bundles, columns, "--show")
    runs = chosen(found.bundles, wanted)
    if sort:
        runs = ordered(runs, sort)
        columns.append(parse_term(sort.removeprefix("-"), "--sort"))
    found = replace(found, bundles=tuple(runs))
    if as_json:
        show_json(found)
    else:
        show(listing_report(found, [*wanted.terms(), *columns], most))
    ctx.exit(2 if found.unreadable else 0 if runs else 1)


def _progress(done: int, left: int) -> None:
    if done % 10 == 0:
        click.echo(f"\r\x1b[Kreading new bundles: {done:,}, {left:,} to go", nl=False, err=True)
