"""Examples are loaded and started from their files, as a user who copied one would."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TIME_LIMIT = 240


@pytest.fixture(scope="session")
def load_example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """The module of an example, imported from its file.

    Numba caches compiled functions under the module's name: what is imported here must not be
    found by the same file when it runs as a program.
    """
    cache = tmp_path_factory.mktemp("imported-examples")

    def load(name: str) -> ModuleType:
        import numba

        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        others = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache)
        try:
            spec.loader.exec_module(module)
        finally:
            numba.config.CACHE_DIR = others
        return module

    return load


@pytest.fixture
def run_example(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Runs an example in an empty folder, alone or on ranks, and returns what it printed.

    A warning of the instrumentation fails the test.
    """
    strict = {"PYTHONWARNINGS": "error::UserWarning"}

    def run(
        name: str, *arguments: object, ranks: int | None = None, also_on_path: Path = ROOT
    ) -> str:
        program, words = EXAMPLES / f"{name}.py", [str(a) for a in arguments]
        if ranks is not None:
            mpiexec = request.getfixturevalue("mpiexec")
            done = mpiexec(program, *words, ranks=ranks, timeout=TIME_LIMIT, env=strict)
            return str(done.check().stdout)
        alone = subprocess.run(
            [sys.executable, program, *words],
            cwd=tmp_path,
            env=os.environ | strict | {"PYTHONPATH": f"{also_on_path}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        assert alone.returncode == 0, alone.stdout + alone.stderr
        return alone.stdout

    return run
