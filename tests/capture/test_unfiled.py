"""A program that is in no file is recorded all the same, or it is said why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from simckpt.capture.driver import callable_name, capture_unfiled

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json
from simckpt.capture.manifest import capture_manifest
from simckpt.model.documents import Stage, Text

def main(): "a marker"

made, documents = capture_manifest(
    driver=main, parameters={}, inputs=(), outputs=(), stage=Stage(), upstream=()
)
texts = [d.text for d in documents if isinstance(d, Text)]
(path,) = [m.path for m in made.modules if m.name == "__main__"] or [None]
text = next((t for t in texts if "a marker" in t), "")
print(json.dumps([path, made.unavailable, "a marker" in text, "ter2" + "xyz" in text]))
# password=hunter2xyz
"""


def started(*arguments, **how):
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **how,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("options", [["-c"], ["-B", "-c"], ["-Bc"]])
def test_a_program_on_the_command_line_is_recorded(tmp_path, options):
    told = started(*options, PROGRAM, "an argument", cwd=tmp_path)
    assert told == ["(python -c)", {}, True, False]


def test_a_program_from_standard_input_is_recorded_where_it_can_be_read_again(tmp_path):
    (tmp_path / "program").write_text(PROGRAM)
    with (tmp_path / "program").open() as file:
        assert started(cwd=tmp_path, stdin=file) == ["(standard input)", {}, True, False]
    path, unavailable, found, _ = started("-", cwd=tmp_path, input=PROGRAM)
    assert (path, found) == (None, False)
    assert "read from a pipe" in unavailable["code of __main__"]


def test_a_program_in_a_file_is_among_the_modules_and_nowhere_else(tmp_path):
    (tmp_path / "kh.py").write_text(PROGRAM)
    assert started("kh.py", cwd=tmp_path) == [None, {}, True, False]


def session(*cells, **more):
    main = types.ModuleType("__main__")
    main.In, main.get_ipython = ["", *cells], None
    vars(main).update(more)
    return main


def test_the_cells_of_a_notebook_are_recorded_in_the_order_in_which_they_were_run(monkeypatch):
    main = session("nu = 1.0", "run(nu)  # token=hunter2xyz", __session__="/w/kh.ipynb")
    module, text = capture_unfiled(main)
    assert (module.name, module.path) == ("__main__", "/w/kh.ipynb")
    assert text.text.startswith("# cell 1\nnu = 1.0\n\n# cell 2\nrun(nu)")
    assert "hunter2xyz" not in text.text
    assert capture_unfiled(session("nu = 2.0", "run(nu)"))[0].hash != module.hash
    monkeypatch.setitem(sys.modules, "__main__", main)

    def driver():
        """Of a cell."""

    driver.__module__, driver.__qualname__ = "__main__", "driver"
    assert callable_name(driver) == "__main__.driver"


def test_a_session_that_keeps_no_cells_says_so():
    with pytest.raises(ValueError, match="are not kept"):
        capture_unfiled(session())
