"""A journal as it is found on storage: every whole record in it, and what follows the last."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import struct
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import (
    BundleBusyError,
    DamagedBundleError,
    DoubtfulFormatError,
    NewerFormatError,
    NotABundleError,
)
from ..model.record import FORMAT_VERSION, canonical_json
from ..model.series import Event, Segment, SegmentEnd
from .files import BundlePaths, FileSystem, bundle_paths, open_to_read
from .framing import (
    FRAME_SIZE,
    HEADER_SIZE,
    KINDS,
    LARGEST_ORIGIN,
    MARK,
    CutHeader,
    DoubtfulHeader,
    ForeignHeader,
    Frame,
    Header,
    InvalidHeader,
    NewerHeader,
    Origin,
    check_frame,
    decode_header,
    encode_frame,
    peek_frame,
    unpack_frame,
)
from .records import Kind, next_link, short
from .writer_options import Durability

WINDOW = 4 << 20


@dataclass(frozen=True)
class Break:
    """Where the whole records of a journal end although the file goes on.

    Attributes
    ----------
    offset, sequence : int
        Byte at which the first record that is not whole begins, and the number it would have.
    problem : str
        What is wrong there.
    lost : int
        Bytes of the file from `offset` on.
    after : int
        Whole records found past `offset`.
    acknowledged : bool
        A record was written after a later checkpoint had been synced, so that storage lost what
        it had confirmed. Otherwise the break is what a killed run or a power cut leaves.
    """

    offset: int
    sequence: int
    problem: str
    lost: int
    after: int
    acknowledged: bool

    def __str__(self) -> str:
        text = f"{self.problem} at byte {self.offset}, in place of record {self.sequence}"
        return text + (f"; {self.after} whole records follow" if self.after else "")


def read_header(path: Path, handle: int) -> Header | None:
    """The header of the journal `path`; None if the writer was stopped while making it.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        What else may be the matter with it.
    """
    try:
        return decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0))
    except NewerHeader as problem:
        raise NewerFormatError(
            path,
            f"was written in {problem}; this simckpt knows versions up to {FORMAT_VERSION}",
            "Install a newer simckpt.",
        ) from None
    except (CutHeader, ForeignHeader) as problem:
        # No record is written before the header is on storage: where one is, that was damaged.
        if holds_records(path, handle):
            raise _damaged_header(path, "its header is damaged, and records follow") from None
        if isinstance(problem, CutHeader):
            return None
        raise NotABundleError(path, f"is not a simckpt journal: {problem}") from None
    except DoubtfulHeader as problem:
        raise DoubtfulFormatError(path, problem.version, FORMAT_VERSION) from None
    except InvalidHeader as problem:
        if _holds_nothing(handle):
            # A power cut takes parts of a header, too, before anything is written behind it.
            return None
        raise _damaged_header(path, str(problem)) from None


def _holds_nothing(handle: int) -> bool:
    """Whether nothing that could be a record follows where a header is not whole."""
    beginning = os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN + FRAME_SIZE, 0)
    return len(beginning) <= HEADER_SIZE + LARGEST_ORIGIN and MARK not in beginning


def holds_records(path: Path, handle: int) -> bool:
    """Whether a whole record lies anywhere in the file, whatever it begins with."""
    unknown = Header(Origin(run_id=""), 0, bytes(32), 0)
    journal = Journal(path, os.dup(handle), unknown, scanned=False)
    try:
        return next(journal.survivors(0, 0), None) is not None
    finally:
        journal.close()


def _damaged_header(path: Path, problem: str) -> DamagedBundleError:
    return DamagedBundleError(path, problem, "Try: simckpt recover --salvage <bundle>.")


class Journal:
    """The whole records of one journal, by number; payloads are read when they are asked for.

    Parameters
    ----------
    path : Path
        The journal.
    handle : int
        Its open file, closed with this object.
    header : Header
        What `read_header` found.
    skip_before : int
        Records of lower numbers are in the folded file already.
    upto : int, optional
        The journal ends at this byte, whatever may be written behind it meanwhile.
    scanned : bool
        Look for the records at once. If false, iterate over `scan` first.
    """

    broken: Break | None

    def __init__(
        self,
        path: Path,
        handle: int,
        header: Header,
        skip_before: int = 0,
        *,
        upto: int | None = None,
        scanned: bool = True,
    ) -> None:
        self.path = path
        self.header = header
        self._handle = handle
        self._kinds = bytearray()
        self._chains = array("Q")
        self._offsets = array("Q")
        self._sizes = array("L")
        self.first = max(header.first, skip_before)
        self.last_skipped_chain: int | None = None
        self.end = header.size
        self.size = os.fstat(handle).st_size if upto is None else upto
        if scanned:
            for _ in self.scan():
                pass

    @property
    def next(self) -> int:
        """The number of the record that would follow."""
        return self.first + len(self._kinds)

    @property
    def kinds(self) -> NDArray[np.uint8]:
        return np.frombuffer(bytes(self._kinds), np.uint8)

    @property
    def chains(self) -> NDArray[np.uint64]:
        return np.array(self._chains, np.uint64)

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each payload."""
        return np.array(self._sizes, np.int64)

    def payloads(self, indices: Sequence[int]) -> Iterator[bytes]:
        """The payloads of the records ``first + i`` for each `i`, best in rising order."""
        window, start = b"", 0
        end = self._offsets[indices[-1]] + self._sizes[indices[-1]] if indices else 0
        for i in indices:
            offset, size = self._offsets[i], self._sizes[i]
            if not (start <= offset and offset + size <= start + len(window)):
                wanted = max(size, min(WINDOW, end - offset))
                window, start = self.read(wanted, offset), offset
            payload = window[offset - start : offset - start + size]
            if len(payload) != size:
                raise DamagedBundleError(
                    self.path, "became shorter while it was read", "Open the bundle again."
                )
            yield payload

    def payload(self, i: int) -> bytes:
        """The payload of the record ``first + i``."""
        payload = self.read(self._sizes[i], self._offsets[i])
        if len(payload) != self._sizes[i]:
            raise DamagedBundleError(
                self.path, "became shorter while it was read", "Open the bundle again."
            )
        return payload

    def end_link(self, link: bytes) -> bytes:
        """The link after the last record, where `link` is the one before ``first``.

        Raises
        ------
        DamagedBundleError
            If a record does not continue the chain.
        """
        for i, payload in enumerate(self.payloads(range(len(self._kinds)))):
            link = next_link(link, self._kinds[i], payload)
            if short(link) != self._chains[i]:
                raise DamagedBundleError(
                    self.path,
                    f"record {self.first + i} does not continue the chain of the records before it",
                    "Run: simckpt verify <bundle>.",
                )
        return link

    def close(self) -> None:
        """Give the file back."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes of the file from `offset` on."""
        return os.pread(self._handle, size, offset)

    def scan(self, window: int = WINDOW) -> Iterator[None]:
        """Index the records up to the first that is not whole, `window` bytes at a time."""
        self.broken = None
        expected = self.header.first
        offset, want = self.header.size, window
        while offset < self.size:
            asked = min(want, self.size - offset)
            data = memoryview(self.read(asked, offset))
            if len(data) < asked:
                # Its writer cut it back meanwhile.
                self.size = offset + len(data)
            used, expected = self._take_whole(data, offset, expected)
            offset += used
            problem, want = self._diagnose(data[used:], offset, expected, window)
            if problem:
                self.broken = self._break(offset, expected, problem)
                return
            yield

    def _take_whole(self, data: memoryview, offset: int, expected: int) -> tuple[int, int]:
        """Index the whole frames at the start of `data`: bytes used, and the next number."""
        at, end = 0, len(data)
        while at + FRAME_SIZE <= end:
            mark, crc, size, kind, sequence, chain = unpack_frame(data, at)
            stop = at + FRAME_SIZE + size
            if (
                mark != MARK
                or sequence != expected
                or stop > end
                or kind not in KINDS
                or crc32(data[at + 8 : stop]) != crc
            ):
                break
            if sequence < self.first:
                self.last_skipped_chain = chain
            else:
                self._kinds.append(kind)
                self._chains.append(chain)
                self._offsets.append(offset + at + FRAME_SIZE)
                self._sizes.append(size)
            at = stop
            expected += 1
        self.end = offset + at
        return at, expected

    def _diagnose(
        self, data: memoryview, offset: int, expected: int, window: int
    ) -> tuple[str, int]:
        """Why no whole frame begins `data`: the problem, or how many bytes are needed to tell."""
        left = self.size - offset
        if not left:
            return "", window
        if left < FRAME_SIZE:
            return "the file ends within a record", 0
        if len(data) < FRAME_SIZE:
            return "", window
        frame = peek_frame(data, 0)
        if frame is None:
            return "bytes that are no record", 0
        if frame.sequence != expected:
            return f"a record that calls itself {frame.sequence}", 0
        whole = FRAME_SIZE + frame.size
        if whole > left:
            return "the file ends within a record", 0
        if whole > len(data):
            return "", max(window, whole)
        return "a record whose checksum does not hold", 0

    def _break(self, offset: int, sequence: int, problem: str) -> Break:
        after, commits, acknowledged = 0, 0, False
        for frame, _ in self.survivors(offset, sequence):
            after += 1
            acknowledged = acknowledged or commits > 0
            commits += frame.kind == Kind.CHECKPOINT
        return Break(offset, sequence, problem, self.size - offset, after, acknowledged)

    def survivors(self, offset: int, sequence: int) -> Iterator[tuple[Frame, int]]:
        """Whole records past `offset` with numbers from `sequence` on, and where they begin.

        The work is bounded by a few readings of the file, whatever is in it.
        """
        budget = 4 * (self.size - offset) + (64 << 20)
        data, base = b"", offset
        while offset + FRAME_SIZE <= self.size and budget > 0:
            if offset - base + FRAME_SIZE > len(data):
                data, base = self.read(WINDOW, offset), offset
                budget -= len(data)
            at = data.find(MARK, offset - base)
            if at < 0:
                offset = max(offset + 1, base + len(data) - len(MARK) + 1)
                continue
            offset = base + at
            if at + FRAME_SIZE > len(data):
                continue
            frame = peek_frame(data, at)
            if frame is None or frame.sequence < sequence:
                offset += 1
                continue
            whole = FRAME_SIZE + frame.size
            if at + whole > len(data) and offset + whole <= self.size:
                data, base, at = self.read(max(whole, WINDOW), offset), offset, 0
            budget -= whole
            if at + whole <= len(data) and check_frame(memoryview(data), at, frame):
                yield frame, offset
                sequence = frame.sequence + 1
                offset += whole
            else:
                offset += 1


