"""Each template is submitted as it is, and with options overridden, and runs nothing else."""

from __future__ import annotations

import pytest
from slurm_desk import DRIVERS, TEMPLATES, Desk

TELL = DRIVERS / "tell.py"
AWKWARD = ("a b", '"q"', "it's", "$(touch pwned)", "`touch pwned`", "a\nb", "*", "", "\\", "-c")


@pytest.mark.parametrize(
    ("template", "ranks"),
    [("serial.sbatch", 1), ("mpi.sbatch", 4), ("chain.sbatch", 4), ("preempt.sbatch", 4)],
)
def test_a_template_submitted_as_it_is_starts_its_ranks(desk: Desk, template, ranks) -> None:
    number = desk.submit(template, "python", TELL, TELL_SERIAL="1" if ranks == 1 else "")
    job = desk.slurm.ended(number)
    told = desk.told()
    assert [t["rank"] for t in told] == list(range(ranks)), desk.output()
    assert {t["size"] for t in told} == {ranks}
    if template in ("serial.sbatch", "mpi.sbatch"):
        assert job.state == "COMPLETED"
    else:
        # Nothing was recorded, so that nobody can tell whether the driver is done.
        assert (job.state, job.restarts) == ("FAILED", 0)
        assert "no run began" in desk.output()


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


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.sbatch")), ids=lambda p: p.name)
def test_a_template_without_a_command_says_how_it_is_used(desk: Desk, path) -> None:
    options = ("--array=1",) if path.name == "array.sbatch" else ()
    number = desk.submit(path.name, options=options)
    assert desk.slurm.ended(number).status == 64
    assert f"{path.name} " in desk.output()
