"""Each template is submitted as it is, and with options overridden, and runs nothing else."""

from __future__ import annotations

import shlex

import pytest
from slurm_desk import DRIVERS, EXAMPLE, SMALL, TEMPLATES, Desk

from simckpt import open as open_bundle

TELL = DRIVERS / "tell.py"
AWKWARD = (
    *("a b", '"q"', "it's", "$(touch pwned)", "`touch pwned`", "a\nb", "*", "", "\\", "-c"),
    *("--", "é ü 漢", "; touch pwned", "&& touch pwned", "${HOME}", "!", "\t", "--wrap=x"),
)


BARE = {"serial": 1, "mpi": 4, "gpu": 2, "chain": 4, "preempt": 4, "array": 1}
"""The templates that start a driver, and how many ranks each starts by itself."""


def all_of(desk: Desk, options: dict[str, tuple[str, ...]], **env: str) -> dict[str, str]:
    """Submit the example with each template, in a folder of its own; numbers by template."""
    numbers = {
        name: desk.submit(
            *(f"{name}.sbatch", "python", EXAMPLE, *SMALL, "--steps", "6"),
            options=options.get(name, ()),
            within=name,
            **env,
        )
        for name in BARE
        if name != "gpu" or desk.slurm.gpus
    }
    for name, number in numbers.items():
        for task in [number] if name != "array" else [f"{number}_1", f"{number}_2"]:
            assert desk.slurm.ended(task, 240).state == "COMPLETED", desk.output()
    return numbers


def test_every_template_as_it_is_runs_the_example_and_the_bits_are_the_same(desk: Desk) -> None:
    numbers = all_of(desk, {})
    names = dict.fromkeys(numbers, "kelvin_helmholtz")
    names |= {name: f"simckpt-{numbers[name]}" for name in ("chain", "preempt")}
    names["array"] = f"ensemble-{numbers['array']}/member-2"
    bundles = [f"{name}/{names[name]}.simckpt.h5" for name in numbers]
    for bundle, name in zip(bundles, numbers, strict=True):
        with open_bundle(desk.folder / bundle) as run:
            assert [s.segment.ranks for s in run.segments] == [BARE[name]]
            assert run.segments[0].segment.scheduler["template"].endswith(f"/{name}.sbatch")
    number = desk.submit("compare.sbatch", *bundles)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    assert desk.output().count("SAME") == len(bundles) - 1


@pytest.mark.slow
def test_every_template_takes_the_options_of_the_command_line(desk: Desk) -> None:
    """Also with nothing of the login node's environment, and with a name of two words."""
    templates = desk.folder / "edited templates"
    desk.slurm.command("simckpt", "slurm", "--copy", templates)
    for path in templates.glob("*.sbatch"):
        kept = ("PATH", "PYTHONPATH", "SIMCKPT_CACHE_DIR", "NUMBA_CACHE_DIR", "SLURM_CONF")
        lines = "".join(f"export {n}={shlex.quote(desk.slurm.environment[n])}\n" for n in kept)
        path.write_text(path.read_text().replace("inside=()\n", f"{lines}inside=(env IN=side)\n"))
    desk.templates = templates
    options = ("--export=NONE", "--job-name=two words", "--time=3", "--cpus-per-task=1")
    each = dict.fromkeys(BARE, (*options, "--ntasks=3", "--nodes=1"))
    each["array"] = (*each["array"], "--array=1-2%1")
    each["gpu"] = (*options, "--ntasks=2", "--gpus-per-task=1")
    numbers = all_of(desk, each)
    for name, number in numbers.items():
        (bundle,) = (desk.folder / name).rglob("*2.simckpt.h5" if name == "array" else "*.h5")
        with open_bundle(bundle) as run:
            facts = run.segments[0].segment.scheduler
            assert run.segments[0].segment.ranks == {"gpu": 2, "serial": 1}.get(name, 3)
        assert (facts["job_name"], facts["time_limit_s"]) == ("two words", 180)
        if name in ("chain", "preempt"):
            assert bundle.name == f"two_words-{number}.simckpt.h5"


def test_a_chain_whose_driver_records_nothing_is_not_run_again(desk: Desk) -> None:
    number = desk.submit("chain.sbatch", "python", TELL)
    job = desk.slurm.ended(number)
    assert [t["rank"] for t in desk.told()] == list(range(4)), desk.output()
    assert (job.state, job.restarts) == ("FAILED", 0)
    assert "no run began" in desk.output()


def test_ranks_that_see_themselves_alone_behind_a_script_are_stopped(desk: Desk) -> None:
    """The template cannot ask a script for its MPI, but the run that it starts knows."""
    script = desk.folder / "run it.sh"
    script.write_text(f"#!/bin/sh\nexec python {EXAMPLE} --n 16 --steps 2\n")
    script.chmod(0o755)
    number = desk.submit("mpi.sbatch", "./run it.sh", SIMCKPT_LAUNCH="srun -K --mpi=none")
    assert desk.slurm.ended(number).state == "FAILED"
    assert "each rank sees itself alone" in desk.output()
    assert "SIMCKPT_LAUNCH='srun -K --mpi=pmix' sbatch" in desk.output()
    assert not list(desk.folder.glob("*.h5"))


def test_each_rank_of_the_gpu_template_has_a_gpu_of_its_own(desk: Desk) -> None:
    if not desk.slurm.gpus:
        pytest.skip("no devices here that could pass for GPUs")
    number = desk.submit("gpu.sbatch", "python", TELL, TELL="CUDA_VISIBLE_DEVICES")
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    assert [t["variables"]["CUDA_VISIBLE_DEVICES"] for t in desk.told()] == ["0", "1"]


