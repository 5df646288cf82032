"""The records of one kind as a sequence that decodes each when it is asked for.

A run of many checkpoints opens at once, and holds in memory what is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import DamagedBundleError
from ..model.record import hash_bytes
from .folded import FoldedFile
from .journal import Journal
from .records import Kind, UnreadablePayload, decode, decode_document, kind_of

# Where the records of a bundle lie, as far as those need to know who give out records.


class Sources(Protocol):
    """The folded file with the first `split` records, and the journal with the rest."""

    path: Path
    folded: FoldedFile | None
    journal: Journal | None
    kinds: NDArray[np.uint8]
    split: int

    def journal_numbers(self, kind: Kind) -> NDArray[np.int64]:
        """Which of the journal's records are of `kind`."""
        ...


R_co = TypeVar("R_co", covariant=True)


class Records(Sequence[R_co], Generic[R_co]):
    """The records of one kind, each decoded when it is asked for."""

    def __init__(self, recorded: Sources, kind: Kind) -> None:
        self._recorded = recorded
        self._kind = kind
        folded = recorded.folded
        self._folded = folded.text_numbers(kind) if folded else np.empty(0, np.int64)
        split = folded.next if folded else 0
        self._journal = np.flatnonzero(recorded.kinds[split:] == kind)
        self.numbers = np.flatnonzero(recorded.kinds == kind)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> R_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[R_co, ...]: ...
    def __getitem__(self, index: int | slice) -> R_co | tuple[R_co, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = range(len(self))[index]
        return self._decode(self.text(i))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} records of kind {self._kind.name.lower()}>"

    def text(self, i: int) -> bytes:
        """The JSON of record `i` of this kind."""
        if i < len(self._folded):
            assert self._recorded.folded is not None
            return self._recorded.folded.text(int(self._folded[i]))
        assert self._recorded.journal is not None
        return self._recorded.journal.payload(int(self._journal[i - len(self._folded)]))

    def _decode(self, text: bytes) -> R_co:
        try:
            return cast(R_co, decode(self._kind, text))
        except UnreadablePayload as problem:
            raise DamagedBundleError(self._recorded.path, f"holds {problem}") from problem


# The documents of a bundle: by hash, by number, as text and decoded.


class DocumentText(NamedTuple):
    """A document as it is stored. `kind` is empty where the text names none."""

    hash: str
    kind: str
    json: bytes


class Documents:
    """What was stored by content hash, whichever file it lies in."""

    def __init__(self, recorded: Sources) -> None:
        self._recorded = recorded
        is_document = recorded.kinds == Kind.DOCUMENT
        self._count = int(np.count_nonzero(is_document))
        self._folded = int(np.count_nonzero(is_document[: recorded.split]))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, hash_: object) -> bool:
        return hash_ in self._numbers

    def text(self, hash_: str) -> bytes:
        """The JSON of a document; KeyError if it is not in the bundle.

        Raises
        ------
        DamagedBundleError
            If the text is not the one that was stored.
        """
        text = self._text(self._numbers[hash_])
        if hash_bytes(text) != hash_:
            raise DamagedBundleError(
                self._recorded.path, f"the text of document {hash_} was altered"
            )
        return text

    def decoded(self, hash_: str) -> Any:
        """A document as a struct of the model, or plain; raises as `text` does."""
        text = self.text(hash_)
        try:
            return decode_document(text)
        except ValueError as problem:
            raise DamagedBundleError(
                self._recorded.path, f"document {hash_} cannot be read: {problem}"
            ) from problem

    def find(self, hash_: str | None) -> Any:
        """A document, or None if the bundle does not hold it."""
        return self.decoded(hash_) if hash_ is not None and hash_ in self else None

    def kinds(self) -> dict[str, str]:
        """Hash of each document, and its kind."""
        folded = self._recorded.folded
        kinds = folded.document_column("kind") if folded else []
        kinds += [_kind(self._text(i)) for i in range(self._folded, self._count)]
        return {hash_: kinds[i] for hash_, i in self._numbers.items()}

    def __iter__(self) -> Iterator[DocumentText]:
        for i in range(self._count):
            text = self._text(i)
            yield DocumentText(hash_bytes(text), _kind(text), text)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        folded = self._recorded.folded
        names = folded.document_column("hash") if folded else []
        names += [hash_bytes(self._text(i)) for i in range(self._folded, self._count)]
        found: dict[str, int] = {}
        for i, name in enumerate(names):
            found.setdefault(name, i)
        return found

    def _text(self, number: int) -> bytes:
        recorded = self._recorded
        if number < self._folded:
            assert recorded.folded is not None
            return recorded.folded.document(number)
        assert recorded.journal is not None
        return recorded.journal.payload(
            int(recorded.journal_numbers(Kind.DOCUMENT)[number - self._folded])
        )


def _kind(text: bytes) -> str:
    try:
        return kind_of(text)
    except ValueError:
        return ""
