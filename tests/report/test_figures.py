from xml.etree import ElementTree as ET

import numpy as np
import pytest
from msgspec.structs import replace
from recorded_twins import Setup, run

from simckpt import SetupError
from simckpt.compare.curves import curves, run_lines

pytest.importorskip("matplotlib")

from simckpt.report.figures import pair_figure, runs_figure, save

SMALL = Setup(name="small", n=8, steps=24, every=2, checkpoint_every=8)


def pair(names=(), against="step", **changes):
    a, b = run(SMALL), run(SMALL, **changes)
    return pair_figure(curves(a, b), (a.path, b.path), names, against)


def test_two_runs_are_drawn_with_their_difference_and_the_tiles():
    axes = pair(["mass"], bit=(14, 40)).axes
    values, apart, tiles = axes
    assert [len(line.get_xdata()) for line in values.lines[:2]] == [13, 13]
    assert apart.get_yscale() == "log"
    assert {line.get_xdata()[0] for line in (values.lines[2], apart.lines[1])} == {14}
    shown = tiles.images[0].get_array()
    assert np.count_nonzero(shown[:, :8] == 1) == 1


def test_equal_runs_say_so_and_have_no_onset_and_no_map():
    figure = pair(["mass"], ranks=2)
    values, apart = figure.axes
    assert len(values.lines) == 2
    assert [t.get_text() for t in apart.texts] == ["the same"]


def test_nan_against_a_number_is_never_called_the_same():
    a, b = run(SMALL), run(SMALL, poison=2)
    drawn = curves(a, b)
    mass = next(q for q in drawn.quantities if q.name == "mass")
    apart = replace(mass.difference, y=tuple(float("nan") for _ in mass.difference.y))
    figure = pair_figure(
        replace(drawn, quantities=(replace(mass, difference=apart),)), (a.path, b.path), ["mass"]
    )
    assert figure.axes[1].texts[0].get_text().startswith("not finite in A or B at ")


def test_time_can_be_the_axis():
    values = pair(["mass"], "t", rate=0.6).axes[0]
    assert values.lines[0].get_xdata()[-1] == pytest.approx(24 * SMALL.dt)


def test_one_run_and_several_are_drawn_in_the_same_axes():
    one = runs_figure([run_lines(run(SMALL))])
    assert [a.get_ylabel() for a in one.axes] == ["mass", "courant", "x.max"]
    three = runs_figure([run_lines(run(SMALL, rate=r)) for r in (0.5, 0.6, 0.7)], ["dt"])
    assert len(three.axes[0].lines) == 3


def test_a_quantity_that_no_run_has_is_refused():
    with pytest.raises(SetupError, match="nothing"):
        pair(["nothing"])
    with pytest.raises(SetupError, match="mass"):
        runs_figure([run_lines(run(SMALL))], ["mas"])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_runs_give_the_same_bytes(tmp_path, kind):
    for name in ("one", "two"):
        save(pair(rate=0.6), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one.{kind}", f"two.{kind}"]


def test_a_name_in_a_bundle_is_no_formula_and_no_markup(tmp_path):
    evil = run(SMALL, name="$x^$ <b> \\frac$")
    save(runs_figure([run_lines(evil)]), tmp_path / "x.svg")
    ET.parse(tmp_path / "x.svg")
    figure = runs_figure([run_lines(evil)])
    assert figure.get_suptitle() == r"\$x^\$ <b> \frac\$"


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(SetupError, match="png, svg, pdf"):
        save(pair(), tmp_path / "x.gif")
