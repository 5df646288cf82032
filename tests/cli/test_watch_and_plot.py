"""`simckpt watch` and `simckpt plot` on bundles on disk."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from recorded_twins import Recording, Setup, write

from simckpt.cli.main import verbs
from simckpt.cli.watch import follow
from simckpt.model.series import Event, Sample, SegmentEnd

LIVE = Setup(name="live", n=8, steps=8, every=2, checkpoint_every=8, killed=True)


@pytest.fixture
def call(bundles, monkeypatch):
    monkeypatch.chdir(bundles)

    def run(*arguments):
        return CliRunner().invoke(verbs, [str(a) for a in arguments])

    return run


def test_watch_follows_a_live_run_until_it_ends(tmp_path):
    path = tmp_path / "live.simckpt.h5"
    writer = write(path, LIVE, keep_open=True)
    writer.flush()
    longer = Recording(LIVE.but(steps=12)).records
    left = [r for r in longer if isinstance(r, Sample) and r.step > 8]
    left.append(SegmentEnd(segment=0, ending="finished", ended=1.0, step=12))

    def pause(_):
        writer.append(left.pop(0))
        writer.flush()

    seen = list(follow(str(path), 1.0, pause))
    writer.close()
    assert [(w.step, w.ending) for w in seen] == [
        (8, None),
        (10, None),
        (12, None),
        (12, "finished"),
    ]


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from recorded_twins import Setup, write
setup = Setup(name="live", n=8, steps=8, every=2, checkpoint_every=8, killed=True)
writer = write(sys.argv[1], setup, keep_open=True)
writer.flush()
print("written", flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def doomed(tmp_path):
    """A run of another process, and a call that kills it."""
    path = tmp_path / "live.simckpt.h5"
    here = str(Path(__file__).parents[1] / "compare")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), here],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"written\n"
    yield path, lambda _: process.communicate()
    process.communicate()


def test_watch_ends_when_the_process_of_the_run_is_gone(doomed):
    path, kill = doomed
    seen = list(follow(str(path), 1.0, kill))
    assert [(w.step, w.ending, w.killed) for w in seen] == [(8, None, False), (8, None, True)]
    result = CliRunner().invoke(verbs, ["watch", str(path)])
    assert result.exit_code == 1
    assert result.stdout.startswith("killed: the process that wrote it is gone; step 8")


def test_watch_on_a_terminal_follows_a_run_to_its_end(doomed):
    path, kill = doomed
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "simckpt", "watch", str(path), "--interval", "0.1"]
    watching = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    shown = b""
    while b"quiet" not in shown:
        shown += os.read(ours, 4096)
    kill(None)
    with contextlib.suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert watching.wait(timeout=60) == 1
    assert b"killed" in shown
    assert b"mass" in shown


def test_watch_reads_only_what_has_changed(tmp_path, monkeypatch):
    from simckpt.cli import watch

    path = tmp_path / "live.simckpt.h5"
    writer = write(path, LIVE, keep_open=True)
    writer.flush()
    looks = []
    monkeypatch.setattr(watch, "look", lambda b, look=watch.look: looks.append(b) or look(b))
    seen = follow(str(path), 1.0, lambda _: None)
    for _ in range(5):
        next(seen)
    seen.close()
    writer.close()
    assert len(looks) == 1


def test_watch_says_a_line_for_a_log_and_ends_with_the_run(call):
    result = call("watch", "base")
    assert result.exit_code == 0
    assert result.stdout.startswith("finished; step 24")
    assert len(result.stdout.splitlines()) == 1


def test_watch_once_shows_a_page_or_json(call):
    assert "Quantities" in call("watch", "base", "--once").stdout
    assert json.loads(call("watch", "base", "--json").stdout)["step"] == 24
    assert call("watch", "nowhere").exit_code == 2


@pytest.mark.parametrize("runs", [("base",), ("base", "rate"), ("base", "rate", "again")])
def test_plot_draws_one_run_two_and_several(call, runs, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "figure.svg"
    result = call("plot", *runs, "-o", file)
    assert result.exit_code == 0
    assert result.stdout == f"{file}\n"
    assert file.read_text().startswith("<?xml")


def test_plot_prints_its_points_as_json_and_draws_nothing(call, bundles):
    before = sorted(bundles.iterdir())
    assert json.loads(call("plot", "base", "rate", "--json").stdout)["step"] == 2
    (one,) = json.loads(call("plot", "base", "--json").stdout)
    assert len(one["lines"]["mass"]["y"]) == 13
    assert sorted(bundles.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("base", "--quantity", "nothing"),
        ("base", "-o", "x.gif"),
        ("base", "--map", "x=y"),
        ("nowhere",),
    ],
)
def test_plot_refuses_what_it_cannot_draw(call, arguments):
    pytest.importorskip("matplotlib")
    result = call("plot", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("simckpt: ")


def test_a_figure_that_cannot_be_written_names_the_option_and_the_path(call, tmp_path):
    pytest.importorskip("matplotlib")
    place = tmp_path / "nowhere" / "a.png"
    result = call("plot", "base", "-o", place)
    assert result.exit_code == 2
    assert "--output" in result.stderr
    assert str(place) in result.stderr
    assert ".part" not in result.stderr


def test_watch_tells_a_log_of_events_and_of_the_first_value_that_is_not_finite(tmp_path):
    event = Event(name="odd", severity="warning", step=4, wall=1.7e9, text="solver fell back")
    path = tmp_path / "blown.simckpt.h5"
    write(path, LIVE.but(killed=False, poison=5, events=(event,)))
    told = CliRunner().invoke(verbs, ["watch", str(path)]).stdout.splitlines()
    assert told[0].startswith("finished; step 8")
    assert any(line.startswith("first non-finite value: step 6: ") for line in told)
    assert "event at step 4: solver fell back" in told
