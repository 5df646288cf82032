"""What configuration files say, as facts that a spec diff compares setting by setting.

A file whose format is known stands with its settings, so that a comment that was added is no
change; any other one with the hash of its text, without the secrets in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath

from ...model.changes import flatten
from ...model.manifest import Text
from ...model.record import Facts, Json, hash_bytes
from ..secrets.redaction import REDACTED, redact_text
from ..solvers.settings_files import has_settings_suffix, parsed
from ..values import clean_text, plain

LARGEST = 2**16
"""Bytes past which a file is told by the hash of its text alone."""

MOST = 2_000
"""Settings of one file past which it is."""


def settings_in(path: str | os.PathLike[str], content: bytes, text: Text) -> Json:
    """The settings in a file's `content`, or a hash where its format or its size forbids.

    Parameters
    ----------
    path : str
        Its suffix tells the format.
    content : bytes
        What the file holds.
    text : Text
        The same as it is kept: no setting says more than this.
    """
    if text.problem:
        return hash_bytes(content)
    kept = hash_bytes(text.text.encode())
    if len(content) > LARGEST or not has_settings_suffix(path):
        return kept
    written = content.decode("utf-8", "backslashreplace")
    try:
        tree = plain(parsed(path, written))
    except Exception:  # noqa: BLE001 - each parser has errors of its own, and may be missing
        return kept
    if not isinstance(tree, dict | list) or sum(1 for _ in flatten(tree)) > MOST:
        return kept
    return tree if text.text == written else _without_secrets(tree, written, text.text)


def named(held: Mapping[str, Json]) -> Facts:
    """Files by name; by path those that share their name with another one."""
    names = [PurePath(path).name for path in held]
    return {
        redact_text(clean_text(name if names.count(name) == 1 else path)): held[path]
        for path, name in zip(held, names, strict=True)
    }


def _without_secrets(value: Json, written: str, kept: str) -> Json:
    """`value` without what stands in the text as it was written and not in the one kept."""
    if isinstance(value, dict):
        return {name: _without_secrets(item, written, kept) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, written, kept) for item in value]
    if value is None or isinstance(value, bool):
        return value
    words = str(value).split()
    gone = any(word in written and word not in kept for word in words)
    return REDACTED if gone else value