# The journal being written: frames held until storage has confirmed them.
#
#     buffered   encoded, in memory alone
#     written    given to the operating system: outlives the process, not the machine
#     synced     storage has confirmed it; only now is a checkpoint acknowledged
#
# Frames stay in memory until they are synced. When storage refuses a write or a sync, it is not
# known which bytes it kept; so the next attempt cuts the file back to what was synced and writes
# everything since then again. Nothing is ever written after bytes whose fate is unknown, nor
# behind an end that is not where this writer put it: something else wrote to the file then.


_WITNESS = 64
"""Bytes at the end of what was written that tell whether it is still there."""


class JournalAltered(OSError):
    """Something else has cut or overwritten the journal that is being written."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "something else has cut or overwritten the journal")


class Appender:
    """One open journal.

    Parameters
    ----------
    files : FileSystem
        Storage.
    path : Path
        The journal.
    handle : int
        Its open file, of which the bytes before `end` are synced.
    header : bytes
        What it begins with.
    end : int
        Where the next frame goes.
    durability : {"fsync", "flush"}
        With ``"flush"``, `sync` leaves the time of writing to the operating system.

    Attributes
    ----------
    folder_pending : bool
        The file's name in its folder is not on storage yet: the next `sync` sees to it.
    """

    def __init__(
        self,
        files: FileSystem,
        path: Path,
        handle: int,
        header: bytes,
        end: int,
        durability: Durability,
    ) -> None:
        self._files = files
        self.path = path
        self.header = header
        self._handle = handle
        self._durability = durability
        self._synced = end
        self._frames = bytearray()
        self._written = 0
        self._doubtful = False
        self._witness = files.read(handle, max(0, end - _WITNESS), min(end, _WITNESS))
        self.folder_pending = True

    @property
    def handle(self) -> int:
        """The open file."""
        return self._handle

    @property
    def synced(self) -> int:
        """Bytes of the journal that storage has confirmed."""
        return self._synced

    @property
    def held(self) -> int:
        """Bytes of frames in memory that are not synced."""
        return len(self._frames)

    @property
    def buffered(self) -> int:
        """Bytes of frames that the operating system has not got."""
        return len(self._frames) - self._written

    @property
    def size(self) -> int:
        """Bytes of the journal once all is written."""
        return self._synced + len(self._frames)

    @property
    def frames(self) -> bytes:
        """Those frames."""
        return bytes(self._frames)

    def add(self, kind: int, sequence: int, chain: int, payload: bytes) -> None:
        """Hold the frame of a record."""
        self._frames += encode_frame(kind, sequence, chain, payload)

    def write(self) -> None:
        """Give what is buffered to the operating system.

        Raises
        ------
        JournalAltered
            If the file does not end where it should. Nothing was written then.
        OSError
            If storage refuses.
        """
        if self.buffered or self._doubtful:
            self._check_end()
        if self._doubtful:
            self._attempt(self._cut_back)
        if self.buffered:
            self._attempt(self._write)

    def sync(self) -> None:
        """Return once all frames are on storage; OSError if it refuses."""
        self.write()
        if self._frames and self._durability == "fsync":
            self._attempt(lambda: self._files.fsync(self._handle))
        if self.folder_pending:
            self._files.sync_folder(self.path.parent)
            self.folder_pending = False
        self._synced += len(self._frames)
        self._witness = self._seen(len(self._frames))
        self._frames.clear()
        self._written = 0

    def check(self) -> None:
        """JournalAltered unless the file begins and ends as it should."""
        self._check_end()
        if self._files.read(self._handle, 0, len(self.header)) != self.header:
            raise JournalAltered

    def _check_end(self) -> None:
        # What was given to a storage that then refused may be there, or not.
        written = 0 if self._doubtful else self._written
        seen, end = self._seen(written), self._synced + written
        there = self._files.read(self._handle, end - len(seen), len(seen) + 1)
        if there[: len(seen)] != seen or (len(there) > len(seen) and not self._doubtful):
            raise JournalAltered

    def _seen(self, written: int) -> bytes:
        """The last bytes of the file, when so many bytes of frames are written."""
        if written >= _WITNESS:
            return bytes(memoryview(self._frames)[written - _WITNESS : written])
        return (self._witness + self._frames[:written])[-_WITNESS:]

    def close(self) -> None:
        """Give the file back; what is not written is lost."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            self._files.close(handle)

    def _write(self) -> None:
        data = bytes(memoryview(self._frames)[self._written :])
        self._files.write(self._handle, self._synced + self._written, data)
        self._written = len(self._frames)

    def _cut_back(self) -> None:
        self._files.truncate(self._handle, self._synced)
        self._written = 0
        self._doubtful = False

    def _attempt(self, operation: Callable[[], None]) -> None:
        try:
            operation()
        except BaseException:
            self._doubtful = True
            raise


