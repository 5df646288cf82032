"""`simckpt warm`: compile the kernels ahead of a job, so that its ranks only load them."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print where and how long as JSON.")
def warm(as_json: bool) -> None:
    """Compile the kernels, or see that they are compiled.

    Run it once on each kind of node, with the environment of the job: the machine code is kept in
    SIMCKPT_CACHE_DIR (default: NUMBA_CACHE_DIR, else ~/.cache/simckpt). Many processes may do so at
    once; one compiles and the others wait. Exits with 0 if the kernels are there.
    """
    from ..diagnostics.cache import cache_folder
    from ..diagnostics.warming import warm_kernels
    from ..report.page import show_json

    seconds = warm_kernels()
    folder = cache_folder()
    kept = any(folder.rglob("*.nbc"))
    if as_json:
        show_json({"folder": str(folder), "seconds": seconds, "kept": kept})
    elif kept:
        click.echo(f"The kernels are in {folder} ({seconds:.1f} s).")
    if not kept:
        raise click.ClickException(
            f"nothing could be kept in {folder}; set SIMCKPT_CACHE_DIR to a folder that can be "
            "written to"
        )
