"""Everything that the user chose about a run, as the tree that a spec diff compares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..model.changes import Specification
from ..model.manifest import InputFile, Manifest
from ..model.numerics import NumericalSettings, Numerics
from ..model.record import Facts, Json
from .values import plain

NOTHING: Mapping[str, Json] = MappingProxyType({})


def specification(
    manifest: Manifest,
    numerics: Numerics | NumericalSettings | Facts,
    declarations: Mapping[str, Json] = NOTHING,
    seeds: Mapping[str, Json] = NOTHING,
    captures: Mapping[str, Json] = NOTHING,
    configuration: Mapping[str, Json] = NOTHING,
) -> Specification:
    """The specification of a run: parameters, requested numerics, inputs and code by hash.

    `captures` are the rules that capture more, and their cap; `configuration` is what the
    configuration files hold.

    Nothing of the machine is in it: no absolute path, time or host. An input whose contents are
    known by variable stands with those: written again with another history it is the same. One
    that could not be hashed stands with its problem.
    """
    if isinstance(numerics, Numerics):
        requested = numerics.settings()
    elif isinstance(numerics, NumericalSettings):
        requested = numerics.requested
    else:
        requested = numerics
    facts = {
        "stage": {"name": manifest.stage.name, "role": manifest.stage.role},
        # Its file is among the code, and may have another name.
        "driver": manifest.driver.rpartition(".")[2],
        "parameters": manifest.parameters,
        "numerics": plain(requested),
        "configuration": dict(configuration),
        "inputs": {file.path: _identity(file) for file in manifest.inputs},
        "outputs": list(manifest.outputs),
        "code": {module.name: module.hash for module in manifest.modules},
        "seeds": plain(seeds),
        "declarations": plain(declarations),
    }
    if captures:
        facts["captures"] = plain(captures)
    return Specification(facts=facts)


def _identity(file: InputFile) -> Json:
    """What tells one state of an input from another."""
    if file.contents:
        return dict(file.contents)
    return file.hash or f"({file.problem})"
