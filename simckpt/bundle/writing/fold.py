"""The fold: all records of a bundle into one whole HDF5 file, in bounded memory.

The file is netCDF-4: every array has dimension scales, and holds integers, float64 or UTF-8
text. Beside the arrays that people and tools read, `/records` keeps what is needed to give
each record back byte for byte, in order.

The work is done in pieces of a few milliseconds, with a yield behind each: a run that goes on
does some of them now and then (see `folding`), and everybody else all at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...model.record import FORMAT_VERSION
from ..files import FileSystem
from ..format.netcdf_arrays import array, fill, plain, scale, scale_of_size, text
from ..format.seal import USER_BLOCK, RestHasher, Seal, encode_seal
from ..format.tables import TABLES, Table
from ..reading.recorded import Recorded
from ..reading.texts import text_ends, text_pieces
from .forking import harmless_in_forks
from .waiting import Pieces, Waits, at_once

if TYPE_CHECKING:
    import h5py

    from ..format.layout import TileGroup

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
