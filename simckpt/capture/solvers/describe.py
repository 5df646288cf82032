"""Settings read off live objects: what a solver will do, not what it was asked to do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from ...model.record import Facts
from ..configuration import is_settings_file, read_settings
from ..probes import reason_of
from ..rng import describe_generator
from ..values import has_fields, plain, qualified_name
from .libraries import (
    describe_call,
    describe_controller,
    describe_krylov_jacobian,
    describe_ksp,
    describe_ode,
    describe_ode_result,
    describe_ode_solver,
    describe_pyro,
    describe_simulation,
    describe_snes,
    describe_solution,
    describe_solver,
    describe_ts,
)

# Which reader knows a foreign solver's class, found by name so that nothing is imported.


Describer = Callable[[Any], Facts]

_DESCRIBERS: dict[tuple[str, str], Describer] = {
    ("scipy", "OdeSolver"): describe_ode_solver,
    ("scipy", "OdeResult"): describe_ode_result,
    ("scipy", "ode"): describe_ode,
    ("scipy", "KrylovJacobian"): describe_krylov_jacobian,
    ("diffrax", "AbstractSolver"): describe_solver,
    ("diffrax", "AbstractStepSizeController"): describe_controller,
    ("diffrax", "Solution"): describe_solution,
    ("pyro", "Pyro"): describe_pyro,
    ("pyro", "NullSimulation"): describe_simulation,
    ("petsc4py", "KSP"): describe_ksp,
    ("petsc4py", "SNES"): describe_snes,
    ("petsc4py", "TS"): describe_ts,
}
"""By top-level package and class name: where inside the package a class lives is its own affair."""


def describer_for(obj: object) -> Describer | None:
    """The reader for an object: that of its class, or of the nearest base that has one."""
    if isinstance(obj, functools.partial):
        module = str(getattr(obj.func, "__module__", ""))
        return describe_call if module.partition(".")[0] == "scipy" else None
    for base in type(obj).__mro__:
        package = base.__module__.partition(".")[0]
        describer = _DESCRIBERS.get((package, base.__name__))
        if describer is not None:
            return describer
    return None


@functools.singledispatch
def describe(obj: object) -> Facts:
    """The settings of an object, as facts.

    Known without being imported: SciPy's ``OdeSolver`` objects, ``ode``, the results of
    ``solve_ivp``, and functions of SciPy with their settings bound, as in
    ``partial(gmres, rtol=1e-8)``; NumPy's and Python's random number generators; simulations of
    pyro; Diffrax's solvers, step size controllers and solutions; petsc4py's ``KSP``, ``SNES``
    and ``TS``. Mappings, dataclasses, argparse namespaces and the like give their fields. A path
    of a TOML, JSON, INI, YAML (with PyYAML) or Fortran namelist (with f90nml) file gives what
    the file holds. Solvers among the values of a mapping are described in their place.

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
        JSON values; of an unknown object its type and attributes. Never raises: an object that
        cannot be read gives its ``type`` and an ``unavailable`` with the reason.
    """
    try:
        return _describe(obj)
    except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
        return {"type": qualified_name(type(obj)), "unavailable": reason_of(error)}


def is_live(obj: object) -> bool:
    """Whether an object's settings can be read off it, and read again later."""
    taught = describe.dispatch(type(obj)) is not describe.dispatch(object)
    return taught or describer_for(obj) is not None


def is_bag(obj: object) -> bool:
    """Whether an object is a bag of named settings, or the path of a file that holds such."""
    if isinstance(obj, str | os.PathLike):
        return is_settings_file(obj)
    return isinstance(obj, Mapping) or has_fields(obj)


def _describe(obj: object) -> Facts:
    read = describer_for(obj)
    if read is not None:
        facts: Facts = plain(read(obj))
        return facts
    generator = describe_generator(obj)
    if generator is not None:
        return generator
    if isinstance(obj, str | os.PathLike) and is_settings_file(obj):
        return read_settings(obj)
    if isinstance(obj, Mapping):
        obj = {key: describe(item) if is_live(item) else item for key, item in obj.items()}
    recorded = plain(obj)
    return (
        recorded if isinstance(obj, Mapping) or isinstance(recorded, dict) else {"value": recorded}
    )
