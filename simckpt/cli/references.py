"""`--reference C D ...`: an option that takes all names up to the next option."""

from __future__ import annotations

import click

from ..errors import SetupError

OPTION = "--reference"


class ManyReferences(click.Command):
    """A command in which `--reference` is followed by any number of names, as a shell expands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, one_each(args))


def one_each(arguments: list[str]) -> list[str]:
    """The arguments with ``--reference C D`` written as ``--reference C --reference D``."""
    found: list[str] = []
    taking = False
    for place, argument in enumerate(arguments):
        if argument == "--":
            return found + arguments[place:]
        if argument == OPTION:
            taking = True
            if place + 1 == len(arguments) or arguments[place + 1].startswith("-"):
                found.append(argument)
        elif taking and not argument.startswith("-"):
            found += [OPTION, argument]
        else:
            taking = False
            found.append(argument)
    return found


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
