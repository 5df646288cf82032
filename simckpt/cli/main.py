"""`simckpt`: the verbs, each loaded when it is called.

A verb's status has a meaning (`compare` exits with 1 for different), so nothing that goes wrong
may end with 0 or 1: errors of the user, of the bundle and of simckpt itself all end with 2, and
what is interrupted ends as a shell reports a signal.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from ..errors import SimckptError

VERBS = {
    "show": ("show", "What ran, where, whether it was healthy, what recording cost."),
    "compare": ("compare", "Where two runs diverge, what type of difference it is, and why."),
    "ls": ("ls", "The bundles under a folder, filtered by what they recorded."),
    "log": ("show", "Job attempts, checkpoints and events in order."),
    "watch": ("watch", "Follow a run that is still going on."),
    "plot": ("plot", "Figures of one run, or of two that are compared, as PNG or SVG."),
    "verify": ("repair", "Whether a bundle is what its run wrote."),
    "recover": ("repair", "Rebuild a bundle after a crash."),
    "slurm": ("slurm", "Job templates for SLURM: list or copy them."),
    "warm": ("slurm", "Compile the kernels ahead of a job."),
    "demo": ("demo", "Record one solver three times, and compare."),
}
"""The module of each verb, which has a command of its name, and its line in the help."""

FAILED = 2


class Verbs(click.Group):
    """A group whose commands are imported when they are called, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f".{VERBS[cmd_name][0]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"no verb {args[0]!r}; there are: {', '.join(VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SimckptError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            complain(_message(error))
            ctx.exit(FAILED)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("simckpt")
        except PackageNotFoundError:
            number = "(not installed)"
        click.echo(f"simckpt {number}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def verbs() -> None:
    """Read what simulation runs recorded about themselves."""


def main(arguments: list[str] | None = None) -> None:
    """Run a verb and end the process with its status."""
    sys.exit(_status(arguments))


def complain(text: str) -> None:
    """One line on standard error."""
    from ..report.text import clean

    click.echo(f"simckpt: {clean(text)}", err=True)


def _status(arguments: list[str] | None) -> int:
    try:
        status = verbs.main(args=arguments, prog_name="simckpt", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output left; a flush at exit would complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - whatever it is, it must not look like a verdict
        import traceback

        traceback.print_exc()
        complain("this is a fault in simckpt; the lines above say where")
        return FAILED
    return status if isinstance(status, int) else 0


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    return str(error)


if __name__ == "__main__":
    main()
