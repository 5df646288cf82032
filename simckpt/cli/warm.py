"""`simckpt warm`: compile the kernels ahead of a job, so that its ranks only load them."""

from __future__ import annotations

import warnings

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print where and how long as JSON.")
@click.pass_context
def warm(ctx: click.Context, as_json: bool) -> None:
    """Compile the kernels, or see that they are compiled.

    Run it once on each kind of node, with the environment of the job: the machine code is kept in
    SIMCKPT_CACHE_DIR (default: NUMBA_CACHE_DIR, else ~/.cache/simckpt). Many processes may do so at
    once; one compiles and the others wait. Exits with 0 if the kernels are there, with 1 if they
    could not be kept: each process then compiles for itself.
    """
    from ..diagnostics.kernel_cache import cache_folder, condition, warm_kernels
    from ..errors import SimckptWarning
    from ..report.text import show_json

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimckptWarning)  # what it says is said below
        seconds = warm_kernels()
    folder = cache_folder()
    problem = condition.unkept
    if not (problem or any(folder.rglob("*.nbc"))):
        problem = f"nothing could be kept in {folder}; set SIMCKPT_CACHE_DIR to another folder"
    if as_json:
        told = {"folder": str(folder), "seconds": seconds, "kept": not problem}
        show_json({**told, "problem": problem, "mended": condition.mended})
    elif condition.mended:
        click.echo(f"Mended: {condition.mended}.")
    if problem:
        click.echo(f"Error: {problem}.", err=True)
        ctx.exit(1)
    if not as_json:
        click.echo(f"The kernels are in {folder} ({seconds:.1f} s).")
