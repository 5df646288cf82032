"""The fold: all records of a bundle into one whole HDF5 file, in bounded memory.

The file is netCDF-4: every array has dimension scales, and holds integers, float64 or UTF-8
text. Beside the arrays that people and tools read, `/records` keeps what is needed to give
each record back byte for byte, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..model.record import FORMAT_VERSION
from .files import FileSystem
from .folded import USER_BLOCK, Seal, encode_seal, hash_rest
from .recorded import Recorded
from .tables import TABLES, Table

if TYPE_CHECKING:
    import h5py

    from .layout import TileGroup

SMALL = 16 << 10
"""Arrays of fewer bytes are stored in one piece, larger ones in chunks."""

CHUNK = 64 << 10
ROWS = 1000


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
    part = target.with_name(target.name + ".part")
    files.remove(part)
    try:
        write_arrays(recorded, part)
        handle = files.adopt(part)
        try:
            length, hash_ = hash_rest(handle)
            seal = Seal(length, recorded.next, link, hash_)
            files.write(handle, 0, encode_seal(seal))
            files.fsync(handle)
        finally:
            files.close(handle)
        files.rename(part, target)
        files.sync_folder(target.parent)
    except BaseException:
        files.remove(part)
        raise


def write_arrays(recorded: Recorded, path: Path) -> None:
    """Write the HDF5 file of all records to `path`, its user block still empty."""
    import h5py

    with h5py.File(
        path, "w", userblock_size=USER_BLOCK, track_order=True, libver="v108", locking=False
    ) as file:
        run = recorded.run
        file.attrs["title"] = "simckpt bundle"
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["run_id"] = run.run_id
        file.attrs["campaign"] = run.campaign
        file.attrs["created"] = run.created
        file.attrs["simckpt_version"] = run.simckpt_version
        tiles = file.create_group("tiles", track_order=True)
        _samples(file, tiles, recorded)
        _statistics(tiles, recorded)
        for table in TABLES:
            _table(file, recorded, table)
        _documents(file, recorded)
        _records(file, recorded)


def _samples(file: h5py.File, tiles: h5py.Group, recorded: Recorded) -> None:
    layout = recorded.layout
    whole, columns = _series(file, recorded)
    digests = [_digests(tiles, recorded, i) for i in range(len(layout.groups))]
    filled = [0] * len(digests)
    at = 0
    for block in recorded.sample_blocks():
        n = len(block.step)
        for name, dataset in whole.items():
            dataset[at : at + n] = getattr(block, name)
        for i, column in enumerate(layout.schemas[block.schema].columns):
            columns[column.name][at : at + n] = block.values[:, i]
        for cut in layout.slices[block.schema]:
            row = filled[cut.group]
            words = block.digests[:, cut.start : cut.stop]
            shape = (n, *layout.groups[cut.group].tiles.shape)
            digests[cut.group][row : row + n] = words.reshape(shape)
            filled[cut.group] = row + n
        at += n


def _series(
    file: h5py.File, recorded: Recorded
) -> tuple[dict[str, h5py.Dataset], dict[str, h5py.Dataset]]:
    """The arrays of `/series`: those that every sample has, and the columns."""
    layout = recorded.layout
    group = file.create_group("series", track_order=True)
    sample = _scale(group, "sample", np.arange(recorded.samples))
    whole = {
        "step": _array(group, "step", [sample], np.int64, "step number of the driver"),
        "t": _array(group, "t", [sample], np.float64, "simulated time"),
        "wall": _array(group, "wall", [sample], np.float64, "seconds since 1970-01-01 UTC"),
        "faults": _array(group, "faults", [sample], np.int64, "diagnostics that failed"),
    }
    segments = np.array([r.segment for r in recorded.schema_records], np.int64)
    schema = recorded.schema_of_sample
    _array(group, "segment", [sample], np.int64, "job attempt")[...] = segments[schema]
    _array(group, "schema", [sample], np.int64, "which schema the sample has")[...] = schema
    columns = {}
    for name, column in layout.columns.items():
        dataset = _array(group, layout.variables[name], [sample], np.float64, name, np.nan)
        for key in ("kind", "of", "monotone", "note"):
            if value := getattr(column, key):
                dataset.attrs[key] = value.replace("\0", "␀")
        dataset.attrs["exact"] = np.int32(column.exact)
        columns[name] = dataset
    return whole, columns


def _digests(tiles: h5py.Group, recorded: Recorded, number: int) -> h5py.Dataset:
    """The group of one way of cutting a field, and in it the array of its digests."""
    place = recorded.layout.groups[number]
    group = _tile_group(tiles, place)
    runs = recorded.runs_of_group(number)
    rows = np.concatenate([np.arange(r.start, r.stop) for r in runs] or [np.arange(0)])
    sample = _scale(group, "sample", rows)
    sample.attrs["long_name"] = "number of the sample in /series"
    scales = [sample, *_tile_scales(group, place)]
    return _array(group, "digest", scales, np.uint64, "sum of the cells' mixes")


def _statistics(tiles: h5py.Group, recorded: Recorded) -> None:
    layout = recorded.layout
    groups = recorded.tile_groups()
    datasets = []
    for i, place in enumerate(layout.groups):
        group = tiles[place.name]
        snapshot = _scale(group, "snapshot", np.zeros(np.count_nonzero(groups == i), np.int64))
        snapshot.attrs["long_name"] = "step of a checkpoint"
        scales = [snapshot, *(group[f"tile_{k}"] for k in range(len(place.tiles.shape)))]
        datasets.append(
            (
                snapshot,
                *(
                    _array(group, what, scales, np.float64, f"{what} over the cells of a tile")
                    for what in ("minimum", "maximum", "mean")
                ),
            )
        )
    filled = [0] * len(datasets)
    for block in recorded.tile_blocks():
        rows = slice(filled[block.group], filled[block.group] + len(block.step))
        filled[block.group] = rows.stop
        data = (block.step, block.minimum, block.maximum, block.mean)
        for dataset, values in zip(datasets[block.group], data, strict=True):
            dataset[rows] = values


def _tile_group(tiles: h5py.Group, place: TileGroup) -> h5py.Group:
    group = tiles.create_group(place.name, track_order=True)
    group.attrs["field"] = place.tiles.field.replace("\0", "␀")
    group.attrs["dtype"] = place.tiles.dtype.replace("\0", "␀")
    group.attrs["global_shape"] = np.array(place.tiles.global_shape, np.int64)
    return group


def _tile_scales(group: h5py.Group, place: TileGroup) -> Iterator[h5py.Dataset]:
    for axis, edges in enumerate(place.tiles.edges):
        scale = _scale(group, f"tile_{axis}", np.array(edges[:-1], np.int64))
        scale.attrs["long_name"] = f"first global index of the tile along axis {axis}"
        yield scale


def _table(file: h5py.File, recorded: Recorded, table: Table) -> None:
    records = recorded.texts(table.kind)
    group = file.create_group(table.group, track_order=True)
    scale = _scale(group, table.dimension, np.arange(len(records)))
    number = _array(group, "record", [scale], np.int64, "number of the record in the run")
    number[...] = records.numbers
    datasets = [
        _array(group, c.name, [scale], _text() if c.dtype is str else c.dtype, c.long_name)
        for c in table.columns
    ]
    context = table.context(recorded)
    at = 0
    for batch in _batches(records, ROWS):
        rows = slice(at, at := at + len(batch))
        for column, dataset in zip(table.columns, datasets, strict=True):
            dataset[rows] = [_plain(column.value(r, context)) for r in batch]


def _documents(file: h5py.File, recorded: Recorded) -> None:
    n = len(recorded.documents)
    group = file.create_group("documents", track_order=True)
    scale = _scale(group, "document", np.arange(n))
    hashes = _array(group, "hash", [scale], np.dtype("S64"), "BLAKE3 of the text")
    kinds = _array(group, "kind", [scale], _text(), "what the document is")
    texts = _array(group, "json", [scale], _text(), "canonical JSON")
    for i, document in enumerate(recorded.documents):
        hashes[i] = document.hash
        kinds[i] = document.kind
        texts[i] = document.json


def _records(file: h5py.File, recorded: Recorded) -> None:
    group = file.create_group("records", track_order=True)
    record = _scale(group, "record", recorded.next)
    _array(group, "kind", [record], np.uint8, "kind of each record")[...] = recorded.kinds
    chain = _array(group, "chain", [record], np.uint64, "first 8 bytes of each record's link")
    chain[...] = recorded.chains()
    groups = recorded.tile_groups()
    row = _scale(group, "tile_row", len(groups))
    _array(group, "tile_group", [row], np.int64, "tile group of each row")[...] = groups
    ends = recorded.text_ends()
    text = _scale(group, "text_number", len(ends))
    _array(group, "text_end", [text], np.int64, "where each text ends")[...] = ends
    byte = _scale(group, "byte", int(ends[-1]) if len(ends) else 0)
    data = _array(group, "text", [byte], np.uint8, "the texts, one after the other")
    at = 0
    for piece in recorded.text_pieces():
        data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)


def _scale(group: h5py.Group, name: str, values: NDArray[Any] | int) -> h5py.Dataset:
    """A dimension: with its coordinates, or of a size alone."""
    if isinstance(values, int):
        # As netCDF-4 writes a dimension without coordinates. No space is taken for its values.
        size = values
        dataset = group.create_dataset(name, (size,), ">f4")
        dataset.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
        return dataset
    dataset = _create(group, name, values.shape, np.dtype(np.int64))
    dataset[...] = values
    dataset.make_scale(name)
    return dataset


def _array(
    group: h5py.Group,
    name: str,
    scales: Sequence[h5py.Dataset],
    dtype: Any,
    long_name: str = "",
    fill: float | None = None,
) -> h5py.Dataset:
    dataset = _create(group, name, tuple(s.shape[0] for s in scales), np.dtype(dtype), fill)
    for dimension, scale in zip(dataset.dims, scales, strict=True):
        dimension.attach_scale(scale)
    if long_name:
        dataset.attrs["long_name"] = long_name.replace("\0", "␀")
    return dataset


def _create(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: float | None = None,
) -> h5py.Dataset:
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    if dtype.kind == "O" or shape[0] * row <= SMALL:
        return group.create_dataset(name, shape, dtype, fillvalue=fill)
    chunk = (max(1, min(shape[0], CHUNK // max(1, row))), *shape[1:])
    if name == "digest" or name == "chain":
        # Digests are as good as random: packing them costs time and gains nothing.
        return group.create_dataset(name, shape, dtype, chunks=chunk)
    return group.create_dataset(
        name, shape, dtype, chunks=chunk, shuffle=dtype.itemsize > 1, compression=1, fillvalue=fill
    )


def _text() -> Any:
    import h5py

    return h5py.string_dtype()


def _plain(value: Any) -> Any:
    return value.replace("\0", "␀") if isinstance(value, str) else value


def _batches(records: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(records)
    while batch := list(islice(iterator, size)):
        yield batch
