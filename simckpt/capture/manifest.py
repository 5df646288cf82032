"""The run manifest: what ran, on which inputs, from which code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..model.manifest import CodeModule, Manifest, Packages, Repository, Stage, Text
from ..model.record import Document, Hash, content_hash
from .files.inputs import HASHING_LIMIT, Contents, capture_inputs, no_contents
from .probes import attempt
from .secrets.redaction import redact_arguments, redact_text
from .source.driver import callable_name
from .source.modules import capture_code
from .source.packages import capture_packages, loaded_packages
from .source.unfiled import NAME, capture_unfiled
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
