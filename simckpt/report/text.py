"""How recorded values become text: one way, so that nothing in a bundle can steer a terminal.

Text from a bundle is written by whoever wrote the bundle. Control characters, which move the
cursor or recolour the screen, and marks that reverse the direction of writing are shown as
escapes; nothing is ever parsed as markup, since all of it is wrapped in `rich.text.Text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from rich.text import Text

from ..errors import UNSAFE, harmless
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


def apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see where they differ, and two more."""
    for digits in range(6, 17):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            shown = min(digits + 2, 17)
            return f"{a:.{shown}g}", f"{b:.{shown}g}"
    return repr(a), repr(b)


def index_range(bounds: Iterable[tuple[int, int]]) -> str:
    """A half-open range of global indices as NumPy writes it: ``[0:16, 32:48]``."""
    return "[" + ", ".join(f"{low}:{high}" for low, high in bounds) + "]"


def ranks(held: tuple[int, ...], most: int = 4) -> str:
    """Rank numbers; a dash where they are not known."""
    if not held:
        return "-"
    more = f" +{len(held) - most}" if len(held) > most else ""
    return ", ".join(str(r) for r in held[:most]) + more


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


def share(part: float) -> str:
    """A cause's share: it orders the causes and is no certainty, so it never reads 100 %."""
    return percent(min(part, 0.99))