# One writer a bundle: the lock on the journal, and the lease in its header.
#
# The lock is the operating system's, and goes with the process. But a child that the run forked
# keeps it after the run's death, and some parallel file systems have no locks, or locks that other
# hosts do not see. So the header also names the host, process and its time of birth. A lease whose
# process is dead is void. Of a process on another host nobody here can tell; but who lives writes,
# so a journal that was written to just now is watched for a moment.
#
# Should both be taken in, as it is when a run writes seldom: the later one puts a new journal in
# the place, which the former finds at its next commit. It then writes no more, and says so.


RECENT = 60.0
"""A journal on another host's lease is watched if it is no older, in seconds."""

WATCH = 2.0
"""Twice as long as a run lets samples wait before it writes them."""


def own_lease(run_id: str) -> Origin:
    """The lease of this process."""
    pid = os.getpid()
    return Origin(run_id=run_id, host=socket.gethostname(), pid=pid, born=_born(pid))


def writer_lives(journal: Path) -> bool | None:
    """Whether the process that writes a journal is there; None if that cannot be told from here.

    Of a run on another host nobody here can tell.
    """
    try:
        handle = open_to_read(journal)
    except FileNotFoundError:
        return False
    except NotABundleError:
        return None
    try:
        origin = decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except (InvalidHeader, OSError):
        return None
    finally:
        os.close(handle)
    if origin.host != socket.gethostname():
        return None
    return bool(origin.born) and _born(origin.pid) == origin.born


