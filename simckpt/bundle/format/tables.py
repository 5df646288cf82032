"""The tables of a folded file that people read: checkpoints, segments and events.

They repeat what the records' own texts say, so that a tool which knows only netCDF can show it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .codec import Kind

if TYPE_CHECKING:
    from ..reading.recorded import Recorded


@dataclass(frozen=True)
class TableColumn:
    """One array of a table. `value` is given a record and the table's context."""

    name: str
    dtype: Any
    value: Callable[[Any, Any], Any]
    long_name: str = ""


def _nothing(_recorded: Recorded) -> None:
    return None


@dataclass(frozen=True)
class Table:
    """One group with a row for each record of `kind`."""

    group: str
    dimension: str
    kind: Kind
    columns: tuple[TableColumn, ...]
    context: Callable[[Recorded], Any] = _nothing


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _endings(recorded: Recorded) -> dict[int, Any]:
    return {end.segment: end for end in recorded.texts(Kind.SEGMENT_END)}


def _ended(attribute: str, otherwise: Any) -> Callable[[Any, Any], Any]:
    return lambda r, ends: getattr(ends[r.index], attribute) if r.index in ends else otherwise


_HASH = np.dtype("S64")

TABLES = (
    Table(
        "checkpoints",
        "checkpoint",
        Kind.CHECKPOINT,
        (
            TableColumn("id", _HASH, lambda r, _: r.id.encode()[:64], "hash of the contents"),
            TableColumn("parents", str, lambda r, _: " ".join(r.parents), "ids of the parents"),
            TableColumn("segment", np.int64, lambda r, _: r.segment, "job attempt"),
            TableColumn("index", np.int64, lambda r, _: r.index),
            TableColumn("label", str, lambda r, _: r.label),
            TableColumn("reason", str, lambda r, _: r.reason),
            TableColumn("step", np.int64, lambda r, _: r.step, "step number of the driver"),
            TableColumn("t", np.float64, lambda r, _: _number(r.t), "simulated time"),
            TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970-01-01 UTC"),
            TableColumn("samples", np.int64, lambda r, _: r.samples),
            TableColumn("why", str, lambda r, _: r.why),
        ),
    ),
    Table(
        "segments",
        "segment",
        Kind.SEGMENT,
        (
            TableColumn("index", np.int64, lambda r, _: r.index),
            TableColumn("started", np.float64, lambda r, _: r.started, "seconds since 1970"),
            TableColumn("ranks", np.int64, lambda r, _: r.ranks),
            TableColumn("start_step", np.int64, lambda r, _: r.start_step),
            TableColumn("nodes", str, lambda r, _: " ".join(n.host for n in r.nodes)),
            TableColumn("ending", str, _ended("ending", ""), "empty: it was killed"),
            TableColumn("ended", np.float64, _ended("ended", math.nan), "seconds since 1970"),
            TableColumn("end_step", np.int64, _ended("step", -1)),
            TableColumn("why", str, _ended("why", "")),
        ),
        _endings,
    ),
    Table(
        "events",
        "event",
        Kind.EVENT,
        (
            TableColumn("name", str, lambda r, _: r.name),
            TableColumn("severity", str, lambda r, _: r.severity),
            TableColumn("step", np.int64, lambda r, _: r.step),
            TableColumn("wall", np.float64, lambda r, _: r.wall, "seconds since 1970"),
            TableColumn("rank", np.int64, lambda r, _: r.rank),
            TableColumn("text", str, lambda r, _: r.text),
        ),
    ),
)
