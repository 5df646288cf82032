"""Every record of a bundle in order, byte for byte as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..format.codec import Kind
from .folded import FoldedFile
from .recorded import Recorded


class Stored(NamedTuple):
    """A record as it lies in the bundle."""

    number: int
    kind: int
    chain: int
    payload: bytes


def stored(recorded: Recorded) -> Iterator[Stored]:
    """Every record in order, whichever file it lies in.

    Raises
    ------
    DamagedBundleError
        If a record cannot be put together.
    """
    chains = recorded.chains()
    kinds = recorded.kinds.tolist()
    if recorded.folded is not None:
        sources = _sources(recorded, recorded.folded)
        for i in range(recorded.split):
            yield Stored(i, kinds[i], int(chains[i]), next(sources[kinds[i]]))
    if recorded.journal is not None:
        payloads = recorded.journal.payloads(range(len(kinds) - recorded.split))
        for i, payload in enumerate(payloads, recorded.split):
            yield Stored(i, kinds[i], int(chains[i]), payload)


def _sources(recorded: Recorded, folded: FoldedFile) -> dict[int, Iterator[bytes]]:
    """The payloads of each kind of record in the folded file, in order."""
    texts: dict[int, Iterator[bytes]] = {
        kind: map(folded.text, folded.text_numbers(kind).tolist()) for kind in Kind
    }
    blocks = recorded.sample_blocks(0, recorded.folded_samples)
    documents = int(np.count_nonzero(folded.kinds == Kind.DOCUMENT))
    return texts | {
        Kind.SAMPLE: (payload for block in blocks for payload in block.payloads()),
        Kind.TILES: _rows(recorded),
        Kind.DOCUMENT: map(folded.document, range(documents)),
    }


def _rows(recorded: Recorded) -> Iterator[bytes]:
    groups = recorded.folded_tile_groups
    rows = {
        group: _rows_of_group(recorded, group, int(np.count_nonzero(groups == group)))
        for group in np.unique(groups).tolist()
    }
    for group in groups.tolist():
        yield next(rows[group])


def _rows_of_group(recorded: Recorded, group: int, rows: int) -> Iterator[bytes]:
    for block in recorded.folded_tile_blocks(group, rows):
        yield from block.payloads()
