"""`simckpt compare A B`: 0 the same, 1 different, 2 could not compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SetupError

if TYPE_CHECKING:
    from ..compare.tolerance import Tolerance


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
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
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    a: str,
    b: str,
    file: Path | None,
    by: Any,
    renames: tuple[str, ...],
    as_json: bool,
    **limits: Any,
) -> None:
    """Compare run A with run B: where they part, what kind of difference it is, and why.

    Equal means equal bits, unless a tolerance is given; then
    |a-b| <= max(rtol*max(|a|,|b|), atol) decides for each quantity. NAME may hold * and ?.

    Exits with 0 if the runs are the same, 1 if they differ, 2 if they could not be compared.
    """
    from ..bundle.reader import open_bundle
    from ..compare.comparison import Options
    from ..compare.comparison import compare as compare_runs
    from ..report.comparison import comparison_report
    from ..report.page import show, show_json

    options = Options(by=by, tolerance=_tolerance(file, limits), renames=_renames(renames))
    with open_bundle(a) as run_a, open_bundle(b) as run_b:
        result = compare_runs(run_a, run_b, options)
    if as_json:
        show_json(result)
    else:
        show(comparison_report(result))
    ctx.exit(result.exit_status)


def _tolerance(file: Path | None, options: dict[str, Any]) -> Tolerance:
    from msgspec.structs import replace

    from ..compare.tolerance import Override, Tolerance
    from .tolerances import read_tolerances

    found = read_tolerances(file) if file is not None else Tolerance()
    for name in ("rtol", "atol", "ulp", "floor"):
        for text in options[name]:
            pattern, _, number = text.rpartition("=")
            value = _number(name, text, number)
            if pattern:
                override = Override(pattern=pattern, **{name: value})
                found = replace(found, overrides=(*found.overrides, override))
            else:
                found = replace(found, default=replace(found.default, **{name: value}))
    if options["equal_nan"]:
        found = replace(found, default=replace(found.default, equal_nan=True))
    return found


def _number(name: str, text: str, number: str) -> Any:
    try:
        return int(number) if name == "ulp" else float(number)
    except ValueError:
        kind = "a whole number" if name == "ulp" else "a number"
        raise SetupError(
            f"--{name}", text, f"is not {kind}", mend=f"Write --{name} X or --{name} NAME=X."
        ) from None


def _renames(pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, other = pair.partition("=")
        if not name or not equals or not other:
            raise SetupError("--map", pair, "is not of the form A=B")
        found[name] = other
    return found
