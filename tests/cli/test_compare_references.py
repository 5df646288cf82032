"""`simckpt compare A B --reference C D ...`, and any number of runs with few files open."""

import json
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner
from recorded_twins import Setup, run, write

from simckpt.cli import bundle_pool as shelf_module
from simckpt.cli.bundle_pool import Shelf
from simckpt.cli.compare import one_each
from simckpt.cli.main import verbs
from simckpt.compare.comparison import compare

CHAOS = Setup(name="base", n=8, steps=60, every=2, checkpoint_every=30, chaotic=True)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """base, nine twins of it that differ by roundings (twin1 to twin9), and rate."""
    folder = tmp_path_factory.mktemp("twins")
    write(folder / "base.simckpt.h5", CHAOS)
    write(folder / "rate.simckpt.h5", CHAOS.but(name="rate", rate=0.55))
    for i in range(1, 10):
        setup = CHAOS.but(name=f"twin{i}", amplitude=0.1 * (1 + 3e-15 * i))
        write(folder / f"twin{i}.simckpt.h5", setup)
    return folder


@pytest.fixture
def call(twins, monkeypatch):
    monkeypatch.chdir(twins)

    def run_verb(*arguments):
        return CliRunner().invoke(verbs, ["compare", *map(str, arguments)])

    return run_verb


OTHERS = [f"twin{i}" for i in range(2, 10)]


def test_natural_spread_is_status_0_and_said(call):
    result = call("base", "twin1", "--reference", *OTHERS)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith("SAME  Statistically the same: the bits differ from step 0 on")
    assert "B passes for a member" in " ".join(result.stdout.split())
    assert call("base", "twin1").exit_code == 1


def test_another_answer_is_status_1_and_the_options_that_follow_are_read(call):
    result = call("base", "rate", "--reference", *OTHERS, "--window", "20:40", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["reference"]["outcome"] == "beyond"
    assert told["reference"]["ensemble"]["first"] == 20
    assert len(told["reference"]["runs"]) == 8


def test_several_runs_are_tested_together(call):
    result = call("base", "twin1", "twin2", "twin3", "--reference", *OTHERS[2:])
    assert result.exit_code == 0, result.stdout
    assert "Statistically the same" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("base", "base", "--reference", "nowhere"),
        ("base", "rate", "--reference"),
        ("base", "rate", "--window", "3"),
        ("base", "rate", "--reference", "twin1", "--window", "3:x"),
        ("--reference", "twin1", "base", "rate"),
    ],
)
def test_references_that_cannot_be_meant_are_refused(call, arguments):
    assert call(*arguments).exit_code == 2


def test_an_option_of_many_names_ends_at_the_next_option():
    given = ["a", "b", "--reference", "c", "d", "--json", "--reference", "e"]
    each = ["a", "b", "--reference", "c", "--reference", "d", "--json", "--reference", "e"]
    assert one_each(given) == each
    assert one_each(["a", "--", "--reference", "c"]) == ["a", "--", "--reference", "c"]


def test_a_shelf_has_few_bundles_open_and_runs_that_outlive_their_closing(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf_module, "MOST_OPEN", 2)
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f"r{i}"))
        write(tmp_path / f"r{i}.simckpt.h5", Setup(name=f"r{i}", n=8, steps=4, every=2))
    with Shelf() as shelf:
        runs = [shelf.run(path) for path in paths]
        series = runs[0].series()
        digests = runs[0].digests("x")
        assert all(len(one.series().step) == 3 for one in runs)
        assert len(shelf._open) == 2
        assert paths[0] not in shelf._open
        assert len(series["mass"]) == 3
        assert digests.rows(0, 3).shape == (3, 8, 8)
        assert compare(runs[0], run(Setup(name="again", n=8, steps=4, every=2))).verdict == "same"


def test_more_runs_than_files_may_be_open_are_compared(tmp_path):
    for i in range(34):
        write(tmp_path / f"r{i}.simckpt.h5", Setup(name=f"r{i}", n=8, steps=2, every=2, seed=i % 2))

    def few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    names = [f"r{i}" for i in range(34)]
    done = subprocess.run(
        [sys.executable, "-m", "simckpt", "compare", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=few_files,
        check=False,
    )
    assert done.stdout.startswith("DIFFERENT  34 runs in 2 groups"), done.stderr
    assert done.returncode == 1
