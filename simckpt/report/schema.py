"""The JSON Schema of what `simckpt compare --json` prints; docs/compare-schema.json is its text."""

from __future__ import annotations

from typing import Any

import msgspec

from ..compare.comparison import Comparison
from ..compare.many import ManyRuns

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def comparison_schema() -> dict[str, Any]:
    """The schema, for two runs and for many."""
    (two, many), parts = msgspec.json.schema_components(
        [Comparison, ManyRuns], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": DRAFT,
        "title": "simckpt compare --json",
        "description": "A number that is not finite is null.",
        "oneOf": [two, many],
        "$defs": {name: _with_null(part) for name, part in sorted(parts.items())},
    }


def schema_text() -> str:
    """The schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(comparison_schema()), indent=2).decode() + "\n"


def _with_null(part: Any) -> Any:
    """JSON has no NaN and no infinity: wherever a number stands, null may."""
    if isinstance(part, list):
        return [_with_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: _with_null(item) for key, item in part.items()}
    if found.get("type") == "number":
        found["type"] = ["number", "null"]
    return found
