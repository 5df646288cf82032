"""The command that continues a run, as a shell reads it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simckpt import open as open_bundle
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


@pytest.fixture
def command_of(tmp_path: Path, one_checkpoint) -> Callable[..., str]:
    """The command that continues a run with these arguments."""

    def command(*arguments: str) -> str:
        path = tmp_path / "run.simckpt.h5"
        one_checkpoint(path, ("printf", "%s\\0", *arguments), str(tmp_path))
        with open_bundle(path) as run:
            return continuation(run)

    return command


def said(command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | variables
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True)


def test_a_pasted_command_gives_each_argument_as_it_was(command_of, tmp_path: Path) -> None:
    command = command_of(*STRANGE)
    assert command.isprintable()
    assert said(command).stdout.decode().split("\0")[:-1] == list(STRANGE)
    assert not (tmp_path / "bad").exists()


def test_an_argument_that_was_redacted_has_to_be_filled_in(command_of) -> None:
    command = command_of("--password", "***", "--url=https://***@h/a b")
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
def test_each_gap_has_a_name_of_its_own(command_of, word: str) -> None:
    command = command_of(word)
    assert [f"SECRET_{n}:" in command for n in (1, 2)] == [True, word.count("***") == 2]
