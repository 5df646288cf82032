"""Which ranks a run is made of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...capture.jobs.launcher import launched_size
from ...errors import SetupError
from ...parallel.comm import SerialComm
from ..active import forked

if TYPE_CHECKING:
    from ...parallel.comm import Comm


def choose_comm(given: object = None) -> Comm:
    """The communicator of a run.

    Without one given it is MPI's world if the driver uses mpi4py or was started by an MPI
    launcher, and otherwise one rank; a serial program never loads MPI.

    Raises
    ------
    SetupError
        If `given` is neither an mpi4py communicator nor a `simckpt.parallel.comm.Comm`.
    """
    if given is not None:
        return _given(given)
    if forked():
        # MPI is the parent's.
        return SerialComm()
    if "mpi4py.MPI" in sys.modules or (launched_size() or 1) > 1:
        try:
            from ...parallel.mpi import world
        except ImportError:
            return SerialComm()
        return world() or SerialComm()
    return SerialComm()


def _given(given: object) -> Comm:
    if "mpi4py.MPI" in sys.modules:
        from ...parallel.mpi import as_comm

        if (comm := as_comm(given)) is not None:
            return comm
    if callable(getattr(given, "exchange", None)) and callable(getattr(given, "reduce", None)):
        return given  # type: ignore[return-value]
    raise SetupError(
        "comm", given, "is not a communicator", mend="Pass an mpi4py communicator, or leave it out."
    )
