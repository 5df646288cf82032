"""The fold: all records of a bundle into one whole HDF5 file, in bounded memory.

The file is netCDF-4: every array has dimension scales, and holds integers, float64 or UTF-8
text. Beside the arrays that people and tools read, `/records` keeps what is needed to give
each record back byte for byte, in order.

The work is done in pieces of a few milliseconds, with a yield behind each: a run that goes on
does some of them now and then (see `folding`), and everybody else all at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedBundleError
from ..model.record import FORMAT_VERSION
from ..model.series import Sample
from .appender import Appender, WriterOptions
from .files import BundlePaths, FileSystem, harmless_in_forks, is_there, open_to_read
from .folded import FoldedFile
from .framing import (
    FRAME_SIZE,
    USER_BLOCK,
    Origin,
    RestHasher,
    Seal,
    SealCheck,
    decode_header,
    encode_header,
    encode_seal,
    unpack_frame,
)
from .hdf5 import array, fill, plain, scale, scale_of_size, text
from .journal import Journal, read_header
from .layout import TABLES, Table
from .recorded import Recorded
from .records import FIRST_LINK, Kind, decode
from .sources import Sources
from .succession import Header, copied, shortened
from .waiting import Pieces, Waits, at_once, beside

if TYPE_CHECKING:
    import h5py

    from .layout import TileGroup

# A journal that something else has cut or overwritten, made again from what there still is.
#
# Whole records at its beginning stay, and so do those in memory that storage has not confirmed yet.
# What was between is lost but for the records without which nothing that follows would make sense:
# of those the writer keeps a copy.


KEPT_BYTES = 1 << 20
"""Documents of so many bytes are kept."""


class Known:
    """The records that are kept: of the run, its segments and schemas, and first documents."""

    def __init__(self) -> None:
        self._records: list[tuple[int, Kind, bytes]] = []
        self._room = KEPT_BYTES

    def note(self, number: int, kind: Kind, payload: bytes) -> None:
        """A record was made; keep it if it is one of them."""
        if kind == Kind.DOCUMENT:
            if len(payload) > self._room and b'"kind":"series_schema"' not in payload:
                return
            self._room -= len(payload)
        elif kind not in (Kind.RUN, Kind.SEGMENT, Kind.SCHEMA):
            return
        self._records.append((number, kind, payload))

    def take(self, first: int, stop: int) -> list[tuple[Kind, bytes]]:
        """The records `first` to `stop`; from `first` on none is kept any more."""
        taken = [(kind, payload) for n, kind, payload in self._records if first <= n < stop]
        self._room += sum(len(p) for n, k, p in self._records if n >= first and k == Kind.DOCUMENT)
        self._records = [record for record in self._records if record[0] < first]
        return taken


@dataclass(frozen=True)
class Remains:
    """What there still is: a journal with records up to `next`, and those that are in memory.

    `step` is that of its last sample or checkpoint; None if it holds none.
    """

    appender: Appender
    next: int
    link: bytes
    step: int | None
    pending: tuple[tuple[Kind, bytes], ...]


def remade(paths: BundlePaths, former: Appender, origin: Origin, options: WriterOptions) -> Remains:
    """A sound journal in the place of `former`, which is given back.

    Raises
    ------
    OSError, BundleError
        If storage refuses, or what the journal continues is gone. The former is as it was.
    """
    if options.files.is_at(former.handle, paths.journal) is False:
        raise OSError(errno.EEXIST, "another file has taken the place of the journal")
    pending = tuple(_records_remaking(former.frames))
    header = decode_header(former.header)
    known, link = _folded(paths)
    if header.first > known:
        raise OSError(errno.EIO, f"{paths.h5.name} is gone, which the journal continues")
    journal = Journal(paths.journal, os.dup(former.handle), header, known, upto=former.synced)
    try:
        step = _last_step(journal)
        link = journal.end_link(header.link if header.first == journal.first else link)
        beginning, start, stop = former.header, header.size, journal.end
        if journal.next == known:
            beginning, stop = encode_header(origin, known, link), start
        appender = copied(paths, former, beginning, start, stop, options)
        return Remains(appender, journal.next, link, step, pending)
    finally:
        journal.close()


def _last_step(journal: Journal) -> int | None:
    stepped = np.flatnonzero(np.isin(journal.kinds, (Kind.SAMPLE, Kind.CHECKPOINT)))
    if not len(stepped):
        return None
    last = int(stepped[-1])
    return int(cast(Sample, decode(journal.kinds[last], journal.payload(last))).step)


def _folded(paths: BundlePaths) -> tuple[int, bytes]:
    if not is_there(paths.h5):
        return 0, FIRST_LINK
    folded = FoldedFile(paths.h5, guarded=False)
    try:
        return folded.next, folded.seal.link
    finally:
        folded.close()


def _records_remaking(frames: bytes) -> Iterator[tuple[Kind, bytes]]:
    at = 0
    while at < len(frames):
        _, _, size, kind, _, _ = unpack_frame(frames, at)
        at += FRAME_SIZE
        yield Kind(kind), frames[at : at + size]
        at += size


# All records that are kept as text, laid end to end as the folded file keeps them.


_NO_TEXTS = (Kind.SAMPLE, Kind.TILES, Kind.DOCUMENT)


def text_ends(sources: Sources) -> NDArray[np.int64]:
    """Where the text of each record ends."""
    folded = sources.folded.text_ends() if sources.folded else np.empty(0, np.int64)
    journal = sources.journal
    sizes = journal.sizes()[_of_journal(sources)] if journal else np.empty(0, np.int64)
    start = int(folded[-1]) if len(folded) else 0
    return np.concatenate([folded, start + np.cumsum(sizes, dtype=np.int64)])


def text_pieces(sources: Sources, at_most: int) -> Iterator[bytes]:
    """The texts, in pieces of about so many bytes."""
    if sources.folded is not None:
        length = sources.folded.text_bytes()
        for at in range(0, length, at_most):
            yield sources.folded.read("records/text", slice(at, at + at_most)).tobytes()
    if sources.journal is not None:
        pending, held = [], 0
        for payload in sources.journal.payloads(_of_journal(sources).tolist()):
            pending.append(payload)
            held += len(payload)
            if held >= at_most:
                yield b"".join(pending)
                pending, held = [], 0
        yield b"".join(pending)


def _of_journal(sources: Sources) -> NDArray[np.int64]:
    return np.flatnonzero(~np.isin(sources.kinds[sources.split :], _NO_TEXTS))


PIECE = 256 << 10
ROWS = 1024
TABLE_ROWS = 100


def fold(recorded: Recorded, link: bytes, target: Path, files: FileSystem) -> None:
    """Write every record to `target` by way of a new file beside it.

    When this returns, `target` is whole and on storage. If it raises, the former `target` is
    as it was.

    Parameters
    ----------
    recorded : Recorded
        The records.
    link : bytes
        The link of the last of them.
    target : Path
        The ``.simckpt.h5``.
    files : FileSystem
        Storage.
    """
    for _ in fold_in_pieces(recorded, link, target, files, at_once):
        pass


def fold_in_pieces(
    recorded: Recorded, link: bytes, target: Path, files: FileSystem, waits: Waits
) -> Pieces:
    """`fold`, piece by piece; nothing of it is left behind if the iterator is closed early.

    Parameters
    ----------
    waits : callable
        How to wait for storage.
    """
    part = target.with_name(target.name + ".part")
    files.remove(part)
    try:
        yield from write_arrays(recorded, part)
        handle = files.adopt(part)
        try:
            hasher = RestHasher(handle)
            yield from hasher
            seal = Seal(hasher.length, recorded.next, link, hasher.digest)
            files.write(handle, 0, encode_seal(seal))
            yield from waits(lambda: files.fsync(handle))
        finally:
            files.close(handle)
        files.rename(part, target)
        files.sync_folder(target.parent)
    except BaseException:
        files.remove(part)
        raise


def write_arrays(recorded: Recorded, path: Path) -> Iterator[None]:
    """Write the HDF5 file of all records to `path`, its user block still empty."""
    import h5py

    with (
        h5py.File(
            path, "w", userblock_size=USER_BLOCK, track_order=True, libver="v108", locking=False
        ) as file,
        harmless_in_forks(file.id.get_vfd_handle()),
    ):
        run = recorded.run
        file.attrs["title"] = "simckpt bundle"
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["run_id"] = plain(run.run_id)
        file.attrs["campaign"] = plain(run.campaign)
        file.attrs["created"] = run.created
        file.attrs["simckpt_version"] = plain(run.simckpt_version)
        tiles = file.create_group("tiles", track_order=True)
        pieces = []
        for piece in recorded.tile_groups():
            pieces.append(piece)
            yield
        groups = np.concatenate(pieces)
        yield from _samples(file, tiles, recorded)
        yield from _statistics(tiles, recorded, groups)
        for table in TABLES:
            yield from _table(file, recorded, table)
        yield from _documents(file, recorded)
        yield from _records(file, recorded, groups)


def _samples(file: h5py.File, tiles: h5py.Group, recorded: Recorded) -> Iterator[None]:
    layout = recorded.layout
    own, columns = _series(file, recorded)
    yield
    yield from fill(file["series/sample"], np.arange(recorded.samples))
    segments = np.array([r.segment for r in recorded.schema_records], np.int64)
    schema = recorded.schema_of_sample
    yield from fill(own.pop("segment"), segments[schema])
    yield from fill(own.pop("schema"), schema)
    digests = []
    for i in range(len(layout.groups)):
        digests.append((yield from _digests(tiles, recorded, i)))  # noqa: PERF401 - it yields
    filled = [0] * len(digests)
    at = 0
    for block in recorded.sample_blocks(most=ROWS):
        n = len(block.step)
        for name, dataset in own.items():
            dataset[at : at + n] = getattr(block, name)
        yield
        for i, column in enumerate(layout.schemas[block.schema].columns):
            columns[column.name][at : at + n] = block.values[:, i]
            yield
        for cut in layout.slices[block.schema]:
            row = filled[cut.group]
            words = block.digests[:, cut.start : cut.stop]
            shape = (n, *layout.groups[cut.group].tiles.shape)
            digests[cut.group][row : row + n] = words.reshape(shape)
            filled[cut.group] = row + n
            yield
        at += n


def _series(
    file: h5py.File, recorded: Recorded
) -> tuple[dict[str, h5py.Dataset], dict[str, h5py.Dataset]]:
    """The arrays of `/series`: those that every sample has, and the columns."""
    layout = recorded.layout
    group = file.create_group("series", track_order=True)
    sample = [scale(group, "sample", recorded.samples)]
    own = {
        "step": array(group, "step", sample, np.int64, "step number of the driver"),
        "t": array(group, "t", sample, np.float64, "simulated time"),
        "wall": array(group, "wall", sample, np.float64, "seconds since 1970-01-01 UTC"),
        "faults": array(group, "faults", sample, np.int64, "diagnostics that failed"),
        "segment": array(group, "segment", sample, np.int64, "job attempt"),
        "schema": array(group, "schema", sample, np.int64, "which schema the sample has"),
    }
    columns = {}
    for name, column in layout.columns.items():
        dataset = array(group, layout.variables[name], sample, np.float64, name, np.nan)
        for key in ("kind", "of", "monotone", "note"):
            if value := getattr(column, key):
                dataset.attrs[key] = plain(value)
        dataset.attrs["exact"] = np.int32(column.exact)
        columns[name] = dataset
    return own, columns


def _digests(
    tiles: h5py.Group, recorded: Recorded, number: int
) -> Generator[None, None, h5py.Dataset]:
    """The group of one way of cutting a field, and in it the array of its digests."""
    place = recorded.layout.groups[number]
    group = _tile_group(tiles, place)
    runs = recorded.runs_of_group(number)
    rows = np.concatenate([np.arange(r.start, r.stop) for r in runs] or [np.arange(0)])
    sample = scale(group, "sample", len(rows))
    sample.attrs["long_name"] = "number of the sample in /series"
    yield from fill(sample, rows)
    scales = [sample, *_tile_scales(group, place)]
    return array(group, "digest", scales, np.uint64, "sum of the cells' mixes")


def _statistics(tiles: h5py.Group, recorded: Recorded, groups: NDArray[np.int64]) -> Iterator[None]:
    layout = recorded.layout
    datasets = []
    for i, place in enumerate(layout.groups):
        group = tiles[place.name]
        snapshot = scale(group, "snapshot", int(np.count_nonzero(groups == i)))
        snapshot.attrs["long_name"] = "step of a checkpoint"
        scales = [snapshot, *(group[f"tile_{k}"] for k in range(len(place.tiles.shape)))]
        datasets.append(
            (
                snapshot,
                *(
                    array(group, what, scales, np.float64, f"{what} over the cells of a tile")
                    for what in ("minimum", "maximum", "mean")
                ),
            )
        )
        yield
    filled = [0] * len(datasets)
    for block in recorded.tile_blocks(PIECE):
        rows = slice(filled[block.group], filled[block.group] + len(block.step))
        filled[block.group] = rows.stop
        data = (block.step, block.minimum, block.maximum, block.mean)
        for dataset, values in zip(datasets[block.group], data, strict=True):
            dataset[rows] = values
            yield


def _tile_group(tiles: h5py.Group, place: TileGroup) -> h5py.Group:
    group = tiles.create_group(place.name, track_order=True)
    group.attrs["field"] = plain(place.tiles.field)
    group.attrs["dtype"] = plain(place.tiles.dtype)
    group.attrs["global_shape"] = np.array(place.tiles.global_shape, np.int64)
    return group


def _tile_scales(group: h5py.Group, place: TileGroup) -> Iterator[h5py.Dataset]:
    for axis, edges in enumerate(place.tiles.edges):
        along = scale(group, f"tile_{axis}", len(edges) - 1)
        along[...] = np.array(edges[:-1], np.int64)
        along.attrs["long_name"] = f"first global index of the tile along axis {axis}"
        yield along


def _table(file: h5py.File, recorded: Recorded, table: Table) -> Iterator[None]:
    records = recorded.texts(table.kind)
    group = file.create_group(table.group, track_order=True)
    row = scale(group, table.dimension, len(records))
    number = array(group, "record", [row], np.int64, "number of the record in the run")
    datasets = [
        array(group, c.name, [row], text() if c.dtype is str else c.dtype, c.long_name)
        for c in table.columns
    ]
    yield from fill(row, np.arange(len(records)))
    yield from fill(number, records.numbers)
    context = table.context(recorded)
    for at in range(0, len(records), TABLE_ROWS):
        batch = records[at : at + TABLE_ROWS]
        for column, dataset in zip(table.columns, datasets, strict=True):
            dataset[at : at + len(batch)] = [plain(column.value(r, context)) for r in batch]
        yield


def _documents(file: h5py.File, recorded: Recorded) -> Iterator[None]:
    n = len(recorded.documents)
    group = file.create_group("documents", track_order=True)
    number = scale(group, "document", n)
    hashes = array(group, "hash", [number], np.dtype("S64"), "BLAKE3 of the text")
    kinds = array(group, "kind", [number], text(), "what the document is")
    texts = array(group, "json", [number], text(), "canonical JSON")
    yield from fill(number, np.arange(n))
    for i, document in enumerate(recorded.documents):
        hashes[i] = document.hash
        kinds[i] = document.kind
        texts[i] = document.json
        yield


def _records(file: h5py.File, recorded: Recorded, groups: NDArray[np.int64]) -> Iterator[None]:
    group = file.create_group("records", track_order=True)
    record = scale_of_size(group, "record", recorded.next)
    kind = array(group, "kind", [record], np.uint8, "kind of each record")
    yield from fill(kind, recorded.kinds)
    chain = array(group, "chain", [record], np.uint64, "first 8 bytes of each record's link")
    yield from fill(chain, recorded.chains())
    row = scale_of_size(group, "tile_row", len(groups))
    yield from fill(array(group, "tile_group", [row], np.int64, "tile group of each row"), groups)
    ends = text_ends(recorded)
    number = scale_of_size(group, "text_number", len(ends))
    yield from fill(array(group, "text_end", [number], np.int64, "where each text ends"), ends)
    byte = scale_of_size(group, "byte", int(ends[-1]) if len(ends) else 0)
    data = array(group, "text", [byte], np.uint8, "the texts, one after the other")
    at = 0
    for piece in text_pieces(recorded, PIECE):
        data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
        yield


# Folding while the run goes on: in pieces of a few milliseconds, at most a tenth of the time.
#
# What is folded is all that was committed when the fold began; nothing of that changes any more.
# The run appends to the same journal meanwhile. When the new ``.h5`` has taken its place, both
# files hold the records that were folded, which readers tell by their numbers; then a journal
# without them takes the place of the former, again piece by piece.
#
# There is no thread: in many builds the HDF5 of h5py is also that of other libraries of the
# program, which do not know of h5py's lock. Only waiting for storage is done beside the run.


_WINDOW = 256 << 10


class Folding:
    """A fold under way.

    Parameters
    ----------
    paths : BundlePaths
        The bundle's files.
    header : Header
        Of the journal that will be left: its first record is the first that is not folded.
    journal : callable
        The journal that is being written, all of which is synced when the fold begins. It may
        be another later, with the same bytes.
    options : WriterOptions
        How it is written.

    Attributes
    ----------
    size : int
        Bytes of the journal that are folded.
    """

    def __init__(
        self,
        paths: BundlePaths,
        header: Header,
        journal: Callable[[], Appender],
        options: WriterOptions,
    ) -> None:
        self.size = journal().synced
        self._paths = paths
        self._header = header
        self._journal = journal
        self._options = options
        self._work = self._all(os.dup(journal().handle))
        self._began = options.clock()
        self._worked = 0.0

    def advance(self) -> Appender | None:
        """Do some of the work, if it is time to; the new journal, once all of it is done.

        Raises
        ------
        OSError, RuntimeError, BundleError
            If it cannot be done; the bundle is as it was.
        """
        clock = self._options.clock
        now = began = clock()
        due = self._options.fold_share * (now - self._began) - self._worked
        until = began + min(due, self._options.fold_seconds)
        try:
            while now < until and not next(self._work):
                now = clock()
        except StopIteration as done:
            journal: Appender = done.value
            return journal
        self._worked += clock() - began
        return None

    def close(self) -> None:
        """Leave it; nothing of it is left behind."""
        self._work.close()

    def _all(self, handle: int) -> Generator[bool | None, None, Appender]:
        with ExitStack() as opened:
            opened.callback(os.close, handle)
            yield from self._fold(opened, handle)
        return (
            yield from shortened(self._paths, self._header, self.size, self._journal, self._options)
        )

    def _fold(self, opened: ExitStack, handle: int) -> Pieces:
        h5 = self._paths.h5
        folded = None
        if h5.exists():
            yield from self._checked()
            folded = FoldedFile(h5, sealed=False, guarded=False)
            opened.callback(folded.close)
        header = read_header(self._paths.journal, handle)
        assert header is not None
        journal = Journal(
            self._paths.journal,
            os.dup(handle),
            header,
            folded.next if folded is not None else 0,
            upto=self.size,
            scanned=False,
        )
        opened.callback(journal.close)
        yield from journal.scan(_WINDOW)
        recorded = Recorded(h5, folded, journal)
        check_complete(recorded, self._header.first)
        yield from fold_in_pieces(recorded, self._header.link, h5, self._options.files, beside)

    def _checked(self) -> Iterator[None]:
        handle = open_to_read(self._paths.h5)
        try:
            yield from SealCheck(self._paths.h5, handle, _WINDOW)
        finally:
            os.close(handle)


def check_complete(recorded: Recorded, records: int) -> None:
    """DamagedBundleError if storage does not hold all that was written to it."""
    if recorded.next != records:
        raise DamagedBundleError(
            recorded.path, f"holds {recorded.next} records where {records} were written"
        )
