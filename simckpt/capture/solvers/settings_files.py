"""Settings files as facts, by suffix; formats from outside Python where their reader is there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ...model.record import Facts
from ..probes import reason_of
from ..secrets.redaction import redact_text
from ..values import clean_text, plain

LARGEST = 2**20
_REPEATED = re.compile(r"_grp_(?P<name>.+)_\d+")


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
    try:
        if place.stat().st_size > LARGEST:
            return _unavailable(place, f"larger than {LARGEST} bytes")
        found = parsed(place, place.read_text("utf-8"))
    except ModuleNotFoundError as error:
        return _unavailable(place, f"needs the package {error.name}, which is not installed")
    except Exception as error:  # noqa: BLE001 - each parser has errors of its own
        return _unavailable(place, reason_of(error))
    facts = plain(found)
    return facts if isinstance(facts, dict) else {"value": facts}


def has_settings_suffix(path: str | os.PathLike[str]) -> bool:
    """Whether a path ends as files of a format do that is known here."""
    return Path(path).suffix.lower() in _READERS


def parsed(path: str | os.PathLike[str], text: str) -> Any:
    """What `text` holds in the format of the suffix of `path`; raises what the parser does."""
    return _READERS[Path(path).suffix.lower()](text)


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
    """Nested dicts; f90nml's own type notes (``_start_index``) are no settings.

    Groups that share their name are a list under it: f90nml calls them ``_grp_name_0`` and so on.
    """
    if not isinstance(tree, Mapping):
        return tree
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if name in ("_start_index", "_complex"):
            continue
        repeated = _REPEATED.fullmatch(name)
        if repeated:
            found.setdefault(repeated["name"], []).append(_plain_tree(value))
        else:
            found[name] = _plain_tree(value)
    return found


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
