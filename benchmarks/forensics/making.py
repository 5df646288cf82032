"""Make the runs of the catalogue: each program once, in a folder of its own, and kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .case import Json, Program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TIME_LIMIT = 120.0
FIRST, DONE, WITNESS = "jobs", "done.json", "witness"
OPTIONAL = {"pyro_compressible": "pyro"}
"""Drivers that need a package beyond the project's own."""

PLATELIB = '''"""Materials of plates."""

import numpy as np


def conductivity(x, y):
    """The thermal conductivity at a place."""
    return 1.0 + {factor} * np.cos(3 * x) * np.sin(2 * y)
'''
SOURCES = {
    ("platelib", "1.0"): PLATELIB.format(factor=0.2),
    ("platelib", "1.1"): PLATELIB.format(factor=0.21),
    ("otherlib", "1.0"): '"""Something else."""\n',
    ("otherlib", "2.0"): '"""Something else, made anew."""\n',
}


class RunFailed(Exception):
    """A program of the catalogue did not end as it should."""


class Workshop:
    """Where runs are made and kept.

    Parameters
    ----------
    folder : path
        Runs of other sources of drivers and examples are kept apart in it, and not used.
    """

    def __init__(self, folder: Path) -> None:
        self._source = folder / f"source-{_sources_hash()}"
        self._runs = self._source / "runs"
        self._cache = Path(os.environ.get("SIMCKPT_CACHE_DIR") or folder / "cache")
        self._packages = self._source / "packages"

    def forget(self) -> None:
        """Remove the runs that were made."""
        shutil.rmtree(self._source, ignore_errors=True)

    def prepare(self) -> None:
        """Copy the programs, so that what runs stays what it was, and install the packages."""
        self._cache.mkdir(parents=True, exist_ok=True)
        if (self._source / DONE).exists():
            return
        for name, origin in (("drivers", HERE / "drivers"), ("examples", ROOT / "examples")):
            shutil.rmtree(self._source / name, ignore_errors=True)
            shutil.copytree(
                origin, self._source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for (name, version), text in SOURCES.items():
            _install(self._packages / f"{name}-{version}" / "site-packages", name, version, text)
        (self._source / DONE).write_text("{}")

    def folder(self, program: Program) -> Path:
        """Where the run of a program is."""
        return self._runs / program.key

    def bundle(self, program: Program) -> Path:
        """The bundle of a program that was run."""
        (found,) = self.folder(program).rglob("*.simckpt.h5")
        return found

    def make(self, programs: Iterable[Program], jobs: int) -> Iterator[tuple[Program, str]]:
        """Run the programs that were not; each as it is done, with what failed or ''."""
        wanted = {p.key: p for p in programs if not (self.folder(p) / DONE).exists()}
        with ThreadPoolExecutor(jobs) as pool:
            yield from zip(wanted.values(), pool.map(self._attempt, wanted.values()), strict=True)

    def _attempt(self, program: Program) -> str:
        try:
            self._run(program)
        except (RunFailed, subprocess.TimeoutExpired, OSError) as error:
            return str(error)
        return ""

    def _run(self, program: Program) -> None:
        folder = self.folder(program)
        shutil.rmtree(folder, ignore_errors=True)
        place = folder / program.folder
        place.mkdir(parents=True)
        for name, text in program.files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        driver = self._driver(program, folder)
        starts = [0] if program.stop is None else [0, program.stop["step"]]
        for start in starts:
            last = start == starts[-1]
            job = {
                "driver": str(driver), "every": program.every,
                "arguments": program.arguments | (program.then if start else {}),
                "faults": program.faults, "goal": program.goal, "host": program.host,
                "witness": str(folder / WITNESS), "start": start,
                "stop": None if last else program.stop,
            }  # fmt: skip
            self._start(program, place, job, fails=not last)
        (folder / DONE).write_text("{}")

    def _driver(self, program: Program, folder: Path) -> Path:
        name = f"{program.driver}.py"
        path = next(
            p for p in (self._source / "drivers" / name, self._source / "examples" / name)
            if p.exists()
        )  # fmt: skip
        if not program.patches:
            return path
        text = path.read_text()
        for old, new in program.patches:
            if text.count(old) != 1:
                raise RunFailed(f"{name} does not hold {old!r} once")
            text = text.replace(old, new)
        patched = folder / "patched" / name
        patched.parent.mkdir()
        patched.write_text(text)
        return patched

    def _start(self, program: Program, place: Path, job: Json, *, fails: bool) -> None:
        told = place / f"job-{job['start']}.json"
        told.write_text(json.dumps(job))
        launch = str(self._source / "drivers" / "launch.py")
        command = [sys.executable, launch, told.name, *_words(job["arguments"])]
        if program.ranks:
            command[1:1] = ["-m", "mpi4py"]
            command = [str(_launcher()), "-n", str(program.ranks), *command]
        packages = [
            str(self._packages / f"{name}-{version}" / "site-packages")
            for name, version in program.packages.items()
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*packages, str(ROOT)]),
            "NUMBA_CACHE_DIR": str(self._cache),
            "SIMCKPT_CACHE_DIR": str(self._cache),
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
        }
        done = subprocess.run(
            command, cwd=place, env=environment | program.environment, capture_output=True,
            text=True, timeout=TIME_LIMIT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if (done.returncode != 0) != fails:
            raise RunFailed(f"{program.key}: exit status {done.returncode}\n{done.stderr[-2000:]}")


def _words(arguments: dict[str, Json]) -> list[str]:
    """The arguments as a user types them; they are recorded and not read."""
    return [
        f"--{name.replace('_', '-')}={value}"
        for name, value in arguments.items()
        if isinstance(value, int | float | str)
    ]


def _install(folder: Path, name: str, version: str, text: str) -> None:
    """A package of one module, as an installer leaves it behind."""
    told = folder / f"{name}-{version}.dist-info"
    (folder / name).mkdir(parents=True, exist_ok=True)
    told.mkdir(exist_ok=True)
    (folder / name / "__init__.py").write_text(text)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (told / "top_level.txt").write_text(f"{name}\n")
    (told / "RECORD").write_text(f"{name}/__init__.py,,\n")


def _launcher() -> Path:
    beside = Path(sys.executable).parent / "mpiexec"
    found = beside if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise RunFailed("there is no mpiexec: pip install 'simckpt[mpi]'")
    return Path(found)


def _sources_hash() -> str:
    digest = hashlib.blake2b(digest_size=5)
    for path in sorted([*(HERE / "drivers").glob("*.py"), *(ROOT / "examples").glob("*.py")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
