"""A run in brief stays under its size whatever was recorded, and names what matters first."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from recorded_twins import Setup, Twin, run

from simckpt import Intent
from simckpt.compare.health import Drift
from simckpt.compare.restart_check import Restart
from simckpt.model.changes import Change, SpecDiff
from simckpt.model.documents import Artifact, ArtifactIndex, Manifest, Stage
from simckpt.model.transform import Transform, TransformManifest
from simckpt.report.brief import Brief, brief, brief_text
from simckpt.report.overview import overview

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)


class Told(Twin):
    """A recorded run, with other documents at its last checkpoint."""

    def put(self, **documents) -> Told:
        last = self.checkpoints[-1]
        for part, document in documents.items():
            self._documents[part] = document
            last = replace(last, parts=replace(last.parts, **{part: part}))
        self.checkpoints = (*self.checkpoints[:-1], last)
        return self


def recorded(**documents) -> Told:
    twin = run(SMALL)
    twin.__class__ = Told
    return twin.put(**documents)


def manifest(**facts) -> Manifest:
    basics = {"command": (), "working_directory": "/", "driver": "main", "parameters": {}}
    return Manifest(**{"stage": Stage(), **basics, **facts})


def told(twin: Twin, *restarts: Restart) -> Brief:
    return brief(twin, overview(twin, restarts))


def test_it_says_where_the_run_stands_and_what_to_start_from() -> None:
    twin = recorded(manifest=manifest(upstream=("a" * 64,), stage=Stage(name="spin-up")))
    text = brief_text(told(twin))
    assert text.startswith("small.simckpt.h5: finished\n")
    for line in (
        "goal        try small",
        "stage       simulation spin-up",
        "stands      step 24, t = 1.2, at 'end'",
        f"checkpoint  {twin.checkpoints[-1].id}",
        "health      sound",
        f"upstream    {'a' * 64}",
    ):
        assert line in text.splitlines()


def test_the_last_change_and_its_reason_are_told() -> None:
    change = Change(path="numerics.cfl", old=0.4, new=0.3)
    made = told(recorded(spec_diff=SpecDiff(changes=(change,), why="it blew up")))
    assert made.changed == ("numerics.cfl: 0.4 -> 0.3",)
    assert made.why == "it blew up"
    since = told(recorded(spec_diff=SpecDiff(since_upstream=(change,), why="finer")))
    assert (since.changed, since.why) == (made.changed, "finer")


def test_what_is_missing_comes_before_what_is_there() -> None:
    entries = [
        Artifact(path=f"out/{i}.nc", size=1, mtime=1.0, hash="b" * 64, status="stable")
        for i in range(30)
    ]
    entries.append(Artifact(path="z.nc", size=0, mtime=0.0, hash=None, status="missing"))
    made = told(recorded(artifacts=ArtifactIndex(root="/scratch", entries=tuple(entries))))
    assert made.folder == "/scratch"
    assert made.outputs[0].path == "z.nc"
    assert len(made.outputs) + made.more_outputs == 31
    assert "z.nc MISSING" in brief_text(made)


def test_a_run_that_blew_up_and_a_restart_that_differs_are_not_passed_over() -> None:
    twin = run(SMALL, poison=9)
    assert not told(twin).sound
    assert "NOT SOUND" in brief_text(told(twin))
    parted = Restart(segment=1, start_step=8, verdict="differs", repeats=(0,), diverges_at=8)
    assert any("DIFFERENT from step 8" in line for line in told(run(SMALL), parted).health)


def test_a_quantity_that_moved_by_its_own_size_is_not_passed_over() -> None:
    twin = run(SMALL)
    calm, wild = (
        Drift(name=name, first=1.0, last=81.0, final=size, largest=size, largest_step=8,
              distance=80.0)
        for name, size in (("mass", 1e-3), ("energy", 80.0))
    )  # fmt: skip
    page = overview(twin, ())
    plain = brief_text(brief(twin, replace(page, health=replace(page.health, drifts=(calm,)))))
    assert "health      sound\n" in plain
    moved = brief(twin, replace(page, health=replace(page.health, drifts=(calm, wild))))
    assert moved.moved == ("energy",)
    assert "health      nothing failed, but energy moved by as much as it was" in brief_text(moved)


def test_a_killed_run_says_what_is_not_confirmed() -> None:
    assert "not confirmed on disk" in brief_text(told(run(SMALL, killed=True, steps=22)))


def test_transforms_are_counted() -> None:
    steps = tuple(Transform(index=i, kind="filter") for i in range(3))
    made = told(recorded(transforms=TransformManifest(transforms=steps, left_out=2)))
    assert made.transforms == "5: filter, filter, filter"


@pytest.mark.parametrize("letter", ["x", "\u202e", "界", '"', "\x1b"])
def test_it_stays_under_2_kb_whatever_was_recorded(letter: str) -> None:
    long = letter * 240
    changes = tuple(Change(path=f"{long}{i}", old=long, new=[long] * 9) for i in range(200))
    entries = tuple(
        Artifact(path=f"{long}/{i}", size=1, mtime=1.0, hash="c" * 64) for i in range(500)
    )
    twin = recorded(
        manifest=manifest(
            upstream=tuple(f"{i:064x}" for i in range(100)), stage=Stage(name=long, role=long)
        ),
        intent=Intent(goal=long, conclusion=long),
        spec_diff=SpecDiff(changes=changes, why=long),
        artifacts=ArtifactIndex(root=long, entries=entries),
        transforms=TransformManifest(
            transforms=tuple(Transform(index=i, kind=long) for i in range(99))
        ),
    )
    twin.path = long
    twin.checkpoints = (*twin.checkpoints[:-1], replace(twin.checkpoints[-1], label=long))
    made = told(twin, *(Restart(segment=i, start_step=8, verdict="differs") for i in range(50)))
    text, json = brief_text(made), msgspec.json.format(msgspec.json.encode(made))
    assert len(text.encode()) < 2048
    assert len(json) < 2048
    assert "\x1b" not in text
    assert made.more_changed
    assert made.more_outputs
