"""The bundle on disk: journal, HDF5 layout, reader."""

from __future__ import annotations

from .journal import Break
from .options import WriterOptions
from .paths import BundlePaths, bundle_paths
from .reader import Bundle, open_bundle
from .recover import Recovered, recover
from .verify import Finding, verify
from .views import SegmentView, Series, TileDigests, TileStatistics
from .writer import BundleWriter, CheckpointHeld

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
