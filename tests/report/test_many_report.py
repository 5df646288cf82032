import io

import pytest
from recorded_twins import Setup, run

from simckpt.compare.many import compare_many
from simckpt.report.many_runs import group_letter, many_report
from simckpt.report.sections import terminal
from simckpt.report.text import show

SMALL = Setup(n=8, steps=8, every=2, checkpoint_every=8)


def page(*changes) -> str:
    runs = [run(SMALL, **{"name": f"r{i}", **change}) for i, change in enumerate(changes)]
    out = io.StringIO()
    show(terminal(many_report(compare_many(runs))), out)
    return out.getvalue()


def test_the_first_lines_are_the_verdict_and_the_odd_one_out():
    lines = page({}, {"bit": (3, 40)}, {}).splitlines()
    assert lines[0].startswith("DIFFERENT  3 runs in 2 groups")
    assert lines[1].strip() == "The odd one out is 2, r1.simckpt.h5"


def test_all_the_same_needs_no_matrix():
    text = page({}, {}, {"ranks": 2})
    assert text.startswith("SAME  All 3 runs are bit-for-bit the same")
    assert "Each run" not in text


def test_it_shows_the_matrix_and_what_separates_the_groups():
    text = page({}, {"rate": 0.6}, {}, {"rate": 0.6, "ranks": 2})
    assert "  1  ·  =  2  2" in text
    assert "numerics rate\n    A  0.5\n    B  0.6" in text


def test_what_could_not_be_compared_and_what_ends_early_have_their_own_signs():
    text = page({}, {"fields": ("x", "y")}, {"steps": 6})
    assert "?" in text.partition("Each run")[2]
    assert "< one ends early" in text


@pytest.mark.parametrize("kinds", [1, 3, 14])
def test_a_page_of_forty_runs_is_bounded(kinds):
    text = page(*({"rate": 0.5 + 0.01 * (i % kinds)} for i in range(40)))
    lines = text.splitlines()
    assert len(lines) <= 110
    assert max(len(line) for line in lines) <= 100
    assert "more runs" in text


def test_no_fact_is_named_where_none_goes_with_the_groups():
    assert "No recorded fact goes with these groups." in page({}, {}, {"bit": (3, 40)})


def test_what_a_bundle_says_cannot_steer_the_terminal():
    hostile = {"\x1b]0;x\x07": "[red]\x1b[2J"}
    assert "\x1b" not in page({}, {"parameters": hostile, "rate": 0.6}, {})


def test_groups_past_the_alphabet_have_names_of_their_own():
    assert [group_letter(i) for i in (0, 25, 26, 53)] == ["A", "Z", "A1", "B2"]
