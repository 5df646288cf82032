"""All records that are kept as text, laid end to end as the folded file keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..format.codec import Kind
from .sources import Sources

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
