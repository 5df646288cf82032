"""The build id of an ELF file: a hash of its contents that the linker wrote into it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_NOTE_SEGMENT = 4
_BUILD_ID = 3
_MOST_SEGMENTS = 256
_LONGEST_NOTE = 65_536


def build_id(path: Path) -> str:
    """The GNU build id as hexadecimal digits; "" if the file has none or is no ELF file.

    From the notes in the program headers (System V ABI, "Note Section"): name size,
    description size, type, then name and description, each padded to four bytes.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2):
            return ""
        wide = head[4] == 2
        order = ">" if head[5] == 2 else "<"
        for offset, size in _notes(file, head, wide=wide, order=order):
            file.seek(offset)
            found = _find(file.read(min(size, _LONGEST_NOTE)), order)
            if found:
                return found
    return ""


def _notes(file: BinaryIO, head: bytes, *, wide: bool, order: str) -> list[tuple[int, int]]:
    """Offset and size of each note segment."""
    if wide:
        (start,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        (start,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
    if size < (56 if wide else 32) or count > _MOST_SEGMENTS:
        return []
    file.seek(start)
    table = file.read(size * count)
    notes = []
    for i in range(len(table) // size):
        (kind,) = struct.unpack_from(order + "I", table, i * size)
        if kind == _NOTE_SEGMENT:
            if wide:
                offset, length = (
                    struct.unpack_from(order + "Q", table, i * size + at)[0] for at in (8, 32)
                )
            else:
                offset, length = (
                    struct.unpack_from(order + "I", table, i * size + at)[0] for at in (4, 16)
                )
            notes.append((offset, length))
    return notes


def _find(notes: bytes, order: str) -> str:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(order + "III", notes, at)
        name_at = at + 12
        at = name_at + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            return notes[at : at + size].hex()
        at += (size + 3) // 4 * 4
    return ""