def take(journal: Path, files: FileSystem) -> int | None:
    """Open and lock the journal; None if there is none.

    Raises
    ------
    BundleBusyError
        If another live process writes it.
    OSError
        If it cannot be opened for writing.
    """
    while True:
        try:
            handle = files.open(journal)
        except FileNotFoundError:
            return None
        if holder := _holder(handle, files.lock(handle)):
            files.close(handle)
            raise BundleBusyError(
                journal,
                f"is being written by process {holder.pid} on {holder.host}",
                "Wait until it has ended, or choose another path.",
            )
        # A writer that folds puts a new journal in the place of the one it holds: the lock of
        # the old one says nothing of the new.
        if files.is_at(handle, journal):
            return handle
        files.close(handle)


def _holder(handle: int, locked: bool | None) -> Origin | None:
    """Who writes the journal, as far as can be told; None if nobody does."""
    try:
        origin = decode_header(os.pread(handle, HEADER_SIZE + LARGEST_ORIGIN, 0)).origin
    except InvalidHeader:
        return Origin(run_id="", host="this host") if locked is False else None
    if origin.host == socket.gethostname():
        # Who has the lock knows better than the header.
        return None if locked or _born(origin.pid) != origin.born else origin
    return origin if locked is False or (origin.host and _grows(handle)) else None


