"""What a driver reports between samples, and that what is declared is specified."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simckpt
from simckpt import SetupError, SimckptWarning
from simckpt.errors import InstrumentError
from simckpt.recording.sampling import Reports, Stream

DECLARED = {
    "budget": {"mass": "rho"},
    "counts": ["limiter"],
    "residuals": ["poisson"],
    "scalars": ["multiplier"],
    "custom": {"cells": simckpt.Custom(lambda fields: fields["rho"].size)},
    "extrema": ["rho"],
}


def drive(bundle: Path, steps: int = 4, **declared: object) -> None:
    rho = np.ones(8)

    @simckpt.step(
        grid=simckpt.Grid(8, spacing=0.5), fields={"rho": rho}, every=2, **(declared or DECLARED)
    )
    def advance() -> None:
        run = simckpt.active_run()
        assert run is not None
        rho[3] += 0.25
        run.add_source("mass", 0.125)
        run.count("limiter")
        run.count("limiter", 2)
        run.residual("poisson", iterations=7, initial=1.0, final=1e-8)
        run.scalar("multiplier", 0.5)

    with simckpt.run(bundle=bundle):
        for _ in range(steps):
            advance()


def test_reports_since_the_last_sample_are_columns_of_the_next(tmp_path: Path) -> None:
    drive(tmp_path / "x")
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series.step) == [0, 2, 4]
        assert list(series["mass"]) == [4.0, 4.25, 4.5]
        assert list(series["mass.input"]) == [0.0, 0.25, 0.25]
        assert list(series["mass.residual"]) == [0.0, 0.0, 0.0]
        assert list(series["mass.imbalance"]) == [0.0, 0.0, 0.0]
        assert list(series["limiter"]) == [0, 6, 6]
        assert list(series["poisson.iterations"]) == [0, 14, 14]
        assert list(series["poisson.solves"]) == [0, 2, 2]
        assert series["poisson.final"][1] == 1e-8
        assert math.isnan(series["multiplier"][0])
        assert list(series["multiplier"][1:]) == [0.5, 0.5]
        assert list(series["cells"]) == [8, 8, 8]
        assert list(series["rho.max.i"]) == [0, 3, 3]
        assert not series.faults.any()


def test_what_is_declared_is_specified_and_no_change_of_the_specification(tmp_path: Path) -> None:
    drive(tmp_path / "x")
    with simckpt.open(tmp_path / "x") as bundle:
        start, final = (bundle.checkpoints[i] for i in (0, -1))
        facts = bundle.document(final.parts.specification).facts
        assert facts["declarations"]["budget"] == {"mass": "budget of the integral of rho"}
        assert bundle.document(start.parts.specification).facts["declarations"] == {}
        assert all(bundle.document(c.parts.spec_diff).changes == () for c in bundle.checkpoints)


def test_declarations_that_changed_between_job_attempts_are_a_change(tmp_path: Path) -> None:
    def attempt(step: int, declared: str) -> None:
        with simckpt.run(bundle=tmp_path / "x", if_exists="continue", start_step=step) as run:
            for i in range(2):
                run.sample(
                    grid=simckpt.Grid(4),
                    fields={"rho": np.ones(4)},
                    conserved={"mass": declared},
                    step=step + i,
                )

    for step, declared in ((0, "rho"), (2, "rho"), (4, "2*rho")):
        attempt(step, declared)
    with simckpt.open(tmp_path / "x") as bundle:
        changes = [bundle.document(c.parts.spec_diff).changes for c in bundle.checkpoints]
        assert [len(c) for c in changes] == [0, 0, 0, 0, 0, 1]
        (change,) = changes[-1]
        assert change.path == "declarations.conserved.mass"
        assert (change.old, change.new) == ("integral of rho", "integral of 2*rho")


def test_a_report_that_nothing_was_declared_for_is_said_once(tmp_path: Path) -> None:
    with pytest.warns(SimckptWarning, match=r"run\.add_source\('mass', \.\.\.\).*budget="):
        drive(tmp_path / "x", counts=["limiter"])
    with simckpt.open(tmp_path / "x") as bundle:
        said = [e.text for e in bundle.events if e.name == "report_undeclared"]
        assert len(said) == 3


def test_a_report_that_is_no_number_does_not_end_the_run(tmp_path: Path) -> None:
    with pytest.warns(SimckptWarning, match="negative"), simckpt.run(bundle=tmp_path / "x") as run:
        run.count("limiter", -1)
    with (
        pytest.raises(InstrumentError, match=r"run\.scalar\('a'"),
        simckpt.run(bundle=tmp_path / "y", strict=True) as run,
    ):
        run.scalar("a", "much")  # type: ignore[arg-type]


def sample_each(run: Any, reports: list[Any], steps: int = 2, **declared: Any) -> None:
    """Let each of `reports` report, and take a sample, so many times."""
    for step in range(steps):
        for report in reports:
            report(run)
        run.sample(grid=simckpt.Grid(4), fields={"rho": np.ones(4)}, step=step, **declared)


@pytest.mark.parametrize(
    "n",
    [2**70, -1, -(1 << 20000), 1 << 20000, 1.5, None, np.float64(2.0)],
    ids=["large", "negative", "long", "longer", "broken", "none", "float"],
)
def test_a_count_that_cannot_be_held_is_refused_by_name_and_the_run_goes_on(
    tmp_path: Path, n: Any
) -> None:
    reports = [lambda run: run.count("limiter", np.int32(5)), lambda run: run.count("limiter", n)]
    said = r"run\.count\('limiter', \.\.\.\)"
    with pytest.warns(SimckptWarning, match=said), simckpt.run(bundle=tmp_path / "x") as run:
        sample_each(run, reports, 3, counts=["limiter"])
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series()["limiter"]) == [5, 5, 5]
        (event,) = (e for e in bundle.events if e.name == "instrument_failed")
        assert "run.count('limiter', ...)" in event.text


def test_a_total_that_cannot_be_held_is_refused_at_the_report_that_makes_it(
    tmp_path: Path,
) -> None:
    reports = [lambda run: run.count("limiter", 2**64 - 1), lambda run: run.count("limiter", 2)]
    said = r"run\.count\('limiter'.*makes 18446744073709551617"
    with pytest.warns(SimckptWarning, match=said), simckpt.run(bundle=tmp_path / "x") as run:
        sample_each(run, reports, counts=["limiter"])
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series()["limiter"]) == [2.0**64, 2.0**64]


def test_negative_iterations_are_refused_as_a_negative_count_is(tmp_path: Path) -> None:
    reports = [
        lambda run: run.residual("poisson", iterations=-1),
        lambda run: run.residual("poisson", iterations=0, initial=1.0, final=1.0),
    ]
    said = r"run\.residual\('poisson'.*of -1 is negative"
    with pytest.warns(SimckptWarning, match=said), simckpt.run(bundle=tmp_path / "x") as run:
        sample_each(run, reports, 1, residuals=["poisson"])
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series()["poisson.solves"]) == [1]
        assert list(bundle.series()["poisson.iterations"]) == [0]


def test_iterations_that_cannot_be_held_are_refused() -> None:
    reports = Reports()
    reports.residual("poisson", 2**63, math.nan, math.nan)
    for more in (2**63, 2**70, 1 << 20000):
        with pytest.raises(ValueError, match=r"a number of iterations of .* is not counted"):
            reports.residual("poisson", more, math.nan, math.nan)
    assert reports.take().solves["poisson"].iterations == 2**63


def test_reports_are_found_under_letters_that_are_the_same(tmp_path: Path) -> None:
    micro, mu = "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"
    declared: dict[str, Any] = {
        "counts": [f"n{mu}"],
        "scalars": [f"s{micro}"],
        "residuals": [f"r{mu}"],
        "budget": {f"b{mu}": "rho"},
    }
    with simckpt.run(bundle=tmp_path / "x") as run:
        for step in range(2):
            run.count(f"n{micro}", 2)
            run.scalar(f"s{mu}", 3.0)
            run.residual(f"r{micro}", iterations=4)
            run.add_source(f"b{micro}", 0.0)
            run.sample(grid=simckpt.Grid(4), fields={"rho": np.ones(4)}, step=step, **declared)
    with simckpt.open(tmp_path / "x") as bundle:
        found = bundle.series()
        values = [found[name][1] for name in (f"n{mu}", f"s{mu}", f"r{mu}.iterations", f"b{mu}")]
        assert values == [2.0, 3.0, 4.0, 4.0]
        assert not [e for e in bundle.events if e.name == "report_undeclared"]


def test_a_callable_that_leaves_the_program_does_not_end_the_run(tmp_path: Path) -> None:
    def leave(fields: Any) -> float:
        raise SystemExit("enough")

    declared = {"custom": {"q": simckpt.Custom(leave)}, "conserved": {"mass": "rho"}}
    said = r"raised SystemExit\('enough'\)"
    with pytest.warns(SimckptWarning, match=said), simckpt.run(bundle=tmp_path / "x") as run:
        sample_each(run, [], **declared)
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert np.isnan(series["q"]).all()
        assert list(series["mass"]) == [4.0, 4.0]


def test_a_report_outside_of_a_run_is_a_mistake_and_none_where_nothing_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SetupError, match=r"run\.add_source"):
        simckpt.run(bundle=tmp_path / "x").add_source("mass", 1.0)
    monkeypatch.setenv("SIMCKPT_DISABLE", "1")
    with simckpt.run(bundle=tmp_path / "x") as run:
        run.add_source("mass", 1.0)
        run.count("limiter")
        run.residual("poisson", iterations=1)
        run.scalar("a", 1.0)
    assert not list(tmp_path.iterdir())


def test_what_was_taken_is_not_given_again() -> None:
    reports = Reports()
    for amount in (1e16, 1.0, -1e16):
        reports.add_source("mass", amount)
    reports.count("n", 2)
    taken = reports.take()
    assert taken.amounts["mass"].rounded == 1.0
    assert taken.counts == {"n": 2}
    assert reports.take() is None


MPI_PROGRAM = """
import sys, warnings
import numpy as np
from mpi4py import MPI
import simckpt

