"""A bundle whose every text tries to be more than text, through every verb that prints.

Two real bundles are written anew with a hostile tail behind each text that is free, consistently,
so that they still verify and compare.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from simckpt.bundle import BundleWriter, verify
from simckpt.bundle.reader import open_recorded, stored
from simckpt.bundle.records import Kind, decode
from simckpt.cli.main import verbs
from simckpt.model.record import canonical_json, hash_bytes
from simckpt.model.series import Checkpoint, RunOpened, Sample, StoredDocument, TileRow

TAIL = (
    "\x1b[2J\x1b]8;;http://evil.example\x07\x9b31m\x90\u202e\u2066\u200b\r\n\t\x00\x7f"
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>`|[a](http://evil.example)"
    '"; evil [label="x"]; ]]> &amp; =cmd() @all #1 $x$ [red]markup[/red]'
)
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

WORDS = frozenset(
    ("kind", "severity", "ending", "reason", "monotone", "dtype", "format_version", "cut")
)
"""Keys whose values are words of the format: with a tail they would be refused."""


class Rewriting:
    """Every free text with the tail; what refers to what stays as it was."""

    def __init__(self, source: Path, target: Path) -> None:
        self.hashes: dict[str, str] = {}
        self.checkpoints: dict[str, str] = {}
        with open_recorded(source) as recorded:
            records = [(r.kind, r.payload) for r in stored(recorded)]
        run = self.record(*records[0])
        assert isinstance(run, RunOpened)
        self.writer = BundleWriter.create(target, run)
        for kind, payload in records[1:]:
            record = self.record(kind, payload)
            if isinstance(record, Checkpoint):
                made = self.writer.commit(record)
                self.checkpoints[json.loads(payload)["id"]] = made.id
            else:
                self.writer.append(record)
        self.writer.close()

    def record(self, kind: int, payload: bytes) -> Any:
        if kind == Kind.SAMPLE:
            return msgspec.msgpack.decode(payload, type=Sample)
        if kind == Kind.TILES:
            row = msgspec.msgpack.decode(payload, type=TileRow)
            return msgspec.structs.replace(row, field=row.field + TAIL)
        changed = msgspec.json.encode(self.hostile(msgspec.json.decode(payload)), order="sorted")
        if kind == Kind.DOCUMENT:
            text = self.checked(changed)
            self.hashes[hash_bytes(payload)] = hash_bytes(text)
            return StoredDocument(hash=hash_bytes(text), json=text)
        return decode(kind, changed)

    def checked(self, document: bytes) -> bytes:
        from simckpt.bundle.records import decode_document

        return canonical_json(decode_document(document))

    def hostile(self, value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            if value in self.hashes:
                return self.hashes[value]
            if value in self.checkpoints:
                return self.checkpoints[value]
            return value if key in WORDS or not value else value + TAIL
        if isinstance(value, list):
            return [self.hostile(v, key) for v in value]
        if isinstance(value, dict):
            if key in ("values", "facts", "settings", "parameters", "variables"):
                return {k + TAIL: self.hostile(v) for k, v in value.items()}
            return {k: self.hostile(v, k) for k, v in value.items()}
        return value


@pytest.fixture(scope="module")
def hostile(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles ``a`` and ``b``, which differ."""
    folder = tmp_path_factory.mktemp("hostile")
    Rewriting(bundles / "restarted.simckpt.h5", folder / "a.simckpt.h5")
    Rewriting(bundles / "rate.simckpt.h5", folder / "b.simckpt.h5")
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(verbs, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    return result.output


def test_the_hostile_bundles_are_sound_and_full_of_it(hostile: Path) -> None:
    assert verify(hostile / "a") == ()
    with open_recorded(hostile / "a.simckpt.h5") as recorded:
        texts = b"".join(r.payload for r in stored(recorded))
    assert texts.count(b"evil.example") > 100


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "a"),
        ("show", "--brief", "a"),
        ("show", "--json", "a"),
        ("log", "a"),
        ("log", "--json", "a"),
        ("log", "--graph", "a", "b"),
        ("log", "--dot", "a", "b"),
        ("ls", "."),
        ("ls", ".", "--json"),
        ("compare", "a", "b"),
        ("compare", "--json", "a", "b"),
        ("compare", "--markdown", "a", "b"),
        ("compare", "a", "b", "a"),
        ("verify", "a"),
        ("verify", "--json", "a"),
        ("watch", "--once", "a"),
        ("watch", "--json", "a"),
        ("slurm", "--next", "a"),
        ("plot", "--json", "a", "b"),
    ],
    ids=" ".join,
)
def test_nothing_in_a_bundle_steers_the_terminal(hostile, monkeypatch, arguments) -> None:
    monkeypatch.chdir(hostile)
    printed = run(*arguments)
    assert not STEERS.search(printed), ascii(STEERS.search(printed))
    if "--json" in arguments:
        json.loads(printed)
    if "--dot" in arguments:
        assert not re.search(r'(?<!\\)"; evil', printed)
    if "--markdown" in arguments:
        assert "<script>" not in printed.replace("\\<", "")
        assert not re.search(r"(?<!\\)\]\(http", printed)


def test_nothing_in_a_bundle_becomes_markup_of_a_page_or_of_junit(hostile, tmp_path) -> None:
    page, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    run("compare", hostile / "a", hostile / "b", "--html", page, "--junit", junit)
    html = page.read_text()
    assert "evil.example" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert not STEERS.search(html)
    ET.parse(junit)
    assert not STEERS.search(junit.read_text())


def test_nothing_in_a_bundle_becomes_markup_of_a_figure(hostile, tmp_path) -> None:
    figure = tmp_path / "figure.svg"
    pytest.importorskip("matplotlib")
    run("plot", hostile / "a", hostile / "b", "-o", figure)
    text = figure.read_text()
    assert "<script" not in text
    assert not STEERS.search(text)
    ET.parse(figure)


def test_recovering_a_strangers_bundle_says_its_texts_plainly(hostile, tmp_path) -> None:
    for name in ("a", "b"):
        data = bytearray((hostile / f"{name}.simckpt.h5").read_bytes())
        data[-4000] ^= 1
        (tmp_path / f"{name}.simckpt.h5").write_bytes(data)
    printed = run("recover", "--salvage", tmp_path / "a")
    assert not STEERS.search(printed)
