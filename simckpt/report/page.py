"""The page that every report is printed on: at most 100 columns, calm, and plain when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..errors import SetupError
from .text import clean, plain_json

WIDEST = 100


def page(file: IO[str] | None = None) -> Console:
    """A console for `file` (standard output), coloured only on a terminal."""
    out = file if file is not None else sys.stdout
    reconfigure: Any = getattr(out, "reconfigure", None)
    if reconfigure is not None:
        # An ASCII terminal shows a question mark for an arrow rather than ending in an error.
        reconfigure(errors="replace")
    console = Console(file=out, highlight=False, markup=False, emoji=False, soft_wrap=False)
    console.width = min(console.width, WIDEST) if console.is_terminal else WIDEST
    return console


def show(report: RenderableType, file: IO[str] | None = None) -> None:
    """Print a report; when piped, without the blanks that fill its lines."""
    console = page(file)
    if console.is_terminal:
        console.print(report)
        return
    with console.capture() as captured:
        console.print(report)
    lines = (line.rstrip() for line in captured.get().splitlines())
    console.file.write("\n".join(lines) + "\n")


def show_json(result: object, file: IO[str] | None = None) -> None:
    """Print a result as JSON, indented; numbers that are not finite become null."""
    out = file if file is not None else sys.stdout
    try:
        encoded = msgspec.json.encode(result)
    except UnicodeEncodeError:
        # The name of a file can be bytes that are no text.
        encoded = msgspec.json.encode(_as_text(msgspec.to_builtins(result)))
    out.write(plain_json(msgspec.json.format(encoded, indent=2)) + "\n")


def _as_text(value: Any) -> Any:
    """`value` with bytes that are no text shown as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(item) for item in value]
    return value


def show_text(text: str, file: IO[str] | None = None) -> None:
    """Print text that is a format of its own."""
    page(file).file.write(text)


def write_text(path: Path, text: str, option: str) -> None:
    """Write a report to a file, whole or not at all: CI may collect it at any moment."""
    with whole_file(path, option) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """The place to write a file to that becomes `path` when all of it is written.

    Raises
    ------
    SetupError
        If it cannot be written; it names the option that asked for the file.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        problem = f"cannot be written: {error.strerror or error}"
        raise SetupError(option, str(path), problem) from error


def section(title: str, *parts: RenderableType) -> Group:
    """A heading with what stands under it, indented."""
    body = [indented(part, 2) for part in parts]
    return Group(Text(""), Text(title, style="bold"), *body)


def indented(part: RenderableType, by: int) -> Padding:
    """A part moved to the right; its wrapped lines too."""
    return Padding(part, (0, 0, 0, by), expand=False)


def table(*headings: str) -> Table:
    """A table without lines. A heading that ends in ``>`` is of a column of numbers."""
    out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        right = heading.endswith(">")
        out.add_column(
            heading.rstrip(">"),
            justify="right" if right else "left",
            overflow="ellipsis" if right else "fold",
            no_wrap=right,
        )
    return out


def facts(rows: list[tuple[str, str | Text]]) -> Table:
    """Names and values, one pair to a line."""
    out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    out.add_column(style="dim", no_wrap=True)
    out.add_column(overflow="fold")
    for name, text in rows:
        out.add_row(clean(name), text)
    return out


def more(total: int, shown: int, what: str) -> Text:
    """A line that says how many rows were left out."""
    return Text(f"... and {total - shown:,} more {what} (--json has all)", style="dim")
