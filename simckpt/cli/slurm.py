"""`simckpt slurm`, templates and chains of jobs, and `simckpt warm`, run ahead of a job."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SetupError, SimckptError

if TYPE_CHECKING:
    from ..report.job_chain import Decision


@click.command()
@click.option("--list", "listed", is_flag=True, help="List the templates.")
@click.option(
    "--copy", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Copy them to DIR."
)
@click.option("--force", is_flag=True, help="With --copy, replace files that differ.")
@click.option(
    "--next",
    "bundle",
    metavar="BUNDLE",
    help="Say whether a chain of jobs is finished (status 0), is to go on (75) or not (1).",
)
@click.option(
    "--accounts",
    "accounted",
    metavar="BUNDLE",
    help="Record in the bundle what sacct says of its jobs: state, memory, elapsed time.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="With --next, the most attempts that a run may take.",
)
@click.option(
    "--warned", is_flag=True, help="With --next: Slurm has told the job that asks to stop."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def slurm(
    ctx: click.Context,
    listed: bool,
    folder: Path | None,
    force: bool,
    bundle: str | None,
    accounted: str | None,
    attempts: int,
    warned: bool,
    as_json: bool,
) -> None:
    """Templates for SLURM: list them, or copy them to where you submit from.

    They are used as they are: sbatch --ntasks=64 mpi.sbatch python driver.py
    """
    from ..report.text import show_json

    if sum((listed, folder is not None, bundle is not None, accounted is not None)) > 1:
        message = "--list, --copy, --next and --accounts are separate questions"
        raise click.UsageError(message, ctx)
    if accounted is not None:
        texts = store_accounts(accounted)
        if as_json:
            show_json(texts)
        else:
            click.echo("\n".join(texts) or "sacct says nothing that the bundle does not have")
        return
    if bundle is not None:
        from ..report.job_chain import STATUS

        decision = _next(bundle, attempts, warned=warned)
        if as_json:
            show_json(decision)
        else:
            click.echo(decision.reason)
        ctx.exit(STATUS[decision.verdict])
    if folder is not None:
        copied = copy_templates(folder, replace=force)
        if as_json:
            show_json([str(path) for path in copied])
        else:
            for path in copied:
                click.echo(path)
        return
    purposes = {path.name: purpose(path) for path in templates()}
    if as_json:
        show_json(purposes)
        return
    width = max(map(len, purposes))
    for name, line in purposes.items():
        click.echo(f"{name:<{width}}  {line}")


def templates() -> tuple[Path, ...]:
    """The templates: among the package's files where it is installed, beside it in a checkout.

    Raises
    ------
    SimckptError
        If the installation is not whole.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_slurm", package.parent / "slurm"):
        if files := sorted(p for p in folder.glob("*") if p.suffix in (".sbatch", ".sh")):
            return tuple(files)
    raise SimckptError(f"the templates are not where simckpt is installed ({package})")


def submitted_with(script: str) -> str:
    """The script to continue a run with: the one it was submitted with, or the chain of jobs."""
    if script and Path(script).is_file():
        return script
    try:
        return next(str(path) for path in templates() if path.name == "chain.sbatch")
    except (SimckptError, StopIteration):
        return "chain.sbatch"


def purpose(template: Path) -> str:
    """The first sentence of a template, which says what it is for."""
    return template.read_text().splitlines()[1].removeprefix("# ")


def copy_templates(folder: Path, *, replace: bool = False) -> tuple[Path, ...]:
    """Copy the templates into `folder`; one that is there and differs is not overwritten.

    Raises
    ------
    SetupError
        If a file there has other contents, which may be somebody's work, unless `replace`;
        nothing is copied then.
    """
    sources = templates()
    edited = [p.name for p in sources if _differs(p, folder / p.name)]
    if edited and not replace:
        raise SetupError(
            "--copy",
            str(folder),
            f"holds edited files that would be lost: {', '.join(edited)}",
            mend="Choose another folder, or add --force.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(Path(shutil.copy(path, folder / path.name)) for path in sources)


def _differs(template: Path, existing: Path) -> bool:
    return existing.exists() and existing.read_bytes() != template.read_bytes()


def store_accounts(bundle: str) -> tuple[str, ...]:
    """Record what the scheduler's accounting says of the jobs of a bundle, where that is new.

    Returns
    -------
    tuple of str
        A sentence for each attempt of which something was recorded.

    Raises
    ------
    BundleError
        If the bundle cannot be read, or is being written by a run.
    """
    from ..bundle.reader import open_bundle
    from ..bundle.writer import BundleWriter
    from ..capture.jobs import accounts
    from ..report.job_chain import cut_off, job_number, unrecorded

    with open_bundle(bundle) as run:
        jobs = {job_number(view.segment.scheduler) for view in run.segments} - {""}
        events = unrecorded(run, accounts(jobs))
    if events:
        with BundleWriter.resume(bundle) as writer:
            for event in (*cut_off(writer.earlier.broken), *events):
                writer.append(event)
    return tuple(event.text for event in events)


def _next(bundle: str, most: int, *, warned: bool) -> Decision:
    """The decision on the run in `bundle`, asked by the job that this process is part of."""
    from ..bundle.files import bundle_paths
    from ..bundle.reader import open_bundle
    from ..capture.jobs import accounts, scheduler_facts
    from ..report.job_chain import attempts, decide, job_number

    asking = scheduler_facts(os.environ)
    job, restarts = job_number(asking), asking.get("restarts")
    if not bundle_paths(bundle).exists():
        return decide((), most, job, restarts, warned=warned)
    with open_bundle(bundle) as run:
        jobs = {job_number(view.segment.scheduler) for view in run.segments} - {""}
        chain = attempts(run, accounts(jobs))
    return decide(chain, most, job, restarts, warned=warned)


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
    from ..diagnostics.kernel_cache import cache_folder, condition
    from ..diagnostics.local_sweep import warm_kernels
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
        purposes = {"folder": str(folder), "seconds": seconds, "kept": not problem}
        show_json({**purposes, "problem": problem, "mended": condition.mended})
    elif condition.mended:
        click.echo(f"Mended: {condition.mended}.")
    if problem:
        click.echo(f"Error: {problem}.", err=True)
        ctx.exit(1)
    if not as_json:
        click.echo(f"The kernels are in {folder} ({seconds:.1f} s).")
