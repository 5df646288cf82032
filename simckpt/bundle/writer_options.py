"""How a bundle is written: the settings of a writer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..errors import SetupError
from .files import FileSystem, LocalFiles

Durability = Literal["fsync", "flush"]


@dataclass(frozen=True, kw_only=True)
class WriterOptions:
    """Settings of a `BundleWriter`.

    Parameters
    ----------
    durability : {"fsync", "flush"}
        Whether a commit waits for storage, or only for the operating system: ``"flush"``
        survives a killed process, not a power cut.
    write_bytes, write_seconds : int, float
        What is appended goes to the operating system once so many bytes are buffered, or at an
        append so long after the last time.
    fold_bytes : int
        The journal is folded when it is larger than this and than the folded file.
    fold_share, fold_seconds : float
        A fold under way takes at most this share of the time, and so many seconds in one go.
    hold_bytes : int
        While storage refuses, so many bytes of records are held in memory; more are refused.
    files : FileSystem
        Storage.
    clock : callable
        Seconds, for the age of what is buffered.

    Raises
    ------
    SetupError
        If `durability` is neither, or a bound is not positive.
    """

    durability: Durability = "fsync"
    write_bytes: int = 256 << 10
    write_seconds: float = 1.0
    fold_bytes: int = 8 << 20
    fold_share: float = 0.1
    fold_seconds: float = 0.005
    hold_bytes: int = 64 << 20
    files: FileSystem = field(default_factory=LocalFiles)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.durability not in ("fsync", "flush"):
            raise SetupError(
                "durability", self.durability, "is unknown", choices=("fsync", "flush")
            )
        if not (self.fold_share > 0.0 and self.fold_seconds > 0.0):
            raise SetupError(
                "fold_share, fold_seconds",
                (self.fold_share, self.fold_seconds),
                "are not positive: no fold would ever end",
            )
        for name in ("write_bytes", "fold_bytes", "hold_bytes"):
            if getattr(self, name) < 1:
                raise SetupError(name, getattr(self, name), "is not a positive number of bytes")
