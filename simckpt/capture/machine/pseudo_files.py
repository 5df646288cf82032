"""Reading the small text files of /proc and /sys."""

from __future__ import annotations

from pathlib import Path


def read_line(path: Path) -> str:
    """The stripped text of a small file; "" where it is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError:
        return ""


def read_table(path: Path, limit: int = 65_536) -> dict[str, str]:
    """The ``name: value`` lines of a file up to its first blank line."""
    with path.open("rb") as file:
        text = file.read(limit).decode("utf-8", "replace")
    table: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon:
            table.setdefault(name.strip(), value.strip())
    return table


def folders(path: Path, prefix: str) -> list[Path]:
    """The entries of `path` named `prefix` and a number, by that number."""
    try:
        names = [p for p in path.iterdir() if p.name.removeprefix(prefix).isdecimal()]
    except OSError:
        return []
    named = [p for p in names if p.name.startswith(prefix)]
    return sorted(named, key=lambda p: int(p.name.removeprefix(prefix)))


def count_list(text: str) -> int:
    """How many numbers a kernel list such as ``0-3,8-11`` names."""
    count = 0
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal():
            count += int(last) - int(first) + 1 if dash else 1
    return count