def _grows(handle: int) -> bool:
    before = os.fstat(handle)
    if time.time() - before.st_mtime > RECENT:
        return False
    until = time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(0.05)
        now = os.fstat(handle)
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return True
    return False


def _born(pid: int) -> str:
    """When a process was started, in clock ticks since boot; empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


# The last words of a rank that ends the job: a small file of its own beside the journal.
#
# Rank 0 alone writes the journal, and may be waiting for a message that the rank which failed will
# never send. So that rank leaves ``NAME.simckpt.rank3`` before it aborts the job. Readers show what
# it says as an event; the next writer takes it into the journal and removes the file.
#
# ``magic[8] version:u32 size:u32 crc:u32`` and `size` bytes of JSON, the event. A file that does
# not keep to this was torn with its rank, and says nothing.


MAGIC = b"SIMCKPTW"
LARGEST = 64 << 10
MOST = 64
"""So many ranks are heard: a thousand that fail in one moment have one thing to say."""

_HEADER = struct.Struct("<8sIII")


def leave(path: str | os.PathLike[str], event: Event) -> None:
    """Write the last words of rank ``event.rank`` of the run whose bundle is at `path`.

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


def files(paths: BundlePaths) -> tuple[Path, ...]:
    """The files of last words of a bundle, by rank."""
    pattern = re.compile(re.escape(paths.stem.name) + r"\.simckpt\.rank(\d{1,9})")
    found: list[re.Match[str]] = []
    with contextlib.suppress(OSError), os.scandir(paths.stem.parent) as entries:
        found = [match for entry in entries if (match := pattern.fullmatch(entry.name))]
    ranks = sorted((int(match[1]), match[0]) for match in found)
    return tuple(paths.stem.parent / name for _, name in ranks)


def heard(paths: BundlePaths, since: float) -> tuple[Event, ...]:
    """What ranks had to say last, at `since` (seconds since the epoch) or later; by rank."""
    events = (_read(path) for path in files(paths)[:MOST])
    return tuple(event for event in events if event is not None and event.wall >= since)


def ending(segment: Segment, words: tuple[Event, ...]) -> SegmentEnd:
    """How `segment` ended, by the earliest of the last `words` in it."""
    first = min(words, key=lambda event: event.wall)
    return SegmentEnd(
        segment=segment.index,
        ending="exception",
        ended=first.wall,
        step=first.step,
        why=f"rank {first.rank}: {first.text}",
    )


def clear(paths: BundlePaths) -> None:
    """Remove the files of last words; what storage refuses to remove stays."""
    for path in files(paths):
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


# Samples that were refused because storage failed for too long, and how the bundle says so.


class Losses:
    """What was lost since it was last said.

    Attributes
    ----------
    lost : int
        Samples and rows of tiles that were refused, in all.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._missing: tuple[int, ...] = ()

    def note(self, step: int) -> None:
        """One of `step` was refused."""
        self.lost += 1
        self._missing = (*self._missing[:1], step)

    def said(self, wall: float, trouble: str) -> tuple[Event, ...]:
        """The event that says what was lost since the last one, if anything was."""
        if not self._missing:
            return ()
        first, last = self._missing[0], self._missing[-1]
        self._missing = ()
        return (
            Event(
                name="samples_lost",
                severity="error",
                step=first,
                wall=wall,
                text=f"samples of the steps {first} to {last} were lost: storage refused them "
                f"for too long ({trouble})",
                facts={"first": first, "last": last, "lost": self.lost},
            ),
        )
