"""What two runs' configuration files said: setting by setting where both records know them.

A file stands in a table as a whole, by the hash of its text under its name, and with each of its
settings under its name and theirs. Records of earlier versions have the text alone.
"""

from __future__ import annotations

from pathlib import PurePath

from ...model.changes import flatten
from ...model.manifest import Text
from ...model.record import Facts, Json, hash_bytes

SETTING = ": "
"""Stands between the name of a file and that of a setting in it."""


def told(configuration: Json) -> Facts:
    """The table of what a specification has of its configuration files."""
    found: Facts = {}
    files = configuration if isinstance(configuration, dict) else {}
    for file, held in files.items():
        if not isinstance(held, dict | list):
            found[file] = held
            continue
        for path, value in flatten(held):
            found[f"{file}{SETTING}{path}"] = value
    return found


def whole(text: Text) -> Facts:
    """The table of a text alone."""
    stands = f"({text.problem})" if text.problem else hash_bytes(text.text.encode())
    return {PurePath(text.name).name: stands}


def alike_told(*tables: Facts) -> tuple[Facts, ...]:
    """The tables with each file told in one way: by its settings if all that have it know them."""
    files = {path for table in tables for path in table if SETTING not in path}
    for file in files:
        begins = f"{file}{SETTING}"
        settings = [any(path.startswith(begins) for path in table) for table in tables]
        known = all(
            setting or file not in table for setting, table in zip(settings, tables, strict=True)
        )
        if known and any(settings):
            tables = tuple({k: v for k, v in t.items() if k != file} for t in tables)
        else:
            tables = tuple({k: v for k, v in t.items() if not k.startswith(begins)} for t in tables)
    return tables
