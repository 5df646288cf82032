"""At which samples something was measured: what failed leaves zeros and NaN that say nothing."""

from __future__ import annotations

import numpy as np

from ..model.series import Event
from .run_view import Mask, RunView

COUNT = ".nan"
"""How the name of a column ends that counts a field's NaN: a number wherever it was measured."""

WITHOUT_DIGESTS = "level_without_digests"
"""Name of the event of a level that has appeared and has no digests."""


def field_measured(run: RunView, field: str) -> Mask:
    """The samples at which the field was measured on all ranks."""
    series = run.series()
    sound: Mask = np.asarray(series.faults) == 0
    name = field + COUNT
    if name in list(series):
        sound = sound | np.isfinite(series[name])
    return sound


def together(run: RunView) -> Mask:
    """The samples that all ranks took together, whatever failed in them."""
    found: Mask = np.asarray(run.series().faults) == 0
    for field in run.fields:
        found = found | field_measured(run, field)
    return found


def without_digests(run: RunView) -> Event | None:
    """The first word of a level that has no digests."""
    return next((e for e in run.events if e.name == WITHOUT_DIGESTS), None)