warnings.simplefilter("ignore")
comm = MPI.COMM_WORLD
rho = np.full(6, 1.0 + comm.rank)
with simckpt.run(bundle=sys.argv[1]) as run:
    for step in range(3):
        if step:
            rho += 0.5
            run.add_source("mass", 3.0)
            run.count("limiter", comm.rank)
            run.residual("poisson", iterations=5, initial=0.5, final=1e-9)
            run.scalar("same", 2.0)
            run.scalar("other", float(comm.rank))
        rho[2] = 100.0 * (comm.rank == 1)
        run.sample(
            grid=simckpt.Grid(6 * comm.size, start=6 * comm.rank), fields={"rho": rho}, step=step,
            budget={"mass": "rho"}, counts=["limiter"], residuals=["poisson"],
            scalars=["same", "other"], extrema=["rho"],
            custom={"n": simckpt.Custom(lambda fields: fields["rho"].size)},
        )
"""


@pytest.mark.mpi
def test_reports_of_all_ranks_come_together(mpiexec, tmp_path: Path) -> None:
    mpiexec(MPI_PROGRAM, str(tmp_path / "x"), ranks=3).check()
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series["mass.input"]) == [0.0, 9.0, 9.0]
        # One cell a rank is set and not moved: 0.5 of each 3.0 is not in the integral.
        assert list(series["mass.residual"]) == [0.0, -1.5, -1.5]
        assert list(series["mass.imbalance"]) == [0.0, -1.5, -3.0]
        assert list(series["limiter"]) == [0, 3, 3]
        assert list(series["poisson.iterations"]) == [0, 5, 5]
        assert list(series["same"][1:]) == [2.0, 2.0]
        assert np.isnan(series["other"]).all()
        assert list(series.faults) == [0, 1, 1]
        assert list(series["n"]) == [18, 18, 18]
        assert list(series["rho.max.i"]) == [8, 8, 8]
        assert list(series["rho.max.rank"]) == [1, 1, 1]
        assert any("scalar other differs" in e.text for e in bundle.events)


def test_reports_of_a_sample_that_is_not_sent_come_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = Stream.push
    asked = []

    def refuse_the_second(stream: Stream, *message: Any, **more: Any) -> bool:
        asked.append(1)
        return len(asked) != 2 and push(stream, *message, **more)

    monkeypatch.setattr(Stream, "push", refuse_the_second)
    drive(tmp_path / "x")
    with simckpt.open(tmp_path / "x") as bundle:
        series = bundle.series()
        assert list(series.step) == [0, 4]
        assert list(series["mass.input"]) == [0.0, 0.5]
        assert list(series["mass.residual"]) == [0.0, 0.0]
        assert list(series["limiter"]) == [0, 12]
        assert list(series["poisson.solves"]) == [0, 4]
        assert series["multiplier"][1] == 0.5


def test_what_is_given_back_comes_before_what_was_reported_later() -> None:
    reports = Reports()
    reports.scalar("a", 1.0)
    reports.count("n", 2)
    taken = reports.take()
    reports.scalar("a", 2.0)
    reports.count("n", 3)
    reports.add_source("m", 0.5)
    reports.give_back(taken)
    again = reports.take()
    assert again.scalars == {"a": 2.0}
    assert again.counts == {"n": 5}
    assert again.amounts["m"].rounded == 0.5


@pytest.mark.parametrize("amount", [math.nan, math.inf])
def test_an_amount_that_is_not_finite_is_an_event_and_not_counted(
    tmp_path: Path, amount: float
) -> None:
    rho = np.ones(8)
    given = {"grid": simckpt.Grid(8), "fields": {"rho": rho}, "budget": {"mass": "rho"}}
    with simckpt.run(tmp_path / "x") as run:
        for step in range(3):
            run.sample(step=step, **given)
            rho[0] += 0.5
            run.add_source("mass", 0.5)
            if step == 0:
                with pytest.warns(SimckptWarning, match="is not finite"):
                    run.add_source("mass", amount)
    with simckpt.open(tmp_path / "x") as bundle:
        assert list(bundle.series()["mass.imbalance"]) == [0.0, 0.0, 0.0]
        (event,) = [e for e in bundle.events if e.name == "instrument_failed"]
        assert "run.add_source('mass', ...)" in event.text
        assert "is not finite: it is not counted" in event.text


def test_other_declarations_later_say_what_is_different(tmp_path: Path) -> None:
    given = {"grid": simckpt.Grid(8), "fields": {"rho": np.ones(8)}}
    with simckpt.run(tmp_path / "x") as run:
        run.sample(step=0, conserved={"m": "rho", "e": "rho*rho"}, **given)
        with pytest.warns(SimckptWarning, match="declarations"):
            run.sample(step=1, conserved={"m": "2*rho"}, extrema=["rho"], **given)
    with simckpt.open(tmp_path / "x") as bundle:
        (event,) = [e for e in bundle.events if e.name == "declarations_changed"]
        assert "conserved['m'] is 'integral of 2*rho' and was 'integral of rho'" in event.text
        assert "without conserved['e'], 'integral of rho*rho'" in event.text
        assert "with extrema['rho']" in event.text


def test_an_argument_that_is_unknown_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gird = 1: is no argument of step.*mean grid=\?"):
        simckpt.step(gird=1)
    with simckpt.run(tmp_path / "x") as run:
        with pytest.raises(SetupError, match=r"conservd = {}: .*run.sample.*mean conserved=\?"):
            run.sample(conservd={})
        with pytest.raises(SetupError, match=r"grid = \(8, 6\): .*Write simckpt.Grid\(\(8, 6\)\)"):
            run.sample(grid=(8, 6), fields={"rho": np.ones((8, 6))})
