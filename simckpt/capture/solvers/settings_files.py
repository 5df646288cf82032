"""Settings files as facts, by suffix; formats from outside Python where their reader is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ...model.record import Facts
from ..probes import reason_of
from ..secrets.redaction import redact_text
from ..values import clean_text, plain

LARGEST = 2**20


def is_settings_file(path: str | os.PathLike[str]) -> bool:
    """Whether this names an existing file of a format that is known here."""
    try:
        place = Path(path)
        return place.suffix.lower() in _READERS and place.is_file()
    except (ValueError, OSError):
        return False


def read_settings(path: str | os.PathLike[str]) -> Facts:
    """What a settings file holds; ``unavailable`` where it cannot be read, with the reason."""
    place = Path(path)
    read = _READERS[place.suffix.lower()]
    try:
        if place.stat().st_size > LARGEST:
            return _unavailable(place, f"larger than {LARGEST} bytes")
        found = read(place.read_text("utf-8"))
    except ModuleNotFoundError as error:
        return _unavailable(place, f"needs the package {error.name}, which is not installed")
    except Exception as error:  # noqa: BLE001 - each parser has errors of its own
        return _unavailable(place, reason_of(error))
    facts = plain(found)
    return facts if isinstance(facts, dict) else {"value": facts}


def _unavailable(place: Path, reason: str) -> Facts:
    return {"file": redact_text(clean_text(place.name)), "unavailable": reason}


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _ini(text: str) -> Any:
    from configparser import ConfigParser

    parser = ConfigParser(interpolation=None)
    parser.read_string(text)
    return {name: dict(section) for name, section in parser.items() if section}


def _yaml(text: str) -> Any:
    return import_module("yaml").safe_load(text)


def _namelist(text: str) -> Any:
    return _plain_tree(import_module("f90nml").reads(text).todict())


def _plain_tree(tree: Any) -> Any:
    """Nested dicts; f90nml's own type notes (``_start_index``) are no settings."""
    if isinstance(tree, Mapping):
        return {k: _plain_tree(v) for k, v in tree.items() if k not in ("_start_index", "_complex")}
    return tree


_READERS: dict[str, Callable[[str], Any]] = {
    ".toml": _toml,
    ".json": json.loads,
    ".ini": _ini,
    ".cfg": _ini,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".nml": _namelist,
    ".namelist": _namelist,
}
