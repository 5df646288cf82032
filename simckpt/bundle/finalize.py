"""Finalizing a bundle: all its records into one whole HDF5 file, in bounded memory.

The file is netCDF-4: every array has dimension scales, and holds integers, float64 or UTF-8
text. Beside the arrays that people and tools read, `/records` has what is needed to give
each record back byte for byte, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..model.record import FORMAT_VERSION
from .files import PART_SUFFIX, LocalFiles
from .framing import USER_BLOCK, Seal, encode_seal, hash_rest
from .hdf5 import array, plain, scale, scale_of_size, text
from .recorded import Recorded
from .records import Kind, Table

if TYPE_CHECKING:
    import h5py

    from .layout import TileGroup

_PIECE = 256 << 10
_TABLE_ROWS = 100
_NO_TEXTS = (Kind.SAMPLE, Kind.TILES, Kind.DOCUMENT)


def finalize(recorded: Recorded, link: bytes, target: Path, files: LocalFiles) -> None:
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
    files : LocalFiles
        Storage.
    """
    part = target.with_name(target.name + PART_SUFFIX)
    files.remove(part)
    try:
        _write_arrays(recorded, part)
        handle = files.adopt(part)
        try:
            length, digest = hash_rest(handle)
            files.write(handle, 0, encode_seal(Seal(length, recorded.next, link, digest)))
            files.fsync(handle)
        finally:
            files.close(handle)
        files.rename(part, target)
        files.sync_folder(target.parent)
    except BaseException:
        files.remove(part)
        raise


def _write_arrays(recorded: Recorded, path: Path) -> None:
    """Write the HDF5 file of all records to `path`, its user block still empty."""
    import h5py

    with h5py.File(
        path, "w", userblock_size=USER_BLOCK, track_order=True, libver="v108", locking=False
    ) as file:
        run = recorded.run
        file.attrs["title"] = "simckpt bundle"
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["run_id"] = plain(run.run_id)
        file.attrs["campaign"] = plain(run.campaign)
        file.attrs["created"] = run.created
        file.attrs["simckpt_version"] = plain(run.simckpt_version)
        tiles = file.create_group("tiles", track_order=True)
        group_of_row = np.concatenate(list(recorded.tile_groups()))
        _write_samples(file, tiles, recorded)
        _write_statistics(tiles, recorded, group_of_row)
        for kind in Kind:
            if kind.table is not None:
                _write_table(file, recorded, kind, kind.table)
        _write_documents(file, recorded)
        _write_records(file, recorded, group_of_row)


def _write_samples(file: h5py.File, tiles: h5py.Group, recorded: Recorded) -> None:
    layout = recorded.layout
    own, columns = _series(file, recorded)
    segments = np.array([r.segment for r in recorded.schema_records], np.int64)
    schema = recorded.schema_of_sample
    file["series/sample"][...] = np.arange(recorded.samples)
    own.pop("segment")[...] = segments[schema]
    own.pop("schema")[...] = schema
    digests = [_digests(tiles, recorded, i) for i in range(len(layout.groups))]
    rows = [0] * len(digests)
    at = 0
    for block in recorded.sample_blocks():
        n = len(block.step)
        for name, dataset in own.items():
            dataset[at : at + n] = getattr(block, name)
        for i, column in enumerate(layout.schemas[block.schema].columns):
            columns[column.name][at : at + n] = block.values[:, i]
        for cut in layout.slices[block.schema]:
            row = rows[cut.group]
            words = block.digests[:, cut.start : cut.stop]
            shape = (n, *layout.groups[cut.group].tiles.shape)
            digests[cut.group][row : row + n] = words.reshape(shape)
            rows[cut.group] = row + n
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


def _digests(tiles: h5py.Group, recorded: Recorded, number: int) -> h5py.Dataset:
    """The group of one way of cutting a field, and in it the array of its digests."""
    cut = recorded.layout.groups[number]
    group = tiles.create_group(cut.name, track_order=True)
    group.attrs["field"] = plain(cut.tiles.field)
    group.attrs["dtype"] = plain(cut.tiles.dtype)
    group.attrs["global_shape"] = np.array(cut.tiles.global_shape, np.int64)
    runs = recorded.runs_of_group(number)
    rows = np.concatenate([np.arange(r.start, r.stop) for r in runs] or [np.arange(0)])
    sample = scale(group, "sample", len(rows))
    sample.attrs["long_name"] = "number of the sample in /series"
    sample[...] = rows
    scales = [sample]
    for axis, edges in enumerate(cut.tiles.edges):
        along = scale(group, f"tile_{axis}", len(edges) - 1)
        along[...] = np.array(edges[:-1], np.int64)
        along.attrs["long_name"] = f"first global index of the tile along axis {axis}"
        scales.append(along)
    return array(group, "digest", scales, np.uint64, "sum of the cells' mixes")


