"""The documents of a bundle: by hash, by number, as text and decoded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import DamagedBundleError
from ...model.record import hash_bytes
from ..format.codec import Kind
from ..format.documents import decode_document, kind_of
from .sources import Sources


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
