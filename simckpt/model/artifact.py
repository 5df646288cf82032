"""The artifact index: where the outputs are and what they contained, never the outputs."""

from __future__ import annotations

from typing import Literal

from .record import Document, Hash, Record


class Artifact(Record, frozen=True, kw_only=True):
    """One output file. `hash` is None while the file was still changing when last looked at."""

    path: str
    size: int
    mtime: float
    hash: Hash | None
    contents: dict[str, Hash] | None = None
    status: Literal["stable", "changing", "missing", "unreadable"] = "stable"


class ArtifactIndex(Document, tag="artifacts", frozen=True, kw_only=True):
    """Outputs that matched `patterns`; paths are relative to `root` where they lie below it."""

    root: str = ""
    patterns: tuple[str, ...] = ()
    entries: tuple[Artifact, ...] = ()
