"""A journal as it is found on storage: every whole record in it, and what follows the last."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    DamagedBundleError,
    DoubtfulFormatError,
    NewerFormatError,
    NotABundleError,
)
from ..model.record import FORMAT_VERSION
from .framing import (
    FRAME_MAGIC,
    FRAME_SIZE,
    HEADER_SIZE,
    LARGEST_ORIGIN,
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
    peek_frame,
    unpack_frame,
)
from .records import KINDS, Kind, next_link, short

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
    size : int
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
    size: int
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
    return len(beginning) <= HEADER_SIZE + LARGEST_ORIGIN and FRAME_MAGIC not in beginning


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
        Records of lower numbers are in the ``.h5`` already.
    upto : int, optional
        The journal ends at this byte, whatever may be written behind it meanwhile.
    scanned : bool
        Whether to look for the records; without, only `survivors` can be asked for.
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
        self.broken = None
        if scanned:
            self._scan()

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
                length = max(size, min(WINDOW, end - offset))
                window, start = self.read(length, offset), offset
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

    def _scan(self) -> None:
        """Index the records up to the first that is not whole."""
        expected = self.header.first
        offset, size = self.header.size, WINDOW
        while offset < self.size:
            size = min(size, self.size - offset)
            data = memoryview(self.read(size, offset))
            if len(data) < size:
                # Its writer cut it back meanwhile.
                self.size = offset + len(data)
            used, expected = self._take_whole(data, offset, expected)
            offset += used
            problem, size = self._diagnose(data[used:], offset, expected)
            if problem:
                self.broken = self._break(offset, expected, problem)
                return

    def _take_whole(self, data: memoryview, offset: int, expected: int) -> tuple[int, int]:
        """Index the whole frames at the start of `data`: bytes used, and the next number."""
        at, end = 0, len(data)
        while at + FRAME_SIZE <= end:
            magic, crc, size, kind, sequence, chain = unpack_frame(data, at)
            stop = at + FRAME_SIZE + size
            if (
                magic != FRAME_MAGIC
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

    def _diagnose(self, data: memoryview, offset: int, expected: int) -> tuple[str, int]:
        """Why no whole frame begins `data`: the problem, or how many bytes are needed to tell."""
        remaining = self.size - offset
        if not remaining:
            return "", WINDOW
        if remaining < FRAME_SIZE:
            return "the file ends within a record", 0
        if len(data) < FRAME_SIZE:
            return "", WINDOW
        frame = peek_frame(data, 0)
        if frame is None:
            return "bytes that are no record", 0
        if frame.sequence != expected:
            return f"a record that calls itself {frame.sequence}", 0
        length = FRAME_SIZE + frame.size
        if length > remaining:
            return "the file ends within a record", 0
        if length > len(data):
            return "", max(WINDOW, length)
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
            at = data.find(FRAME_MAGIC, offset - base)
            if at < 0:
                offset = max(offset + 1, base + len(data) - len(FRAME_MAGIC) + 1)
                continue
            offset = base + at
            if at + FRAME_SIZE > len(data):
                continue
            frame = peek_frame(data, at)
            if frame is None or frame.sequence < sequence:
                offset += 1
                continue
            length = FRAME_SIZE + frame.size
            if at + length > len(data) and offset + length <= self.size:
                data, base, at = self.read(max(length, WINDOW), offset), offset, 0
            budget -= length
            if at + length <= len(data) and check_frame(memoryview(data), at, frame):
                yield frame, offset
                sequence = frame.sequence + 1
                offset += length
            else:
                offset += 1
