"""The bundle on disk: journal, HDF5 layout, reader."""

from __future__ import annotations

from .paths import BundlePaths, bundle_paths
from .reading.journal import Break
from .reading.reader import Bundle, open_bundle
from .reading.views import SegmentView, Series, TileDigests, TileStatistics
from .repair.recover import Recovered, recover
from .repair.verify import Finding, verify
from .writing.options import WriterOptions
from .writing.writer import BundleWriter, CheckpointHeld

__all__ = [
    "Break",
    "Bundle",
    "BundlePaths",
    "BundleWriter",
    "CheckpointHeld",
    "Finding",
    "Recovered",
    "SegmentView",
    "Series",
    "TileDigests",
    "TileStatistics",
    "WriterOptions",
    "bundle_paths",
    "open_bundle",
    "recover",
    "verify",
]