def test_the_gpu_template_stops_where_the_job_holds_no_gpu(desk: Desk) -> None:
    number = desk.submit("gpu.sbatch", "python", TELL, options=("--gpus-per-task=0",))
    assert desk.slurm.ended(number).status == 78
    assert "--gpus-per-task=1" in desk.output()
    assert desk.told() == []


def test_options_of_the_command_line_override_those_of_the_template(desk: Desk) -> None:
    options = ("--ntasks=6", "--nodes=3", "--cpus-per-task=2", "--job-name=mine", "--time=00:03:00")
    number = desk.submit("mpi.sbatch", "python", TELL, options=options, TELL="OMP_NUM_THREADS")
    job = desk.slurm.ended(number)
    assert (job.state, job["JobName"], job["TimeLimit"]) == ("COMPLETED", "mine", "00:03:00")
    told = desk.told()
    assert [t["size"] for t in told] == [6] * 6
    assert {t["node"] for t in told} == {"n1", "n2", "n3"}


def test_one_thread_for_each_cpu_of_a_rank_unless_told_otherwise(desk: Desk) -> None:
    del desk.slurm.environment["OMP_NUM_THREADS"]
    try:
        options = ("--cpus-per-task=3", "--ntasks=2")
        number = desk.submit("mpi.sbatch", "python", TELL, options=options, TELL="OMP_NUM_THREADS")
        desk.slurm.ended(number)
    finally:
        desk.slurm.environment["OMP_NUM_THREADS"] = "1"
    assert {t["variables"]["OMP_NUM_THREADS"] for t in desk.told()} == {"3"}


@pytest.mark.parametrize("launch", ["", "mpiexec -n 4"])
def test_arguments_arrive_word_for_word_and_run_nothing(desk: Desk, launch) -> None:
    options = ("--nodes=2", "--ntasks=4")
    words = ("python", "-X", "utf8", "-u", TELL, *AWKWARD)
    number = desk.submit("mpi.sbatch", *words, options=options, SIMCKPT_LAUNCH=launch)
    assert desk.slurm.ended(number).state == "COMPLETED", desk.output()
    told = desk.told()
    assert len(told) == 4
    assert all(tuple(t["arguments"]) == AWKWARD for t in told)
    assert {t["runner"] for t in told} == {"mpi4py"}
    assert {t["node"] for t in told} == {"n1", "n2"}
    assert not (desk.folder / "pwned").exists()


def test_serial_and_array_arguments_arrive_word_for_word(desk: Desk) -> None:
    (desk.folder / "sweep.txt").write_text(
        "--a 'x  y' $(touch pwned) \"it's\" \\*\n--b ''\n\n--c 'half\n"
    )
    numbers = [
        desk.submit("serial.sbatch", "python", TELL, *AWKWARD, TELL_SERIAL="1"),
        desk.submit(
            *("array.sbatch", "python", TELL, "n={task}", "$HOME {task}"),
            options=("--array=1-4",),
            TELL_SERIAL="1",
            SIMCKPT_SWEEP="sweep.txt",
        ),
    ]
    desk.slurm.ended(numbers[0])
    states = [desk.slurm.ended(f"{numbers[1]}_{task}").state for task in (1, 2, 3, 4)]
    assert states == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    got = {tuple(t["arguments"]) for t in desk.told()}
    assert got == {
        AWKWARD,
        ("n=1", "$HOME 1", "--a", "x  y", "$(touch", "pwned)", "it's", "*"),
        ("n=2", "$HOME 2", "--b", ""),
    }
    assert "sweep.txt has no line 3" in desk.output()
    assert "unmatched single quote" in desk.output()
    assert not (desk.folder / "pwned").exists()


def test_a_launcher_that_starts_ranks_of_size_one_is_stopped_with_the_mend(desk: Desk) -> None:
    number = desk.submit("mpi.sbatch", "python", TELL, SIMCKPT_LAUNCH="srun -K --mpi=none")
    assert desk.slurm.ended(number).status == 78
    assert "its ranks see 1 of 4 ranks" in desk.output()
    assert "SIMCKPT_LAUNCH='srun -K --mpi=pmix' sbatch" in desk.output()
    assert desk.told() == []


def test_an_exception_on_one_rank_ends_the_job(desk: Desk) -> None:
    (desk.folder / "one.py").write_text(
        "from mpi4py.MPI import COMM_WORLD as comm\n"
        "if comm.rank == 1: raise ValueError('one rank alone')\n"
        "comm.Barrier()\n"
    )
    number = desk.submit("mpi.sbatch", "python", "one.py")
    job = desk.slurm.ended(number, timeout=40)
    assert job.state == "FAILED"
    assert "one rank alone" in desk.output()


def test_nodes_times_ranks_a_node_must_be_the_number_of_ranks(desk: Desk) -> None:
    options = ("--nodes=3", "--ntasks-per-node=2")
    number = desk.submit("mpi.sbatch", "python", TELL, options=options)
    assert desk.slurm.ended(number).status == 64
    assert "give sbatch --ntasks too" in desk.output()


def test_a_template_without_a_command_says_how_it_is_used(desk: Desk) -> None:
    names = [path.name for path in sorted(TEMPLATES.glob("*.sbatch"))]
    options = {"array.sbatch": ("--array=1",)}
    numbers = [desk.submit(name, options=options.get(name, ())) for name in names]
    assert [desk.slurm.ended(number).status for number in numbers] == [64] * len(names)
    for name in names:
        assert f"usage: sbatch [options of sbatch] {name} " in desk.output()
