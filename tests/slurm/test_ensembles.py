"""Arrays of members, and comparisons that wait for them and that others wait for."""

from __future__ import annotations

import re

from slurm_desk import SMALL, TEMPLATES, TROUBLED, Desk

from simckpt import open as open_bundle


def test_a_bad_member_of_eight_is_found_and_what_depends_on_it_stays_blocked(desk: Desk) -> None:
    lines = ["--seed 3" + " --perturb 1e-13" * (member == 5) for member in range(1, 9)]
    (desk.folder / "members.txt").write_text("\n".join(lines) + "\n")
    submitted = desk.slurm.command(
        *("bash", TEMPLATES / "ensemble-then-compare.sh", "8"),
        *("python", TROUBLED, *SMALL, "--steps", "12"),
        cwd=desk.folder,
        env={"SIMCKPT_SWEEP": "members.txt", "SIMCKPT_FOLDER": "members"},
    )
    ensemble, compare = submitted.stdout.split()
    blocked = desk.slurm.sbatch(
        f"--dependency=afterok:{compare}", "--wrap=touch published", cwd=desk.folder
    )
    job = desk.slurm.ended(compare, timeout=200)
    output = desk.output()
    assert (job.state, job.status) == ("FAILED", 1), output
    assert "==== 1 of 7 are not the same as members/member-1.simckpt.h5:" in output
    assert re.search(r"^==== .*: members/member-5\.simckpt\.h5$", output, re.MULTILINE)
    waiting = desk.slurm.until(
        blocked, lambda job: job["Reason"] == "DependencyNeverSatisfied", "blocked"
    )
    assert waiting.state == "PENDING"
    assert not (desk.folder / "published").exists()
    campaigns = set()
    for member in range(1, 9):
        with open_bundle(desk.folder / f"members/member-{member}.simckpt.h5") as run:
            facts = run.segments[0].segment.scheduler
            campaigns.add(run.campaign)
        assert (facts["array_job_id"], facts["array_task_id"]) == (ensemble, member)
    assert len(campaigns) == 1


def test_a_comparison_does_not_start_when_a_member_failed(desk: Desk) -> None:
    submitted = desk.slurm.command(
        *("bash", TEMPLATES / "ensemble-then-compare.sh", "2"),
        *("bash", "-c", "exit $((SLURM_ARRAY_TASK_ID - 1))"),
        cwd=desk.folder,
    )
    _, compare = submitted.stdout.split()
    assert desk.slurm.ended(compare).state == "CANCELLED"


def test_compare_passes_its_options_on_and_ends_with_the_worst_status(desk: Desk) -> None:
    for name, words in (("a", ()), ("b", ()), ("c", ("--perturb", "1e-13"))):
        bundle = {"SIMCKPT_BUNDLE": str(desk.folder / f"{name}.simckpt.h5")}
        number = desk.submit(
            *("serial.sbatch", "python", TROUBLED, *SMALL, "--steps", "9", *words), **bundle
        )
        assert desk.slurm.ended(number).state == "COMPLETED", desk.output()

    def compared(*words: str) -> int:
        return desk.slurm.ended(desk.submit("compare.sbatch", *words)).status

    assert compared("a.simckpt.h5", "b.simckpt.h5") == 0
    assert compared("a.simckpt.h5", "b.simckpt.h5", "c.simckpt.h5") == 1
    assert compared("a.simckpt.h5", "nowhere.simckpt.h5", "c.simckpt.h5") == 2
    assert compared("--atol", "1e-9", "--", "a.simckpt.h5", "c.simckpt.h5") == 0
