"""A stage leaves a bundle: the five parts, and its transforms in order."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import simckpt
from simckpt import SetupError, SimckptWarning
from simckpt.analysis import stage, transform
from simckpt.analysis.stage import MOST_TRANSFORMS, AnalysisProfile
from simckpt.model.transform import Transform, TransformManifest


@transform("filter", selection="values > {least}", why="noise")
def larger(data, least):
    return data[data > least]


def told(path: Path, at: int = -1) -> TransformManifest:
    with simckpt.open(path) as bundle:
        found = bundle.document(bundle.checkpoints[at].parts.transforms)
        assert isinstance(found, TransformManifest)
        return found


@pytest.fixture
def upstream(tmp_path: Path) -> str:
    """The id of the last checkpoint of a simulation."""
    with simckpt.run(tmp_path / "simulation"):
        pass
    with simckpt.open(tmp_path / "simulation") as bundle:
        return str(bundle.checkpoints[-1].id)


def test_a_stage_records_its_parts_and_leads_back_to_the_run(tmp_path: Path, upstream: str) -> None:
    (tmp_path / "in.txt").write_text("1 2 3")

    @stage(
        tmp_path / "late-{least}",
        name="late states",
        cohort="members 1 to 3",
        intent="what is large",
        upstream=[tmp_path / "simulation"],
        inputs=[tmp_path / "in.txt"],
        outputs=[tmp_path / "out.txt"],
    )
    def late(least):
        data = np.loadtxt(tmp_path / "in.txt")
        np.savetxt(tmp_path / "out.txt", larger(data, least))

    late(1.5)
    with simckpt.open(tmp_path / "late-1.5") as bundle:
        first, last = bundle.checkpoints[0], bundle.checkpoints[-1]
        assert first.parents == (upstream,)
        manifest = bundle.document(last.parts.manifest)
        assert (manifest.stage.name, manifest.stage.role) == ("late states", "analysis")
        assert manifest.upstream == (upstream,)
        assert manifest.parameters == {"least": 1.5}
        assert manifest.inputs[0].hash
        assert bundle.document(last.parts.artifacts).entries[0].hash
        assert bundle.document(last.parts.intent).goal == "what is large"
        assert bundle.document(last.parts.environment).sections
        assert last.parts.spec_diff
    transforms = told(tmp_path / "late-1.5")
    assert transforms.cohort == "members 1 to 3"
    (step,) = transforms.transforms
    assert (step.kind, step.selection, step.why) == ("filter", "values > 1.5", "noise")
    assert step.parameters == {"least": 1.5}
    assert step.function.endswith("larger")
    before, after = (transforms.dataset(d[0]) for d in (step.sources, step.results))
    assert (before.dims, after.dims) == ({"axis 0": 3}, {"axis 0": 2})


def test_the_result_of_one_step_is_the_source_of_the_next(tmp_path: Path) -> None:
    with stage(tmp_path / "chain"):
        data = transform("open").into(np.arange(12.0))
        boxes = transform("reshape", data).into(data.reshape(3, 4))
        with transform("mean", boxes, selection="over the second axis") as averaging:
            averaging.into(boxes.mean(axis=1))
    steps = told(tmp_path / "chain").transforms
    assert [s.kind for s in steps] == ["open", "reshape", "mean"]
    assert [s.index for s in steps] == [0, 1, 2]
    assert steps[0].sources == ()
    assert steps[0].results == steps[1].sources
    assert steps[1].results == steps[2].sources
    assert [(c.what, c.new) for c in steps[1].changes] == [("dims", "axis 0, axis 1")]


def test_a_join_has_several_sources_and_a_split_several_results(tmp_path: Path) -> None:
    with stage(tmp_path / "join"):
        a, b = np.arange(3.0), np.arange(4.0)
        both = transform("join", a, b).into(np.concatenate([a, b]))
        assert transform("split", both).into(both[:2], both[2:]) is not None
    join, split = told(tmp_path / "join").transforms
    assert (len(join.sources), len(join.results)) == (2, 1)
    assert (len(split.sources), len(split.results)) == (1, 2)


def test_data_is_found_among_all_arguments_and_in_what_is_returned(tmp_path: Path) -> None:
    @transform("split")
    def split(*data, at, **more):
        return {"low": data[0][:at], "high": more["b"][at:], "count": 2}

    with stage(tmp_path / "arguments"):
        split(np.ones(2), at=1, b=np.ones(3), unit="m")
    (step,) = told(tmp_path / "arguments").transforms
    assert (len(step.sources), len(step.results)) == (2, 2)
    assert step.parameters == {"at": 1, "unit": "m"}


def test_a_change_in_place_is_seen(tmp_path: Path) -> None:
    @transform("scale")
    def scaled(data):
        data *= 2

    with stage(tmp_path / "place"):
        data = np.ones(3)
        scaled(data)
        with transform("shift", data):
            data += 1
        with transform("look", data):
            pass
    scale, shift, look = told(tmp_path / "place").transforms
    assert scale.sources != scale.results
    assert scale.results == shift.sources
    assert look.sources == look.results


def test_a_transform_that_raises_is_on_record_and_its_error_is_the_users(tmp_path: Path) -> None:
    @transform("filter")
    def broken(data):
        raise ValueError("mine")

    @stage(tmp_path / "broken")
    def work():
        transform("first", np.ones(2)).into(np.ones(1))
        with pytest.raises(ValueError, match="mine"), transform("select", np.ones(4)):
            raise ValueError("mine, with --password hunter22")
        broken(np.ones(3))

    with pytest.raises(ValueError, match="mine"):
        work()
    found = told(tmp_path / "broken")
    assert [(s.kind, len(s.results), s.problem) for s in found.transforms[::2]] == [
        ("first", 1, ""),
        ("filter", 0, "ValueError: mine"),
    ]
    select = found.transforms[1]
    assert select.problem.startswith("ValueError: mine")
    assert "hunter22" not in select.problem
    sizes = [list(found.dataset(s.sources[0]).dims.values()) for s in found.transforms]
    assert sizes == [[2], [4], [3]]
    with simckpt.open(tmp_path / "broken") as bundle:
        assert bundle.segments[-1].ending == "exception"


def test_a_result_that_is_no_dataset_is_named_and_the_stage_goes_on(tmp_path: Path) -> None:
    with stage(tmp_path / "odd"):
        assert transform("count", np.ones(3)).into(3) == 3
    (step,) = told(tmp_path / "odd").transforms
    assert "no dataset" in told(tmp_path / "odd").dataset(step.results[0]).problem
    with simckpt.open(tmp_path / "odd") as bundle:
        assert "dataset_unreadable" in [e.name for e in bundle.events]


def test_secrets_stay_out_of_the_record(tmp_path: Path) -> None:
    @transform("fetch")
    def fetched(data, password):
        return data

    with stage(tmp_path / "secret"):
        fetched(np.ones(2), password="hunter2")
        text = "from https://me:hunter2@example.org/data"
        transform("open", selection=text).into(np.ones(1))
    assert "hunter2" not in str(told(tmp_path / "secret"))


def test_a_checkpoint_within_a_stage_holds_the_steps_so_far(tmp_path: Path) -> None:
    with stage(tmp_path / "half"):
        transform("one", np.ones(2)).into(np.ones(1))
        simckpt.checkpoint("half way")
        transform("two", np.ones(2)).into(np.ones(1))
    assert [len(told(tmp_path / "half", at).transforms) for at in (0, 1, 2)] == [0, 1, 2]


def test_outside_of_a_stage_a_step_works_and_says_once_that_it_is_not_recorded(tmp_path) -> None:
    step = transform("unheard of")(np.sort)
    with pytest.warns(SimckptWarning, match="outside of simckpt.analysis.stage"):
        assert list(step(np.array([2, 1]))) == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(np.array([2, 1]))


def test_a_disabled_stage_records_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SIMCKPT_DISABLE", "1")
    with stage(tmp_path / "none"):
        assert transform("disabled", np.ones(2)).into(5) == 5
    assert list(tmp_path.iterdir()) == []


def test_a_stage_can_be_decorated_without_brackets(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    @stage
    def figure():
        return 7

    assert figure() == 7
    assert told(tmp_path / "figure") == TransformManifest()


def test_each_call_of_a_stage_has_its_own_manifest(tmp_path: Path) -> None:
    @stage(tmp_path / "call-{n}")
    def call(n):
        for _ in range(n):
            transform("step").into(np.ones(1))

    call(1)
    call(2)
    assert [len(told(tmp_path / f"call-{n}").transforms) for n in (1, 2)] == [1, 2]


def test_a_simulation_has_no_transforms(tmp_path: Path) -> None:
    with simckpt.run(tmp_path / "run"):
        pass
    with simckpt.open(tmp_path / "run") as bundle:
        assert bundle.checkpoints[-1].parts.transforms is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: transform(np.sort), "brackets|function"),
        (lambda: transform(" "), "kind"),
        (lambda: transform("x" * 61), "60"),
        (lambda: transform("filter", selection=3), "selection"),
        (lambda: stage(stage="x"), "name="),
        (lambda: stage(cohort=3), "cohort"),
        (lambda: stage(speed=3), "speed"),
    ],
)
def test_a_wrong_argument_is_named(wrong, named) -> None:
    with pytest.raises(SetupError, match=named):
        wrong()


def test_a_decorator_takes_no_sources(tmp_path: Path) -> None:
    with stage(tmp_path / "both"), pytest.raises(SetupError, match="sources were given"):
        transform("filter", np.ones(2))(np.sort)


def test_transforms_of_many_threads_are_all_kept_in_one_order() -> None:
    profile = AnalysisProfile()
    step = Transform(index=0, kind="step")
    workers = [
        threading.Thread(target=lambda: [profile.add(step, (), ()) for _ in range(200)])
        for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    manifest = profile.transforms()
    assert [s.index for s in manifest.transforms] == list(range(MOST_TRANSFORMS))
    assert manifest.left_out == 200


@pytest.mark.mpi
def test_on_several_ranks_one_manifest_is_written(mpiexec, tmp_path: Path) -> None:
    program = f"""
    from mpi4py import MPI
    import numpy as np
    from simckpt.analysis import stage, transform

    @stage({str(tmp_path / "ranks")!r})
    def work():
        transform("first").into(np.ones(3))

    work()
    """
    mpiexec(program, ranks=2).check()
    assert [s.kind for s in told(tmp_path / "ranks").transforms] == ["first"]
