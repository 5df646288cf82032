"""The records of a folded file. Its seal is tested before HDF5 sees a byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DamagedBundleError, NotABundleError
from ..files import open_to_read
from ..format.blocks import SampleBlock, TileBlock
from ..format.codec import Kind
from ..format.hdf5_file import UNREADABLE
from ..format.seal import MEND, SEALED, USER_BLOCK, Seal, check_seal, decode_seal
from .extents import WORTH, Extents
from .guard import Hdf5Reading, open_hdf5, prepare

if TYPE_CHECKING:
    from ..format.layout import Layout

_TEXT_WINDOW = 1 << 18

T = TypeVar("T")


class FoldedFile:
    """The records of a folded file, by kind and number; arrays are read when asked for.

    Parameters
    ----------
    path : Path
        The ``.simckpt.h5``.
    sealed : bool
        Test the file against its seal. Without that HDF5 meets whatever is there, and `seal`
        says no more than what a sound user block says.
    guarded : bool
        Leave HDF5 to a process of its own where one can be had. A writer, which reads what it
        has itself written, does without.

    Raises
    ------
    NotABundleError, NewerFormatError, DamagedBundleError
        If it is not a whole bundle of a known version.
    """

    def __init__(self, path: Path, *, sealed: bool = True, guarded: bool = True) -> None:
        self.path = path
        opened = _open_checked if sealed else _open_unchecked
        self.seal, self._file = opened(path, guarded)
        self._known: dict[str, int] = {}
        self._extents: dict[str, Extents | None] = {}
        self._handle = -1
        try:
            self._lengths = {"records/kind": self.seal.records, "records/chain": self.seal.records}
            self.kinds = self.read("records/kind")
            if not np.isin(self.kinds, [*Kind]).all():
                raise self._unfit("records/kind")  # noqa: TRY301 - the file has to be closed
            self._texts = np.flatnonzero(
                (self.kinds != Kind.SAMPLE)
                & (self.kinds != Kind.TILES)
                & (self.kinds != Kind.DOCUMENT)
            )
            self._lengths |= {
                "series": self._count(Kind.SAMPLE),
                "documents": self._count(Kind.DOCUMENT),
                "records/tile_group": self._count(Kind.TILES),
                "records/text_end": len(self._texts),
            }
            self._ends = self.read("records/text_end")
            if np.any(np.diff(self._ends, prepend=0) < 0):
                raise self._unfit("records/text_end")  # noqa: TRY301 - as above
            self._lengths["records/text"] = self.text_bytes()
        except BaseException:
            self.close()
            raise
        self._window = 0, b""

    @property
    def next(self) -> int:
        """The number of the record that would follow."""
        return self.seal.records

    @property
    def chains(self) -> NDArray[np.uint64]:
        return self.read("records/chain")

    def read(self, name: str, where: slice | tuple[()] = ()) -> NDArray[Any]:
        """The array `name`, or the rows `where` of it.

        Raises
        ------
        DamagedBundleError
            If it cannot be read, or is not of the type and length that it must have.
        """
        length = self._lengths.get(name, self._lengths.get(name.partition("/")[0]))
        values = self._guarded(name, lambda: np.asarray(self._file.read(name, where)))
        if where == () and values.ndim:
            # One question less to the process that reads.
            self._known[name] = len(values)
        if length not in (None, self.length(name)) or _code(values.dtype) != _type(name):
            raise self._unfit(name)
        return values

    def length(self, name: str) -> int:
        """The first extent of the array `name`."""
        if name not in self._known:
            self._known[name] = self._guarded(name, lambda: self._file.shape(name)[0])
        return self._known[name]

    @property
    def run_id(self) -> str:
        """The run that the file says it is of."""
        return self._guarded("run_id", lambda: self._file.attribute("run_id"))

    def text_numbers(self, kind: Kind) -> NDArray[np.int64]:
        """Which texts are of `kind`."""
        return np.flatnonzero(self.kinds[self._texts] == kind)

    def text(self, number: int) -> bytes:
        """The payload of text number `number`."""
        start, end = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
        at, window = self._window
        if not (at <= start and end <= at + len(window)):
            at = start
            window = self.read("records/text", slice(at, max(end, at + _TEXT_WINDOW))).tobytes()
            self._window = at, window
        return window[start - at : end - at]

    def text_bytes(self) -> int:
        """Length of all texts together."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def text_ends(self) -> NDArray[np.int64]:
        """Where each text ends in the text of all."""
        return self._ends

    def document(self, number: int) -> bytes:
        """The JSON of document number `number`."""
        return bytes(self.read("documents/json", slice(number, number + 1))[0])

    def document_column(self, name: str) -> list[str]:
        """``hash`` or ``kind`` of every document."""
        texts = self.read(f"documents/{name}").tolist()
        return self._guarded(f"documents/{name}", lambda: [bytes(v).decode() for v in texts])

    def samples(
        self,
        layout: Layout,
        schema: int,
        start: int,
        stop: int,
        group_rows: dict[int, int],
        digests: bool = True,
    ) -> SampleBlock:
        """The samples `start` to `stop`, all of schema number `schema`.

        `group_rows` gives, for each tile group of the schema, the row of sample `start` in it.
        """
        n = stop - start
        columns = layout.schemas[schema].columns
        values = np.empty((n, len(columns)))
        for i, column in enumerate(columns):
            values[:, i] = self._rows(f"series/{layout.variables[column.name]}", start, (n,))
        words = np.empty((n, layout.schemas[schema].digests if digests else 0), np.uint64)
        for place in layout.slices[schema] if digests else ():
            row = group_rows[place.group]
            words[:, place.start : place.stop] = self.digests(layout, place.group, row, n)
        return SampleBlock(
            schema=schema,
            step=self._rows("series/step", start, (n,)),
            t=self._rows("series/t", start, (n,)),
            wall=self._rows("series/wall", start, (n,)),
            faults=self._rows("series/faults", start, (n,)),
            values=values,
            digests=words,
        )

    def digests(self, layout: Layout, group: int, row: int, n: int) -> NDArray[np.uint64]:
        """Rows `row` to ``row + n`` of the digests of tile group number `group`, ``[n, tiles]``."""
        place = layout.groups[group]
        name = f"tiles/{place.name}/digest"
        if 8 * n * place.tiles.size >= WORTH:
            extents = self._guarded(name, lambda: self._lying(name, place.tiles.size))
            if extents is not None:
                return self._guarded(name, lambda: extents.read(row, n))
        return self._rows(name, row, (n, *place.tiles.shape)).reshape(n, -1)

    def tile_rows(self, layout: Layout, group: int, start: int, stop: int) -> TileBlock:
        """The rows `start` to `stop` of the statistics of tile group number `group`."""
        place, n = layout.groups[group], stop - start
        minimum, maximum, mean = (
            self._rows(f"tiles/{place.name}/{what}", start, (n, *place.tiles.shape))
            for what in ("minimum", "maximum", "mean")
        )
        step = self._rows(f"tiles/{place.name}/snapshot", start, (n,))
        return TileBlock(group, place.tiles.field, step, minimum, maximum, mean)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _lying(self, name: str, width: int) -> Extents | None:
        """Where the array `name` lies, if it can be read without HDF5."""
        if name not in self._extents:
            self._extents[name] = self._found(name, width)
        return self._extents[name]

    def _found(self, name: str, width: int) -> Extents | None:
        if self._handle < 0:
            handle = open_to_read(self.path)
            status = os.fstat(handle)
            if (status.st_dev, status.st_ino) != self._file.identity:
                os.close(handle)
                return None
            self._handle = handle
        rows, *places = self._file.places(name)
        if not places:
            return None
        first = self._file.read(name, slice(0, 1)).reshape(-1)
        # Some releases of HDF5 count from the end of the user block.
        for shift in (0, USER_BLOCK):
            extents = Extents(self._handle, np.array(places, np.int64) + shift, int(rows), width)
            if first.dtype.str == "<u8" and np.array_equal(extents.read(0, 1)[0], first):
                return extents
        return None

    def _rows(self, name: str, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """So many rows of the array `name`, of that shape in all."""
        values = self.read(name, slice(start, start + shape[0]))
        if values.shape != shape:
            raise self._unfit(name)
        return values

    def _count(self, kind: Kind) -> int:
        return int(np.count_nonzero(self.kinds == kind))

    def _unfit(self, name: str) -> DamagedBundleError:
        return DamagedBundleError(self.path, f"the array {name} does not hold what it must", MEND)

    def _guarded(self, name: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except UNREADABLE as problem:
            raise DamagedBundleError(
                self.path, f"{name} cannot be read ({problem})", MEND
            ) from problem


_TYPES = {
    "records/kind": "u1",
    "records/chain": "u8",
    "records/text": "u1",
    "records/text_end": "i8",
    "records/tile_group": "i8",
    "series/step": "i8",
    "series/faults": "i8",
    "documents/hash": "S64",
    "documents/kind": "O",
    "documents/json": "O",
}


def _type(name: str) -> str:
    if not name.startswith("tiles/"):
        return _TYPES.get(name, "f8")
    return {"digest": "u8", "snapshot": "i8"}.get(name.rpartition("/")[2], "f8")


def _code(dtype: np.dtype[Any]) -> str:
    return "O" if dtype.kind == "O" else dtype.newbyteorder("<").str[1:]


def _open_unchecked(path: Path, guarded: bool) -> tuple[Seal, Hdf5Reading]:
    handle = _opened(path)
    try:
        block = os.pread(handle, SEALED, 0)
    finally:
        os.close(handle)
    try:
        file = open_hdf5(path, guarded=guarded)
        records = int(file.shape("records/kind")[0])
    except UNREADABLE as problem:
        raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})") from problem
    try:
        return decode_seal(path, block)._replace(records=records), file
    except (DamagedBundleError, NotABundleError):
        return Seal(0, records, bytes(32), bytes(32)), file


def _opened(path: Path) -> int:
    try:
        return open_to_read(path)
    except FileNotFoundError:
        raise NotABundleError(path, "is not there") from None


def _open_checked(path: Path, guarded: bool) -> tuple[Seal, Hdf5Reading]:
    if guarded:
        prepare()
    # The file may be replaced by its successor between the test and the opening; what HDF5
    # opened has to be the file that was tested.
    for _ in range(10):
        handle = _opened(path)
        try:
            seal = check_seal(path, handle)
            tested = os.fstat(handle)
        finally:
            os.close(handle)
        try:
            file = open_hdf5(path, guarded=guarded)
        except UNREADABLE as problem:
            raise DamagedBundleError(path, f"HDF5 cannot open it ({problem})", MEND) from problem
        if file.identity == (tested.st_dev, tested.st_ino):
            return seal, file
        file.close()
    raise DamagedBundleError(path, "was replaced each time it was opened", "Open it again.")
