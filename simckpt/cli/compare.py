"""`simckpt compare RUN...`: 0 the same, 1 different, 2 could not compare."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..compare.comparison import Comparison
    from ..compare.curves import Curves
    from ..compare.many import ManyRuns
    from ..compare.texts import TextDifference
    from ..compare.tolerance import Tolerance

# `--reference C D ...`: an option that takes all names up to the next option.


OPTION = "--reference"


class ManyReferences(click.Command):
    """A command in which `--reference` is followed by any number of names, as a shell expands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, one_each(args))


def one_each(arguments: list[str]) -> list[str]:
    """The arguments with ``--reference C D`` written as ``--reference C --reference D``."""
    result: list[str] = []
    taking = False
    for place, argument in enumerate(arguments):
        if argument == "--":
            return result + arguments[place:]
        if argument == OPTION:
            taking = True
            if place + 1 == len(arguments) or arguments[place + 1].startswith("-"):
                result.append(argument)
        elif taking and not argument.startswith("-"):
            result += [OPTION, argument]
        else:
            taking = False
            result.append(argument)
    return result


def read_window(text: str | None) -> tuple[int, int] | None:
    """Steps from ``FIRST:LAST`` or from one number.

    Raises
    ------
    SetupError
        If it is neither.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        return int(first), int(last if colon else first)
    except ValueError:
        mend = "Write --window FIRST:LAST, or one step."
        raise SetupError("--window", text, "is no range of steps", mend=mend) from None


def _print_schema(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ..report.exports import schema_text

        click.echo(schema_text(), nl=False)
        ctx.exit()


@click.command(cls=ManyReferences)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--rtol", multiple=True, metavar="[NAME=]X", help="Relative tolerance.")
@click.option("--atol", multiple=True, metavar="[NAME=]X", help="Absolute tolerance.")
@click.option("--ulp", multiple=True, metavar="[NAME=]N", help="Representable numbers apart.")
@click.option("--floor", multiple=True, metavar="[NAME=]X", help="Magnitude taken as zero.")
@click.option("--equal-nan", is_flag=True, help="NaN equals NaN.")
@click.option(
    "--tolerances",
    "file",
    type=click.Path(path_type=Path),
    help="A TOML file with tolerances; options add to it.",
)
@click.option(
    "--by",
    type=click.Choice(["step", "time", "label"]),
    default="step",
    show_default=True,
    help="Which samples belong together.",
)
@click.option("--map", "renames", multiple=True, metavar="A=B", help="A field's other name in B.")
@click.option(
    OPTION,
    "references",
    multiple=True,
    metavar="RUN...",
    help="Runs that count as the same as A: perturbed twins of it, or an ensemble with it.",
)
@click.option(
    "--window",
    metavar="STEPS",
    help="FIRST:LAST, between which the ensemble is tested; else the later half.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print it as Markdown.")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it as JUnit XML there, too.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page for a browser there, too.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of --json.",
)
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    runs: tuple[str, ...],
    file: Path | None,
    by: Any,
    renames: tuple[str, ...],
    references: tuple[str, ...],
    window: str | None,
    as_json: bool,
    as_markdown: bool,
    junit: Path | None,
    html: Path | None,
    **limits: Any,
) -> None:
    """Compare run A with run B: where they part, what kind of difference it is, and why.

    Of more than two runs, tell who is the same as whom, and what sets the groups apart.

    Equal means equal bits, unless a tolerance is given; then
    |a-b| <= max(rtol*max(|a|,|b|), atol) decides for each quantity. NAME may hold * and ?.

    With --reference C D ..., behind the runs, a difference no larger than that between A and these
    counts as the same: the growth of differences is compared, and with eight runs or more their
    principal components.

    Exits with 0 if the runs are the same, 1 if they differ, 2 if they could not be compared.
    """
    from ..bundle.folded import prepare

    # The process that reads HDF5 starts while this one imports the rest.
    prepare()
    from ..compare.comparison import Options
    from ..report.text import show, show_json, show_text, write_text
    from .bundle_pool import Shelf

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two forms; choose one", ctx)
    if len(runs) < 2:
        raise click.UsageError("one run is nothing to compare; name two or more", ctx)
    if window is not None and not references:
        raise click.UsageError("--window is of use only with --reference", ctx)
    options = Options(
        by=by,
        tolerance=_tolerance(file, limits),
        renames=read_renames(renames),
        window=read_window(window),
    )
    with ExitStack() as stack:
        shelf = stack.enter_context(Shelf())
        if len(runs) == 2:
            shelf.open(runs)
        opened = [shelf.run(run) for run in runs]
        reference_runs = [shelf.run(run) for run in references]
        for other in reference_runs:
            # A reference that is not there is an error even where none is needed.
            _ = other.run_id
        result: Comparison | ManyRuns
        figures: Curves | None = None
        texts: tuple[TextDifference, ...] = ()
        if len(opened) == 2:
            from ..compare.comparison import compare as compare_runs
            from ..report.two_runs import comparison_report

            result = compare_runs(opened[0], opened[1], options, reference_runs)
            report = wide_report = comparison_report(result)
            if html is not None:
                from ..compare.curves import curves
                from ..compare.texts import text_differences

                figures = curves(opened[0], opened[1], options)
                texts = text_differences(opened[0], opened[1])
        else:
            from ..compare.many import compare_many
            from ..report.many_runs import many_report

            result = compare_many(opened, options, reference_runs)
            report, wide_report = many_report(result), many_report(result, most=60)
    if html is not None:
        from ..report.html import page

        write_text(html, page(wide_report, figures, texts), "--html")
    if junit is not None:
        from ..report.exports import junit as junit_text

        write_text(junit, junit_text(result), "--junit")
    if as_json:
        show_json(result)
    elif as_markdown:
        from ..report.markdown import markdown

        show_text(markdown(report))
    else:
        from ..report.sections import terminal

        show(terminal(report))
    ctx.exit(result.exit_status)


def _tolerance(file: Path | None, options: dict[str, Any]) -> Tolerance:
    from msgspec.structs import replace

    from ..compare.tolerance import Override, Tolerance, read_tolerances

    tolerance = read_tolerances(file) if file is not None else Tolerance()
    for name in ("rtol", "atol", "ulp", "floor"):
        for text in options[name]:
            pattern, _, number = text.rpartition("=")
            value = _number(name, text, number)
            if pattern:
                override = Override(pattern=pattern, **{name: value})
                tolerance = replace(tolerance, overrides=(*tolerance.overrides, override))
            else:
                tolerance = replace(tolerance, default=replace(tolerance.default, **{name: value}))
    if options["equal_nan"]:
        tolerance = replace(tolerance, default=replace(tolerance.default, equal_nan=True))
    return tolerance


def _number(name: str, text: str, number: str) -> Any:
    try:
        return int(number) if name == "ulp" else float(number)
    except ValueError:
        kind = "a whole number" if name == "ulp" else "a number"
        raise SetupError(
            f"--{name}", text, f"is not {kind}", mend=f"Write --{name} X or --{name} NAME=X."
        ) from None


def read_renames(pairs: tuple[str, ...]) -> dict[str, str]:
    """Names in B of what A calls otherwise, from options of the form A=B."""
    renames: dict[str, str] = {}
    for pair in pairs:
        name, equals, other = pair.partition("=")
        if not name or not equals or not other:
            raise SetupError("--map", pair, "is not of the form A=B")
        renames[name] = other
    return renames
