"""`simckpt ls DIR`: the bundles under a folder, filtered and sorted by what they recorded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeAlias

import blake3
import click
import msgspec

from .. import __version__
from ..bundle.files import H5_SUFFIX, JOURNAL_SUFFIX, open_to_read
from ..errors import NotABundleError, SetupError, SimckptError, harmless
from ..report.listing import BundleRow, Listing, Unreadable


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--where", metavar="FILTER", help="Only these: 'solver = HLLC and drift(mass) > 1e-12'."
)
@click.option("--sort", metavar="NAME", help="Order by a name; -NAME for falling.")
@click.option("--show", "extra", multiple=True, metavar="NAME", help="A further column.")
@click.option(
    "-n",
    "--most",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="Rows to show; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.pass_context
def ls(
    ctx: click.Context,
    /,
    folder: Path,
    where: str | None,
    sort: str | None,
    extra: tuple[str, ...],
    most: int,
    as_json: bool,
) -> None:
    """List the bundles under a folder.

    A FILTER compares names with values by = != < <= > >=, joined by and, or, not and brackets;
    glob(name, "kh*") matches * and ?. Names are settings and parameters (solver, parameters.n),
    drift(Q), largest(Q) and last(Q) of a quantity, and path, name, ending, finished, created,
    ranks, step, t, samples, checkpoints, segments, warnings, errors, faults, non_finite, sound,
    driver, goal, campaign, run_id.

    Exits with 0 if there are any, 1 if there is none, 2 if one could not be read.
    """
    from msgspec.structs import replace

    from ..report.listing import (
        Filter,
        listing_report,
        ordered,
        parse_term,
        require_known,
        select,
    )
    from ..report.text import show, show_json

    if not folder.is_dir():
        raise SetupError("DIR", str(folder), "is no folder")
    condition = Filter(where)
    columns = [parse_term(name, "--show") for name in extra]
    listing = list_folder(folder, progress=_progress if sys.stderr.isatty() else no_progress)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    require_known(listing.bundles, columns, "--show")
    runs = select(listing.bundles, condition)
    if sort:
        runs = ordered(runs, sort)
        columns.append(parse_term(sort.removeprefix("-"), "--sort"))
    listing = replace(listing, bundles=tuple(runs))
    if as_json:
        show_json(listing)
    else:
        show(listing_report(listing, [*condition.terms, *columns], most))
    ctx.exit(2 if listing.unreadable else 0 if runs else 1)


def _progress(done: int, remaining: int) -> None:
    if done % 10 == 0:
        click.echo(
            f"\r\x1b[Kreading new bundles: {done:,}, {remaining:,} to go", nl=False, err=True
        )


# Many bundles read, by as many processes as there are cores.
#
# A bundle takes some ten milliseconds, mostly of Python, so a folder of thousands that no index
# knows yet is read by several processes. Each of them starts one more, which reads HDF5.


FEWEST = 100
"""Bundles from which on the start of further processes is earned."""
MOST_PROCESSES = 16
AT_ONCE = 16


class BundleFile(NamedTuple):
    """A bundle to read: its stem, the path that opens it, and the path to print."""

    stem: str
    path: str
    label: str


class Read(NamedTuple):
    """What reading it gave: a row, or the problem."""

    file: BundleFile
    row: BundleRow | None
    problem: str = ""


Reader: TypeAlias = Callable[[str, str], BundleRow]


def read_bundle(path: str, label: str) -> BundleRow:
    """Open one bundle and sum it up."""
    from ..bundle.reader import open_bundle
    from ..report.listing import bundle_row

    with open_bundle(path) as run:
        return bundle_row(run, label)


def read_all(files: Sequence[BundleFile], read: Reader = read_bundle) -> Iterator[Read]:
    """All of them, in no order."""
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    if len(files) < FEWEST or processes < 2:
        yield from _read_some(files, read)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    # Not forked: a child of this process must not share its reader of HDF5.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        some = [files[i : i + AT_ONCE] for i in range(0, len(files), AT_ONCE)]
        futures = [pool.submit(_read_part, part, read) for part in some]
        for done in as_completed(futures):
            yield from done.result()


def _read_part(files: Iterable[BundleFile], read: Reader) -> list[Read]:
    return list(_read_some(files, read))


def _read_some(files: Iterable[BundleFile], read: Reader) -> Iterator[Read]:
    for file in files:
        try:
            yield Read(file, read(file.path, file.label))
        except (SimckptError, OSError) as problem:
            yield Read(file, None, str(problem))


# A cached index of bundles, never trusted over the files.
#
# An entry holds only for a file of the same size, times of change and inode whose own seal is the
# same: of a folded bundle the user block with the BLAKE3 of the rest, of a journal its last bytes,
# whose frame is chained to all before it. So listing reads half a kibibyte of each file, and a
# bundle is opened again only if one of these differs. An index that is damaged, of another version
# of simckpt or unreadable is as good as none. It lies in SIMCKPT_CACHE_DIR, else in the user's
# cache folder.


MAGIC = b"SIMCKPTX\x03"
SEALED = 512
SAVE_EVERY = 5.0
"""Seconds after which what was read so far is saved, so that an interrupted listing goes on."""

Identity: TypeAlias = tuple[int, int, int, int, bytes]
"""Size, times of change of contents and of status in ns, inode, and the seal in the file itself.

