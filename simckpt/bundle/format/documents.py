"""Documents by kind: the struct of the model that each one decodes to."""

from __future__ import annotations

from typing import Any

import msgspec

from ...model import (
    artifact,
    changes,
    environment,
    flight,
    intent,
    manifest,
    numerics,
    segment,
    series,
    transform,
)
from ...model.record import Document

_MODULES = (
    artifact,
    changes,
    environment,
    flight,
    intent,
    manifest,
    numerics,
    segment,
    series,
    transform,
)


class _Kind(msgspec.Struct):
    kind: str = ""


_KIND = msgspec.json.Decoder(_Kind)


def document_types() -> dict[str, type[Document]]:
    """Every kind of document of the model."""
    return {
        str(value.__struct_config__.tag): value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Document) and value is not Document
    }


_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in document_types().items()}
_PLAIN = msgspec.json.Decoder()


def kind_of(json: bytes) -> str:
    """The kind that a document's JSON names; ValueError if it is not the JSON of a document."""
    try:
        return _KIND.decode(json).kind
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem


def decode_document(json: bytes) -> Document | Any:
    """The struct of the model for its kind; for a kind unknown here, plain dicts and lists.

    Raises
    ------
    ValueError
        If the text does not fit its kind.
    """
    decoder = _DECODERS.get(kind_of(json))
    try:
        return decoder.decode(json) if decoder else _PLAIN.decode(json)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from problem
