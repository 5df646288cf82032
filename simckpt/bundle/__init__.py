"""The bundle on disk: journal, HDF5 layout, reader."""

from __future__ import annotations

from .appender import WriterOptions
from .files import BundlePaths, bundle_paths
from .journal import Break
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


# The bytes of a bundle: records, frames, and the HDF5 layout.


# Journal and folded file, read as one bundle.


# Whether a bundle is whole, and what can be had of one that is not.


# One writer a bundle: journal, folds, lease.
