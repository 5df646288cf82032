"""How recorded values become text: one way, so that nothing in a bundle can steer a terminal.

Text from a bundle is written by whoever wrote the bundle. Control characters, which move the
cursor or recolour the screen, and marks that reverse the direction of writing are shown as
escapes; nothing is ever parsed as markup, since all of it is wrapped in `rich.text.Text`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..errors import UNSAFE, SetupError, harmless
from ..model.record import Json

HASH_SHOWN = 12
LONGEST_VALUE = 48

_HASH = re.compile(r"^[0-9a-f]{40,128}( with changes)?$")


def clean(text: str, longest: int = 0) -> str:
    """`text` on one line with what could steer a terminal shown as escapes, cut to `longest`."""
    text = harmless(text)
    if longest and len(text) > longest:
        return text[: longest - 3] + "..."
    return text


def plain_json(json: bytes) -> str:
    """JSON that means the same, and steers no terminal it is printed on either."""
    return UNSAFE.sub(
        lambda m: m.group() if m.group() == "\n" else f"\\u{ord(m.group()):04x}", json.decode()
    )


def styled(text: str, style: str = "", longest: int = 0) -> Text:
    """Cleaned text that rich shows as it is."""
    return Text(clean(text, longest), style=style)


def value(recorded: Json, longest: int = LONGEST_VALUE) -> str:
    """A recorded value in a few characters; long hashes are cut to 12."""
    if isinstance(recorded, str):
        if _HASH.match(recorded):
            recorded = (
                short_hash(recorded) + recorded.partition(" ")[1] + recorded.partition(" ")[2]
            )
        return clean(recorded, longest) or '""'
    if isinstance(recorded, float):
        return repr(recorded)
    try:
        text = msgspec.json.encode(recorded).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(recorded)
    return clean(text, longest)


def short_hash(digest: str) -> str:
    """The first characters of a hash."""
    return clean(digest[:HASH_SHOWN])


def small(number: float | None) -> str:
    """A relative size: two digits are all it is worth."""
    if number is None:
        return "-"
    return "0" if number == 0 else f"{number:.1e}"


def distinct(a: float, b: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see where they differ, and two more."""
    for digits in range(6, 17):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            more = min(digits + 2, 17)
            return f"{a:.{more}g}", f"{b:.{more}g}"
    return repr(a), repr(b)


def index_range(bounds: Iterable[tuple[int, int]]) -> str:
    """A half-open range of global indices as NumPy writes it: ``[0:16, 32:48]``."""
    return "[" + ", ".join(f"{low}:{high}" for low, high in bounds) + "]"


def ranks(numbers: tuple[int, ...], most: int = 4) -> str:
    """Rank numbers; a dash where they are not known."""
    if not numbers:
        return "-"
    more = f" +{len(numbers) - most}" if len(numbers) > most else ""
    return ", ".join(str(r) for r in numbers[:most]) + more


def plural(n: int, one: str, many: str = "") -> str:
    """``1 sample``, ``2 samples``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment(seconds: float) -> str:
    """A time since the epoch as date and time in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s since 1970"


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def percent(part: float) -> str:
    """A share as a percentage, no finer than it is known."""
    hundredths = 100 * part
    if 0 < hundredths < 1:
        return "< 1 %"
    return f"{hundredths:.0f} %"


# The page that every report is printed on: at most 100 columns, calm, and plain when piped.


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


def more(total: int, printed: int, what: str) -> Text:
    """A line that says how many rows were left out."""
    return Text(f"... and {total - printed:,} more {what} (--json has all)", style="dim")
