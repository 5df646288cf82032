"""The demonstration: three runs, two comparisons, and clear words where it cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simckpt import SetupError
from simckpt.cli import demo as demo_module
from simckpt.cli.demo import DemoError, demo_runs, drive, fresh_folder, launcher

ROOT = Path(__file__).resolve().parents[2]


def simckpt_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from simckpt.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "demo", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SIMCKPT_BUNDLE": "my-own-run"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.mpi
def test_the_demo_finds_the_first_pair_the_same_and_the_second_different(tmp_path: Path) -> None:
    done = simckpt_demo(tmp_path, "--n", "32", "--t-end", "0.1", "--ranks", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bit-for-bit the same at" in done.stdout
    assert "limiter" in done.stdout
    assert "minmod" in done.stdout
    assert "simckpt compare simckpt-demo/kh-3.simckpt.h5" in done.stdout
    names = {path.name for path in (tmp_path / "simckpt-demo").glob("*.simckpt.*")}
    assert names == {f"kh-{name}.simckpt.h5" for name in ("3", "1", "minmod")}
    for stage in ("compiling the kernels", "on 3 ranks", "on 1 rank", "limiter minmod"):
        assert stage in done.stderr


def test_one_rank_needs_no_mpi_and_json_holds_both_comparisons(tmp_path: Path) -> None:
    (tmp_path / "simckpt-demo").mkdir()
    (tmp_path / "simckpt-demo" / "mine").write_text("kept")
    done = simckpt_demo(tmp_path, "--n", "16", "--t-end", "0.05", "--ranks", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["expected"] is True
    assert told["same"]["verdict"] == "same"
    assert told["altered"]["verdict"] == "different"
    assert told["folder"] == "simckpt-demo-2"
    assert all((tmp_path / bundle).is_file() for bundle in told["bundles"])
    assert (tmp_path / "simckpt-demo" / "mine").read_text() == "kept"


def test_the_three_runs_differ_in_one_thing_each() -> None:
    base, same, altered = demo_runs(4, n=64, t_end=1.0)
    assert (base.ranks, same.ranks, altered.ranks) == (4, 2, 4)
    assert base.arguments == same.arguments
    assert altered.arguments == (*base.arguments, "--limiter", "minmod")
    assert len({plan.name for plan in demo_runs(1, 64, 1.0)}) == 3


def test_a_folder_that_holds_something_is_never_written_to(tmp_path: Path) -> None:
    assert fresh_folder(tmp_path / "demo") == tmp_path / "demo"
    assert fresh_folder(tmp_path / "demo") == tmp_path / "demo"  # still empty
    (tmp_path / "demo" / "mine").touch()
    assert fresh_folder(tmp_path / "demo") == tmp_path / "demo-2"
    (tmp_path / "demo-2").rmdir()
    (tmp_path / "demo-2").touch()  # a file takes a name too
    assert fresh_folder(tmp_path / "demo") == tmp_path / "demo-3"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"--dir = .*file/demo"):
        fresh_folder(tmp_path / "file" / "demo")


@pytest.mark.parametrize("missing", ["mpi4py", "mpiexec"])
def test_without_mpi_it_says_what_to_install_and_offers_one_rank(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    monkeypatch.setattr(demo_module.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(
        demo_module.shutil, "which", lambda name: None if name == missing else f"/bin/{name}"
    )
    monkeypatch.setattr(
        demo_module, "find_spec", lambda name: None if name == missing else object()
    )
    with pytest.raises(SetupError) as raised:
        launcher(4)
    assert f"no {missing} here" in str(raised.value)
    assert 'pip install "simckpt[mpi]"' in str(raised.value)
    assert "--ranks 1" in str(raised.value)
    assert launcher(1) == (sys.executable,)


def test_the_launcher_of_this_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_module.shutil, "which", lambda name: f"/elsewhere/{name}")
    monkeypatch.setattr(demo_module, "find_spec", lambda name: object())
    monkeypatch.setattr(demo_module.sys, "prefix", str(tmp_path))
    assert launcher(2)[0] == "/elsewhere/mpiexec"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mpiexec").touch()
    assert launcher(2)[:3] == (str(tmp_path / "bin" / "mpiexec"), "-n", "2")


def run_text(text: str, folder: Path) -> list[float]:
    """The progress that a Python program makes as a run of the demonstration."""
    seen: list[float] = []
    drive([sys.executable, "-c", text], folder, folder / "run.log", seen.append)
    return seen


def test_progress_is_read_off_what_the_driver_prints(tmp_path: Path) -> None:
    text = "print('step 20  t = 0.25 of 0.5  dt = 1e-3'); print('step 40  t = 0.5 of 0.5')"
    assert run_text(text, tmp_path) == [0.5, 1.0]
    assert "step 20" in (tmp_path / "run.log").read_text()


def test_a_run_that_fails_is_told_by_its_exception_and_its_log(tmp_path: Path) -> None:
    text = "print('ValueError: no such limiter'); print('BAD TERMINATION'); raise SystemExit(3)"
    with pytest.raises(DemoError, match=r"run\.log: .* status 3: ValueError: no such limiter$"):
        run_text(text, tmp_path)


def test_a_run_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_module, "TIME_LIMIT", 0.5)
    with pytest.raises(DemoError, match=r"run\.log: the run was ended after 0\.5 s"):
        run_text("import time; time.sleep(100)", tmp_path)


def test_the_users_own_settings_do_not_reach_the_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIMCKPT_DISABLE", "1")
    run_text("import os; print(os.environ.get('SIMCKPT_DISABLE', 'unset'))", tmp_path)
    assert (tmp_path / "run.log").read_text().strip() == "unset"
