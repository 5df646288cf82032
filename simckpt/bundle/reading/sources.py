"""Where the records of a bundle lie, as far as those need to know who give out records."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..format.codec import Kind
from .folded import FoldedFile
from .journal import Journal


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
