"""README claims nothing that does not happen: its example is run, and its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def block_after(line: str) -> str:
    """The output that README quotes under the command `line`."""
    (found,) = [text for _, text in BLOCKS if text.startswith(line)]
    return found.removeprefix(line).strip("\n")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (source,) = [text for language, text in BLOCKS if language == "python"]
    (tmp_path / "decay.py").write_text(source)
    return tmp_path


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_example_prints_what_readme_says(example: Path) -> None:
    commands = block_after("$ python decay.py 4e-5\n").split("\n")
    assert commands[:2] == [
        "$ python decay.py 3e-5",
        "$ simckpt compare decay-4e-05 decay-3e-05",
    ]
    for dt in ("4e-5", "3e-5"):
        done = call(example, "decay.py", dt)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = call(example, "-m", "simckpt.cli.main", "compare", "decay-4e-05", "decay-3e-05")
    assert done.returncode == 1
    printed = done.stdout.strip().splitlines()
    assert len(printed) == len(commands[2:])
    for ours, readmes in zip(printed, commands[2:], strict=True):
        # The heat is conserved to roundoff, and the last bits depend on the processor's cosine.
        if not ours.startswith("  heat"):
            assert ours == readmes


def test_readme_names_every_command_and_its_links_lead_somewhere() -> None:
    done = call(ROOT, "-m", "simckpt.cli.main", "--help")
    verbs = re.findall(r"^  (\w+) ", done.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert verbs
    for verb in verbs:
        assert f"simckpt {verb}" in README, verb
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
