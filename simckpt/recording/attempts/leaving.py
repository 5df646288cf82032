"""How one rank leaves a run: what it says first, and what becomes of the others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...bundle.last_words import leave
from ..faults import one_line
from ..settings import EXCHANGE_TIMEOUT, PARTING_TIMEOUT
from .parting import Farewell, Parting, part
from .raised import bounded, raised

if TYPE_CHECKING:
    from ...model.segment import Event
    from ...parallel.comm import Comm
    from ..faults import Faults
    from ..samples.sampling import Sampling
    from ..scribe import Scribe
    from ..settings import RunSettings
    from ..stopping import Stopping


class Leaving:
    """This rank's side of the end of a run.

    Parameters
    ----------
    settings : RunSettings
        Among them, whether all ranks end when one raises.
    comm : Comm
        All ranks.
    sampling : Sampling
        How many samples this rank took.
    stopping : Stopping
        Whether a signal or trigger ends the run.
    faults : Faults
        Takes what goes wrong meanwhile.
    """

    def __init__(
        self,
        settings: RunSettings,
        comm: Comm,
        sampling: Sampling,
        stopping: Stopping,
        faults: Faults,
    ) -> None:
        self._settings = settings
        self._comm = comm
        self._sampling = sampling
        self._stopping = stopping
        self._faults = faults

    def part(
        self, scribe: Scribe, error: BaseException | None, step: int, path: str | None
    ) -> Parting:
        """Take leave of the other ranks; collective, and bounded in time."""
        words = None if error is None else self._said(scribe, error, step)
        farewell = Farewell(
            rank=self._comm.rank,
            step=step,
            samples=self._sampling.taken,
            error=one_line(error),
            signal=self._stopping.reason,
            trigger=self._stopping.request,
            events=scribe.unsaid,
            stage=self._settings.profile.parting(),
        )
        parting = Parting((farewell,), missing=self._comm.size > 1)
        if error is not None and not self._settings.abort:
            with self._faults.contained("telling the other ranks"):
                # They go on, and are not to wait for this one where they end.
                self._comm.leave(farewell.error)
        with self._faults.contained("taking leave of the other ranks"):
            timeout = EXCHANGE_TIMEOUT if error is None else PARTING_TIMEOUT
            parting = part(self._comm, farewell, timeout)
        if not parting.missing:
            self._settings.profile.gather(tuple(f.stage for f in parting.farewells))
        elif words is not None and self._comm.rank and path:
            # Rank 0 may never hear of it.
            with self._faults.contained("leaving last words", recorded=False):
                leave(path, words)
        return parting

    def tell(self, scribe: Scribe, parting: Parting) -> None:
        """Put on record what the others had to say."""
        for event in bounded(parting.events):
            with self._faults.contained("events of other ranks"):
                scribe.event(event)
        for problem in parting.problems:
            self._faults.note("ranks_out_of_step", problem)
        if self._stopping.unheard:
            text = "a trigger asked the run to stop, and the driver never asks simckpt.stopping()"
            self._faults.note("stop_unheard", text)

    def abort(self, error: BaseException | None, parting: Parting) -> None:
        """End all ranks if this one raised and others did not come to hear of it."""
        if error is None or not parting.missing or not self._settings.abort:
            return
        with self._faults.contained("printing the exception", recorded=False):
            sys.excepthook(type(error), error, error.__traceback__)
        self._comm.abort(1)

    def _said(self, scribe: Scribe, error: BaseException, step: int) -> Event | None:
        words = None
        with (
            self._stopping.deferred(),
            self._faults.contained("recording the exception", recorded=False),
        ):
            words = raised(error, self._comm.rank, step)
            scribe.event(words)
        return words
