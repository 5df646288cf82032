"""`simckpt plot BUNDLE...`: figures as PNG, SVG or PDF."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..compare.curves import Curves, RunLines


@click.command()
@click.argument("runs", metavar="BUNDLE...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Output file; .png, .svg or .pdf.  [default: the bundles' names, .png]",
)
@click.option("--quantity", "names", multiple=True, metavar="NAME", help="Draw this one.")
@click.option(
    "--against", type=click.Choice(["step", "t"]), default="step", show_default=True, help="Axis."
)
@click.option(
    "--by",
    type=click.Choice(["step", "time", "label"]),
    default="step",
    show_default=True,
    help="Which samples of two runs belong together.",
)
@click.option(
    "--map", "renames", multiple=True, metavar="A=B", help="A field's other name in run B."
)
@click.option("--json", "as_json", is_flag=True, help="Print the points, and draw nothing.")
def plot(
    runs: tuple[str, ...],
    output: Path | None,
    names: tuple[str, ...],
    against: str,
    by: Any,
    renames: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw the series of one run or of several.

    Of two runs, draw their difference on a log scale with its onset, and the tiles that differ.
    """
    from ..bundle.files import bundle_paths
    from ..bundle.reader import open_bundle
    from ..compare.comparison import Options
    from ..compare.curves import curves, run_lines
    from ..report.text import show_json
    from .compare import read_renames

    if renames and len(runs) != 2:
        raise SetupError("--map", renames, "is for two runs, and these are not")
    with ExitStack() as stack:
        opened = [stack.enter_context(open_bundle(run)) for run in runs]
        paths = [str(run.path) for run in opened]
        drawn: Curves | list[RunLines]
        if len(opened) == 2:
            options = Options(by=by, renames=read_renames(renames))
            drawn = curves(opened[0], opened[1], options)
        else:
            drawn = [run_lines(run) for run in opened]
    if as_json:
        show_json(drawn)
        return
    from ..report.figures import pair_figure, runs_figure, save

    if isinstance(drawn, list):
        figure = runs_figure(drawn, names, against)
    else:
        figure = pair_figure(drawn, (paths[0], paths[1]), names, against)
    if output is None:
        stems = dict.fromkeys(bundle_paths(run).stem.name for run in runs[:3])
        output = Path("-".join(stems) + ".png")
    save(figure, output)
    click.echo(str(output))
