"""The graph of runs is drawn so that every fork and merge can be followed."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simckpt.compare.ancestry import Ancestry, Link, RunNode
from simckpt.report.history import lineage_dot, lineage_report
from simckpt.report.text import show


def graph(*edges: str, names: str = "") -> Ancestry:
    """A graph from edges such as ``"ab"``; runs in alphabetical order."""
    known = sorted(set("".join(edges)) | set(names))
    return Ancestry(
        runs=tuple(
            RunNode(id=n, path=f"runs/{n}.simckpt.h5", ending="finished", role="simulation")
            for n in known
        ),
        links=tuple(Link(parent=e[0], child=e[1], checkpoint=e[0] * 64, step=7) for e in edges),
    )


def printed(drawn: Ancestry) -> list[str]:
    out = io.StringIO()
    show(lineage_report(drawn), out)
    return out.getvalue().splitlines()


def lanes(drawn: Ancestry) -> list[str]:
    return [re.split(r"  +[a-z]", line)[0].rstrip() for line in printed(drawn)]


def test_a_fork_and_a_merge() -> None:
    assert lanes(graph("ab", "ac", "ad", "be", "ce", "de")) == [
        "●",
        "├─┬─╮",
        "● │ │",
        "│ ● │",
        "│ │ ●",
        "├─┴─╯",
        "●",
    ]


def test_a_merge_leads_across_the_lanes_of_others() -> None:
    # c merges into d from across the lane that leads from a to e.
    assert lanes(graph("ab", "ae", "bd", "cd")) == [
        "●",
        "├─╮",
        "● │",
        "│ │ ●",
        "├─┼─╯",
        "● │",
        "  ●",
    ]


def test_each_run_says_where_it_starts_from() -> None:
    text = "\n".join(printed(graph("ac", "bc")))
    assert "from a at step 7 and b at step 7" in text
    many = printed(graph("af", "bf", "cf", "df", "ef"))[-1]
    assert "and 2 more" in many


def test_what_was_not_given_is_told_by_its_checkpoint() -> None:
    known = RunNode(id="k", path="k.simckpt.h5", ending="finished")
    unknown = RunNode(id="f" * 64)
    link = Link(parent=unknown.id, child="k", checkpoint=unknown.id)
    drawn = Ancestry(runs=(unknown, known), links=(link,))
    assert "(checkpoint ffffffffffff, in a bundle that was not given)" in printed(drawn)[0]
    assert "style=dashed" in lineage_dot(drawn)


edges = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda e: e[0] < e[1]), max_size=12
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edges)
def test_every_run_has_one_line_and_every_lane_leads_somewhere(pairs) -> None:
    drawn = graph(*("abcdefgh"[a] + "abcdefgh"[b] for a, b in pairs), names="abcdefgh")
    rows = lanes(drawn)
    assert sum(row.count("●") for row in rows) == 8
    up, down = set("│├┴╯┼●"), set("│├┬╮┼●")
    for above, below in pairwise(rows):
        for i, mark in enumerate(below):
            before = above[i] if i < len(above) else " "
            if mark in "│┴╯┼":  # these come from above
                assert before in down, (rows, i)
        for i, mark in enumerate(above):
            after = below[i] if i < len(below) else " "
            if mark in "│┬╮┼":  # and these go on below
                assert after in up, (rows, i)


def test_a_name_cannot_break_out_of_the_graph() -> None:
    evil = RunNode(id='x"]; evil [', path='a"\\\n\x1b[31m.simckpt.h5', ending='fini"shed')
    dot = lineage_dot(Ancestry(runs=(evil,), links=()))
    assert "\x1b" not in dot
    assert len(dot.splitlines()) == 5
    (line,) = [text for text in dot.splitlines() if "evil" in text]
    bare = re.sub(r'\\\\|\\"', "", line)
    assert bare.count('"') == 4


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_takes_it() -> None:
    text = lineage_dot(graph("ab", "ac", "bd", "cd"))
    done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True)
    assert done.stdout.count('<g id="edge') == 4
