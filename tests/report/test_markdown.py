import re

from recorded_twins import Setup, run

from simckpt.compare.comparison import compare
from simckpt.compare.many import compare_many
from simckpt.report.many_runs import many_report
from simckpt.report.markdown import markdown, plain
from simckpt.report.two_runs import comparison_report

SMALL = Setup(name="small", n=8, steps=8, every=2, checkpoint_every=8)


def text(**changes):
    return markdown(comparison_report(compare(run(SMALL), run(SMALL, **changes))))


def test_it_begins_with_the_verdict_and_holds_where_why_and_health():
    found = text(rate=0.6)
    assert found.startswith("## DIFFERENT: The runs diverge between steps 0 and 2")
    assert "| x | 2 |" in found
    assert "1. **numerics rate**" in found
    assert "### Health" in found
    assert text(ranks=2).startswith("## SAME: ")


def test_every_row_of_a_table_has_the_cells_of_its_head():
    for found in (text(rate=0.6), text(fields=("x|y", "y"), rate=0.6), text(n=16)):
        for block in found.split("\n\n"):
            lines = [line for line in block.split("\n") if line.startswith("|")]
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1


def test_its_length_is_bounded():
    fields = tuple(f"f{i}" for i in range(80))
    result = compare(run(SMALL, fields=fields), run(SMALL, fields=fields, rate=0.6))
    assert len(markdown(comparison_report(result)).splitlines()) < 90
    assert "... and 70 more" in markdown(comparison_report(result))


def test_many_runs_show_groups_matrix_and_what_separates_them():
    runs = [run(SMALL, name=n, rate=r) for n, r in (("a", 0.5), ("b", 0.5), ("c", 0.6))]
    found = markdown(many_report(compare_many(runs)))
    assert "The odd one out is 3, c.simckpt.h5" in found
    assert "| **1** | · | = | 2 |" in found
    assert re.search(r"\*\*numerics rate\*\*\s+\*\*A  \*\*0.5\s+\*\*B  \*\*0.6", found)


def test_what_a_bundle_says_is_no_markup_no_mention_and_no_link():
    evil = "<img src=x> [a](b) `c` | *d* @all #1 https://e"
    shown = plain(evil)
    assert "\\<img" in shown
    assert "\\[a\\]" in shown
    assert "\\|" in shown
    assert "@all" not in shown
    assert "#1" not in shown
    assert "://" not in shown
    assert "<img" not in text(rate=0.6, parameters={evil: evil}).replace("\\<img", "")
