"""Settings read off live objects: what a solver will do, not what it was asked to do."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from ..model.record import Facts
from .foreign import describer_for
from .probes import reason_of
from .rng import describe_generator
from .settings_files import is_settings_file, read_settings
from .values import plain, qualified_name


@functools.singledispatch
def describe(obj: object) -> Facts:
    """The settings of an object, as facts.

    Known without being imported: SciPy's ``OdeSolver`` objects, ``ode`` and the results of
    ``solve_ivp``; NumPy's and Python's random number generators; simulations of pyro;
    petsc4py's ``KSP``, ``SNES`` and ``TS``. Mappings, dataclasses (Diffrax solvers and
    controllers are such), argparse namespaces and the like give their fields. A path of a
    TOML, JSON, INI, YAML (with PyYAML) or Fortran namelist (with f90nml) file gives what the
    file holds.

    A code of your own is taught by registration, as with any ``functools.singledispatch``::

        @simckpt.describe.register
        def _(solver: MySolver) -> dict:
            return {"limiter": solver.limiter.name, "cfl": solver.cfl}

    Parameters
    ----------
    obj : object
        A solver, a generator, a bag of settings, or the path of a settings file.

    Returns
    -------
    dict
        JSON values; of an unknown object its type and repr. Never raises: an object that
        cannot be read gives its ``type`` and an ``unavailable`` with the reason.
    """
    try:
        return _describe(obj)
    except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
        return {"type": qualified_name(type(obj)), "unavailable": reason_of(error)}


def _describe(obj: object) -> Facts:
    read = describer_for(type(obj))
    if read is not None:
        facts: Facts = plain(read(obj))
        return facts
    generator = describe_generator(obj)
    if generator is not None:
        return generator
    if isinstance(obj, str | os.PathLike) and is_settings_file(obj):
        return read_settings(obj)
    shown = plain(obj)
    return shown if isinstance(obj, Mapping) or isinstance(shown, dict) else {"value": shown}
