"""The notice of a rank that aborts the job: a small file of its own beside the journal.

Rank 0 alone writes the journal, and may be waiting for a message that the rank which failed will
never send. So that rank writes ``NAME.simckpt.rank3`` before it aborts the job. Readers show the
event in it; the next writer records the event and removes the file.

``magic[8] version:u32 size:u32 crc:u32`` and `size` bytes of JSON, the event. A file that is not
of this form was torn with its rank, and is ignored.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from pathlib import Path
from zlib import crc32

import msgspec

from ..model.record import FORMAT_VERSION, canonical_json
from ..model.series import Event, Segment, SegmentEnd
from .files import BundlePaths, bundle_paths

MAGIC = b"SIMCKPTW"
LARGEST = 64 << 10
MOST_READ = 64
"""Notices that are read: a thousand ranks that fail at once have one reason."""

_HEADER = struct.Struct("<8sIII")


def write_notice(path: str | os.PathLike[str], event: Event) -> None:
    """Write the notice of rank ``event.rank`` of the run whose bundle is at `path`.

    Raises
    ------
    OSError
        If storage refuses.
    """
    text = canonical_json(event)
    if len(text) > LARGEST:
        text = canonical_json(msgspec.structs.replace(event, facts={}, text=event.text[:4000]))
    stem = bundle_paths(path).stem
    handle = os.open(
        stem.with_name(f"{stem.name}.simckpt.rank{event.rank}"),
        os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o666,
    )
    try:
        os.write(handle, _HEADER.pack(MAGIC, FORMAT_VERSION, len(text), crc32(text)) + text)
        os.fsync(handle)
    finally:
        os.close(handle)


def notice_files(paths: BundlePaths) -> tuple[Path, ...]:
    """The notices beside a bundle, by rank."""
    pattern = re.compile(re.escape(paths.stem.name) + r"\.simckpt\.rank(\d{1,9})")
    matches: list[re.Match[str]] = []
    with contextlib.suppress(OSError), os.scandir(paths.stem.parent) as entries:
        matches = [match for entry in entries if (match := pattern.fullmatch(entry.name))]
    ranks = sorted((int(match[1]), match[0]) for match in matches)
    return tuple(paths.stem.parent / name for _, name in ranks)


def read_notices(paths: BundlePaths, since: float) -> tuple[Event, ...]:
    """The events of notices from `since` (seconds since the epoch) on, by rank."""
    events = (_read(path) for path in notice_files(paths)[:MOST_READ])
    return tuple(event for event in events if event is not None and event.wall >= since)


def abort_ending(segment: Segment, events: tuple[Event, ...]) -> SegmentEnd:
    """How `segment` ended, by the earliest of the `events` of its notices."""
    first = min(events, key=lambda event: event.wall)
    return SegmentEnd(
        segment=segment.index,
        ending="exception",
        ended=first.wall,
        step=first.step,
        why=f"rank {first.rank}: {first.text}",
    )


def remove_notices(paths: BundlePaths) -> None:
    """Remove the notices; what storage refuses to remove stays."""
    for path in notice_files(paths):
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> Event | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(handle, _HEADER.size + LARGEST)
    except OSError:
        return None
    finally:
        os.close(handle)
    if len(data) < _HEADER.size:
        return None
    magic, version, size, crc = _HEADER.unpack_from(data)
    text = data[_HEADER.size :]
    if magic != MAGIC or version > FORMAT_VERSION or len(text) != size or crc32(text) != crc:
        return None
    try:
        return msgspec.json.decode(text, type=Event)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