def _write_statistics(
    tiles: h5py.Group, recorded: Recorded, group_of_row: NDArray[np.int64]
) -> None:
    datasets = [
        _statistics(tiles[cut.name], cut, int(np.count_nonzero(group_of_row == i)))
        for i, cut in enumerate(recorded.layout.groups)
    ]
    rows = [0] * len(datasets)
    for block in recorded.tile_blocks(_PIECE):
        part = slice(rows[block.group], rows[block.group] + len(block.step))
        rows[block.group] = part.stop
        data = (block.step, block.minimum, block.maximum, block.mean)
        for dataset, values in zip(datasets[block.group], data, strict=True):
            dataset[part] = values


def _statistics(group: h5py.Group, cut: TileGroup, rows: int) -> list[h5py.Dataset]:
    snapshot = scale(group, "snapshot", rows)
    snapshot.attrs["long_name"] = "step of a checkpoint"
    scales = [snapshot, *(group[f"tile_{k}"] for k in range(len(cut.tiles.shape)))]
    arrays = (
        array(group, what, scales, np.float64, f"{what} over the cells of a tile")
        for what in ("minimum", "maximum", "mean")
    )
    return [snapshot, *arrays]


def _write_table(file: h5py.File, recorded: Recorded, kind: Kind, table: Table) -> None:
    records = recorded.texts(kind)
    ends = {end.segment: end for end in recorded.texts(Kind.SEGMENT_END)}
    group = file.create_group(table.group, track_order=True)
    row = scale(group, table.dimension, len(records))
    number = array(group, "record", [row], np.int64, "number of the record in the run")
    datasets = [
        array(group, c.name, [row], text() if c.dtype is str else c.dtype, c.long_name)
        for c in table.columns
    ]
    row[...] = np.arange(len(records))
    number[...] = records.numbers
    for at in range(0, len(records), _TABLE_ROWS):
        batch = records[at : at + _TABLE_ROWS]
        for column, dataset in zip(table.columns, datasets, strict=True):
            dataset[at : at + len(batch)] = [plain(column.value(r, ends)) for r in batch]


def _write_documents(file: h5py.File, recorded: Recorded) -> None:
    n = len(recorded.documents)
    group = file.create_group("documents", track_order=True)
    number = scale(group, "document", n)
    hashes = array(group, "hash", [number], np.dtype("S64"), "BLAKE3 of the text")
    kinds = array(group, "kind", [number], text(), "what the document is")
    texts = array(group, "json", [number], text(), "canonical JSON")
    number[...] = np.arange(n)
    for i, document in enumerate(recorded.documents):
        hashes[i] = document.hash
        kinds[i] = document.kind
        texts[i] = document.json


def _write_records(file: h5py.File, recorded: Recorded, group_of_row: NDArray[np.int64]) -> None:
    group = file.create_group("records", track_order=True)
    record = scale_of_size(group, "record", recorded.next)
    array(group, "kind", [record], np.uint8, "kind of each record")[...] = recorded.kinds
    chain = array(group, "chain", [record], np.uint64, "first 8 bytes of each record's link")
    chain[...] = recorded.chains()
    row = scale_of_size(group, "tile_row", len(group_of_row))
    array(group, "tile_group", [row], np.int64, "tile group of each row")[...] = group_of_row
    ends = _text_ends(recorded)
    number = scale_of_size(group, "text_number", len(ends))
    array(group, "text_end", [number], np.int64, "where each text ends")[...] = ends
    byte = scale_of_size(group, "byte", int(ends[-1]) if len(ends) else 0)
    data = array(group, "text", [byte], np.uint8, "the texts, one after the other")
    at = 0
    for piece in _text_pieces(recorded):
        data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)


def _journal_texts(recorded: Recorded) -> NDArray[np.int64]:
    """Which of the journal's records are texts."""
    return np.flatnonzero(~np.isin(recorded.kinds[recorded.split :], _NO_TEXTS))


def _text_ends(recorded: Recorded) -> NDArray[np.int64]:
    """Where the text of each record ends, when all are laid end to end."""
    ends = recorded.folded.text_ends() if recorded.folded else np.empty(0, np.int64)
    if recorded.journal is None:
        return ends
    start = int(ends[-1]) if len(ends) else 0
    sizes = recorded.journal.sizes()[_journal_texts(recorded)]
    return np.concatenate([ends, start + np.cumsum(sizes, dtype=np.int64)])


def _text_pieces(recorded: Recorded) -> Iterator[bytes]:
    """The texts, in pieces of about `_PIECE` bytes."""
    if recorded.folded is not None:
        for at in range(0, recorded.folded.text_bytes(), _PIECE):
            yield recorded.folded.read("records/text", slice(at, at + _PIECE)).tobytes()
    if recorded.journal is not None:
        piece = bytearray()
        for payload in recorded.journal.payloads(_journal_texts(recorded).tolist()):
            piece += payload
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)
