"""Configuration files, kept whole: they are small, and they are what is lost first."""

from __future__ import annotations

import glob
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from ..model.changes import flatten
from ..model.documents import Text
from ..model.record import Facts, Json, hash_bytes
from .artifacts import open_regular
from .probes import attempt, out_of_time, reason_of
from .redaction import REDACTED, redact_text
from .values import clean_text, plain

# The last lines of log files, without secrets.


MOST_FILES = 8
LONGEST_LOG_TAILS = 64 * 2**10
"""Bytes that are kept of each file."""

LIMIT_LOG_TAILS = 2.0
"""Seconds for all of them."""

_MARGIN = 16 * 2**10
"""Bytes read before what is kept: a private key that begins there is recognised."""


def tail_logs(patterns: Iterable[str], limit: float = LIMIT_LOG_TAILS) -> tuple[Text, ...]:
    """The tails of the newest files that match `patterns`, at most 8, each up to 64 KiB.

    Only regular files are opened, and whole lines are kept. A file that cannot be read is
    there with its `problem`.
    """
    value, reason = attempt(lambda: tuple(_tails(tuple(patterns))), limit)
    return value if value is not None else (Text(name="logs", text="", problem=reason),)


def _tails(patterns: tuple[str, ...]) -> Iterator[Text]:
    paths: dict[str, float] = {}
    for pattern in patterns:
        for path in glob.glob(os.path.expanduser(pattern), recursive=True) or [pattern]:  # noqa: PTH111, PTH207 - patterns may be absolute
            paths[path] = _mtime(path)
    for path in sorted(paths, key=lambda p: (-paths[p], p))[:MOST_FILES]:
        yield _tail(path)


def _mtime(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: str) -> Text:
    name = redact_text(clean_text(path))
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return Text(name=name, text="", problem="not a regular file")
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - LONGEST_LOG_TAILS - _MARGIN)
            file.seek(start)
            content = file.read(LONGEST_LOG_TAILS + _MARGIN)
    except OSError as error:
        return Text(name=name, text="", problem=reason_of(error))
    if b"\0" in content:
        return Text(name=name, text="", problem="not a text file")
    if start:
        # The rest of a line that was cut may be the rest of a secret.
        content = content.partition(b"\n")[2]
    text = redact_text(content.decode("utf-8", "backslashreplace"))
    text_end = text[-LONGEST_LOG_TAILS:]
    if len(text_end) < len(text):
        text_end = text_end.partition("\n")[2]
    return Text(name=name, text=text_end, truncated=bool(start) or len(text_end) < len(text))


# Settings files as facts, by suffix; formats from outside Python where their reader is there.


LARGEST_SETTINGS_FILES = 2**20
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
        if place.stat().st_size > LARGEST_SETTINGS_FILES:
            return _unavailable(place, f"larger than {LARGEST_SETTINGS_FILES} bytes")
        value = parsed(place, place.read_text("utf-8"))
    except ModuleNotFoundError as error:
        return _unavailable(place, f"needs the package {error.name}, which is not installed")
    except Exception as error:  # noqa: BLE001 - each parser has errors of its own
        return _unavailable(place, reason_of(error))
    facts = plain(value)
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
    plain_tree: dict[str, Any] = {}
    for name, value in tree.items():
        if name in ("_start_index", "_complex"):
            continue
        repeated = _REPEATED.fullmatch(name)
        if repeated:
            plain_tree.setdefault(repeated["name"], []).append(_plain_tree(value))
        else:
            plain_tree[name] = _plain_tree(value)
    return plain_tree


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


# What configuration files say, as facts that a spec diff compares setting by setting.
#
# A file whose format is known stands with its settings, so that a comment that was added is no
# change; any other one with the hash of its text, without the secrets in it.


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
    text_hash = hash_bytes(text.text.encode())
    if len(content) > LARGEST or not has_settings_suffix(path):
        return text_hash
    written = content.decode("utf-8", "backslashreplace")
    try:
        tree = plain(parsed(path, written))
    except Exception:  # noqa: BLE001 - each parser has errors of its own, and may be missing
        return text_hash
    if not isinstance(tree, dict | list) or sum(1 for _ in flatten(tree)) > MOST:
        return text_hash
    return tree if text.text == written else _without_secrets(tree, written, text.text)


def by_file_name(values: Mapping[str, Json]) -> Facts:
    """Files by name; by path those that share their name with another one."""
    names = [PurePath(path).name for path in values]
    return {
        redact_text(clean_text(name if names.count(name) == 1 else path)): values[path]
        for path, name in zip(values, names, strict=True)
    }


def _without_secrets(value: Json, written: str, redacted: str) -> Json:
    """`value` without what stands in the text as it was written and not in the one kept."""
    if isinstance(value, dict):
        return {name: _without_secrets(item, written, redacted) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, written, redacted) for item in value]
    if value is None or isinstance(value, bool):
        return value
    words = str(value).split()
    gone = any(word in written and word not in redacted for word in words)
    return REDACTED if gone else value


LONGEST = 2**20
"""Bytes of a configuration file that are kept."""

LIMIT = 2.0
"""Seconds for reading one."""


def capture_configuration(paths: Iterable[str | os.PathLike[str]]) -> tuple[Text, ...]:
    """The texts of configuration files, each up to 1 MiB, without secrets.

    A file that is missing, binary or unreadable is there with its `problem` and no text.
    """
    return tuple(_one(os.fspath(path)) for path in paths)


class ConfigurationFiles:
    """The same files again and again, made a text of only where their contents have changed."""

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._paths = tuple(os.fspath(path) for path in paths)
        self._last: dict[str, tuple[bytes | None, Text, Json]] = {}
        self._hanging: dict[str, Text] = {}

    def read(self) -> tuple[Text, ...]:
        """Their texts as they are now."""
        return tuple(self._read(path) for path in self._paths)

    def facts(self) -> Facts:
        """The settings that the files held when they were last read.

        By the name of each file without its folder, where that is enough to tell them apart.
        """
        values = {path: self._last[path][2] for path in self._paths if path in self._last}
        return by_file_name(values)

    def _read(self, path: str) -> Text:
        if path in self._hanging:
            return self._hanging[path]
        content, text = _content(path)
        if content is None:
            if text.problem == out_of_time(LIMIT):
                # Each further attempt would leave another thread behind.
                self._hanging[path] = text
            self._last[path] = (None, text, f"({text.problem})")
            return text
        previous = self._last.get(path)
        if previous is None or previous[0] != content:
            new_text = _text(text.name, content)
            previous = self._last[path] = (content, new_text, settings_in(path, content, new_text))
        return previous[1]


def _one(path: str) -> Text:
    content, text = _content(path)
    return text if content is None else _text(text.name, content)


def _content(path: str) -> tuple[bytes | None, Text]:
    """At most one byte more than is kept of a file, or None; and a text of its name and problem."""
    name = redact_text(clean_text(path))
    # A file server may never answer, and every checkpoint asks.
    content, problem = attempt(lambda: _read(Path(path).expanduser()), LIMIT)
    return content, Text(name=name, text="", problem=problem)


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        error.filename = None  # the text has a name already
        raise


def _text(name: str, content: bytes) -> Text:
    if b"\0" in content[:8_000]:
        return Text(name=name, text="", problem="not a text file")
    text = content[:LONGEST].decode("utf-8", "backslashreplace")
    return Text(name=name, text=redact_text(text), truncated=len(content) > LONGEST)
