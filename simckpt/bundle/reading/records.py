"""The records of one kind as a sequence that decodes each when it is asked for.

A run of many checkpoints opens at once, and holds in memory what is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar, cast, overload

import numpy as np

from ...errors import DamagedBundleError
from ..format.codec import Kind, UnreadablePayload, decode
from .sources import Sources

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
