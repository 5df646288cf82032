"""The command that continues a run, as a shell reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simckpt.bundle.reading.reader import open_bundle
from simckpt.bundle.writing.writer import BundleWriter
from simckpt.model.checkpoint import Checkpoint, Parts
from simckpt.model.journal import RunOpened
from simckpt.model.manifest import Manifest, Stage
from simckpt.model.segment import Segment
from simckpt.report.continuation import MISSING, continuation

STRANGE = (
    "a\tb\nc",
    "\x1b[31m",
    "it's",
    "a\\b\x07",
    "\u202ex",
    "\x011",
    "$(touch bad) `x`",
    "",
    "\r",
)


def command_of(folder: Path, *arguments: str) -> str:
    path = folder / "run.simckpt.h5"
    opened = RunOpened(run_id="r", campaign="c", created=0.0, simckpt_version="0")
    with BundleWriter.create(path, opened) as writer:
        manifest = writer.store(
            Manifest(
                stage=Stage(),
                command=("printf", "%s\\0", *arguments),
                working_directory=str(folder),
                driver="main",
                parameters={},
            )
        )
        writer.append(Segment(index=0, started=0.0, ranks=1))
        writer.commit(
            Checkpoint(
                parents=(),
                segment=0,
                index=0,
                label="x",
                reason="start",
                step=0,
                t=None,
                wall=0.0,
                parts=Parts(manifest=manifest),
            )
        )
    with open_bundle(path) as run:
        return continuation(run)


def said(command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | variables
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True)


def test_a_pasted_command_gives_each_argument_as_it_was(tmp_path: Path) -> None:
    command = command_of(tmp_path, *STRANGE)
    assert command.isprintable()
    assert said(command).stdout.decode().split("\0")[:-1] == list(STRANGE)
    assert not (tmp_path / "bad").exists()


def test_an_argument_that_was_redacted_has_to_be_filled_in(tmp_path: Path) -> None:
    command = command_of(tmp_path, "--password", "***", "--url=https://***@h/a b")
    assert "***" not in command
    refused = said(command)
    assert (refused.returncode != 0, refused.stdout) == (True, b"")
    assert MISSING in refused.stderr.decode()
    filled = said(command, SECRET_1="x y", SECRET_2="me:z")
    assert filled.stdout.decode().split("\0")[:-1] == [
        "--password",
        "x y",
        "--url=https://me:z@h/a b",
    ]


@pytest.mark.parametrize("word", ["***", "a***b***"])
def test_each_gap_has_a_name_of_its_own(tmp_path: Path, word: str) -> None:
    command = command_of(tmp_path, word)
    assert [f"SECRET_{n}:" in command for n in (1, 2)] == [True, word.count("***") == 2]
