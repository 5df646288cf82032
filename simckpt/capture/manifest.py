"""The run manifest: what ran, on which inputs, from which code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..model.changes import Specification
from ..model.documents import CodeModule, InputFile, Manifest, Packages, Repository, Stage, Text
from ..model.numerics import NumericalSettings, Numerics
from ..model.record import Document, Facts, Hash, Json, content_hash
from .artifacts import HASHING_LIMIT, Contents, capture_inputs, no_contents
from .code import capture_code
from .driver import NAME, callable_name, capture_unfiled
from .packages import capture_packages, loaded_packages
from .probes import attempt
from .redaction import redact_arguments, redact_text
from .values import clean_text, plain

_PACKAGES_LIMIT = 5.0
_CODE_LIMIT = 20.0
_INPUTS_LIMIT = HASHING_LIMIT + 10.0


def capture_manifest(
    *,
    driver: Callable[..., object] | str,
    parameters: Mapping[str, object],
    inputs: Sequence[str],
    outputs: Sequence[str],
    stage: Stage,
    upstream: Sequence[Hash],
    contents: Contents = no_contents,
) -> tuple[Manifest, tuple[Document, ...]]:
    """What runs, and the documents that the manifest refers to.

    Parameters
    ----------
    driver : callable or str
        The function that holds the time loop.
    parameters : mapping
        Its bound arguments; any values, see `values.plain`.
    inputs, outputs : sequence of str
        Paths and patterns. Inputs are hashed now; outputs are only named.
    stage : Stage
        The place in the workflow.
    upstream : sequence of Hash
        Checkpoints that this run starts from.
    contents : callable
        Hashes of the variables inside an input file, where its format is known.

    Returns
    -------
    Manifest
        What could not be had is named in `unavailable`.
    tuple of Document
        Packages, diffs and sources: to be stored by their content hash.
    """
    unavailable: dict[str, str] = {}

    def part(name: str, read: Callable[[], Any], limit: float | None, otherwise: Any) -> Any:
        value, reason = attempt(read, limit)
        if reason:
            unavailable[name] = reason
            return otherwise
        return value

    packages: Packages | None = part("packages", capture_packages, _PACKAGES_LIMIT, None)
    nothing: tuple[tuple[CodeModule, ...], tuple[Repository, ...], tuple[Text, ...]]
    nothing = ((), (), ())
    modules, repositories, texts = part("code", capture_code, _CODE_LIMIT, nothing)
    unfiled = part(f"code of {NAME}", capture_unfiled, _CODE_LIMIT, None)
    if unfiled is not None:
        modules, texts = (unfiled[0], *modules), (*texts, unfiled[1])
    files = part("inputs", partial(capture_inputs, inputs, contents), _INPUTS_LIMIT, ())
    manifest = Manifest(
        stage=stage,
        command=part("command", _command, None, ()),
        working_directory=part("working_directory", _working_directory, None, ""),
        driver=part("driver", partial(callable_name, driver), None, ""),
        parameters=plain(dict(parameters)),
        inputs=files,
        outputs=tuple(redact_text(clean_text(str(o))) for o in outputs),
        modules=modules,
        repositories=repositories,
        packages=content_hash(packages) if packages is not None else None,
        loaded=part("loaded", loaded_packages, _PACKAGES_LIMIT, ()),
        upstream=tuple(upstream),
        simckpt_version=part("simckpt_version", _own_version, None, ""),
        unavailable=unavailable,
    )
    documents: tuple[Document, ...] = tuple({content_hash(t): t for t in texts}.values())
    return manifest, ((packages, *documents) if packages is not None else documents)


def _command() -> tuple[str, ...]:
    return redact_arguments(clean_text(a) for a in (sys.orig_argv or sys.argv))


def _own_version() -> str:
    # Of the code that is loaded; what is installed may be another.
    return str(getattr(sys.modules[__name__.partition(".")[0]], "__version__", ""))


def _working_directory() -> str:
    return redact_text(clean_text(str(Path.cwd())))


# Everything that the user chose about a run, as the tree that a spec diff compares.


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