A program may set the first of the times as it likes, and the second not.
"""


class IndexEntry(msgspec.Struct, frozen=True, array_like=True):
    """What was read of one bundle, and of which files."""

    h5: Identity | None
    journal: Identity | None
    row: BundleRow


class Index(msgspec.Struct, frozen=True):
    """An index: the entries of one folder by path."""

    version: str
    folder: str
    entries: dict[str, IndexEntry]


def find_bundles(folder: Path) -> Iterator[str]:
    """The stems of all bundles under a folder, relative to it, sorted; links are not followed."""
    stems: set[str] = set()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        base = os.path.relpath(place, folder)
        for name in files:
            for ending in (H5_SUFFIX, JOURNAL_SUFFIX):
                if name.endswith(ending) and len(name) > len(ending):
                    stem = name.removesuffix(ending)
                    stems.add(stem if base == "." else f"{base}/{stem}")
    return iter(sorted(stems))


def no_progress(done: int, remaining: int) -> None:
    """Where nobody watches the progress."""


def list_folder(
    folder: Path, read: Reader = read_bundle, progress: Callable[[int, int], None] = no_progress
) -> Listing:
    """All bundles under a folder, from the index where their files have not changed.

    Parameters
    ----------
    folder : Path
    read : callable
        ``read(path, label)`` opens one bundle and sums it up.
    progress : callable
        Called with the number of bundles opened and of those still to open.
    """
    place = index_path(folder)
    index = _load(place, folder)
    entries: dict[str, IndexEntry] = {}
    stale: list[str] = []
    identities: dict[str, tuple[Identity | None, Identity | None]] = {}
    for stem in find_bundles(folder):
        identities[stem] = identity(folder / stem)
        entry = index.get(stem)
        if entry is not None and (entry.h5, entry.journal) == identities[stem]:
            entries[stem] = entry
        else:
            stale.append(stem)
    unreadable = []
    last_save = monotonic()
    files = [_bundle_file(folder, stem) for stem in stale]
    for done, result in enumerate(read_all(files, read)):
        progress(done, len(stale) - done)
        if result.row is None:
            problem = _without_path(result.problem, Path(result.file.path))
            unreadable.append(Unreadable(path=result.file.label, problem=problem))
            continue
        entries[result.file.stem] = IndexEntry(*identities[result.file.stem], result.row)
        if monotonic() - last_save > SAVE_EVERY:
            _save(place, folder, entries)
            last_save = monotonic()
    if stale or len(entries) != len(index):
        _save(place, folder, entries)
    rows = tuple(entries[stem].row for stem in sorted(entries))
    return Listing(
        folder=_text(str(folder)),
        total=len(rows) + len(unreadable),
        bundles=rows,
        unreadable=tuple(sorted(unreadable, key=lambda u: u.path)),
    )


def _bundle_file(folder: Path, stem: str) -> BundleFile:
    folded = (folder / (stem + H5_SUFFIX)).exists()
    return BundleFile(
        stem, str(folder / stem), _text(stem + (H5_SUFFIX if folded else JOURNAL_SUFFIX))
    )


def _text(name: str) -> str:
    """A name as text: the bytes of names that are none are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def index_path(folder: Path) -> Path:
    """Where the index of a folder lies."""
    base = os.environ.get("SIMCKPT_CACHE_DIR")
    if not base:
        users = os.environ.get("XDG_CACHE_HOME")
        base = str((Path(users) if users else Path.home() / ".cache") / "simckpt")
    name = blake3.blake3(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(base) / "bundles" / f"{name}.index"


def identity(stem: Path) -> tuple[Identity | None, Identity | None]:
    """What tells whether a bundle's two files are those that were read."""
    return _identity(f"{stem}{H5_SUFFIX}", front=True), _identity(
        f"{stem}{JOURNAL_SUFFIX}", front=False
    )


def _identity(path: str, *, front: bool) -> Identity | None:
    try:
        handle = open_to_read(Path(path))
    except (OSError, NotABundleError):
        return None
    try:
        status = os.fstat(handle)
        at = 0 if front else max(0, status.st_size - SEALED)
        seal = blake3.blake3(os.pread(handle, SEALED, at)).digest(16)
    except OSError:
        return None
    finally:
        os.close(handle)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, seal


def _load(place: Path, folder: Path) -> dict[str, IndexEntry]:
    try:
        data = place.read_bytes()
        start = len(MAGIC) + 32
        sealed = blake3.blake3(memoryview(data)[start:]).digest()
        if data[:start] != MAGIC + sealed:
            return {}
        index = msgspec.msgpack.decode(memoryview(data)[start:], type=Index)
    except (OSError, msgspec.MsgspecError):
        return {}
    if index.version != __version__ or index.folder != _text(str(folder.resolve())):
        return {}
    return index.entries


def _save(place: Path, folder: Path, entries: dict[str, IndexEntry]) -> None:
    """Write the index in one step; without a place to write to, the next listing reads anew."""
    # A name that is no text cannot be a key; its bundle is read each time.
    entries = {stem: entry for stem, entry in entries.items() if stem == _text(stem)}
    index = Index(version=__version__, folder=_text(str(folder.resolve())), entries=entries)
    payload = msgspec.msgpack.encode(index)
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(MAGIC + blake3.blake3(payload).digest() + payload)
        part.replace(place)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _without_path(text: str, stem: Path) -> str:
    """A problem without the path, which stands before it already."""
    for name in (f"{stem}{H5_SUFFIX}", f"{stem}{JOURNAL_SUFFIX}", str(stem)):
        text = text.removeprefix(f"{harmless(name)}: ")
    return text
