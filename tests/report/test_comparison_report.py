import io

import msgspec
import pytest
from msgspec.structs import replace
from recorded_twins import Setup, run

from simckpt.compare.causes import Explanation
from simckpt.compare.comparison import Options, compare
from simckpt.compare.differences import RecordedDifference
from simckpt.compare.tolerance import Limits, Tolerance
from simckpt.model.series import Event
from simckpt.report.sections import terminal
from simckpt.report.text import show, show_json
from simckpt.report.two_runs import comparison_report

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)


def printed(comparison) -> str:
    out = io.StringIO()
    show(terminal(comparison_report(comparison)), out)
    return out.getvalue()


def page(**changes) -> str:
    return printed(compare(run(SMALL), run(SMALL, **changes)))


def test_the_first_line_is_the_verdict_in_plain_words():
    assert page(ranks=2).splitlines()[0] == (
        "SAME  Bit-for-bit the same at 13 samples (4 ranks against 2)"
    )
    assert page(rate=0.6).splitlines()[0] == "DIFFERENT  The runs diverge between steps 0 and 2 (x)"
    assert page(fields=()).splitlines()[0].startswith("COULD NOT COMPARE  ")


def test_the_second_line_of_a_difference_is_its_kind_and_cause():
    second = page(rate=0.6).splitlines()[1]
    assert second.strip() == (
        "Answer-changing from the first step; most probably numerics rate: 0.5 → 0.6"
    )
    assert "no recorded difference explains it" in page(bit=(13, 40)).splitlines()[1]


def test_it_shows_where_what_kind_why_and_health():
    text = page(rate=0.6)
    for heading in (
        "Location",
        "Type of difference: answer-changing",
        "Likely causes",
        "Health of each run",
    ):
        assert heading in text
    assert "[0:2, 0:2]" in text
    places = [text.index(word) for word in ("Location", "Type of", "Likely", "Health")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "changes",
    [
        {"ranks": 2},
        {"rate": 0.6, "packages": {f"package-{i}": "1" for i in range(200)}},
        {"poison": 9},
        {"n": 32},
        {"restart": 8},
        {"fields": tuple(f"field_with_a_rather_long_name_{i}" for i in range(40))},
        {"parameters": {f"p{i}": "x" * 500 for i in range(100)}},
    ],
)
def test_a_page_fits_100_columns_and_is_bounded(changes):
    lines = page(**changes).splitlines()
    assert max(len(line) for line in lines) <= 100
    assert len(lines) <= 100
    assert not any(line != line.rstrip() for line in lines)


def test_rows_that_are_left_out_are_counted():
    text = page(rate=0.6, packages={f"package-{i}": "1" for i in range(200)})
    assert "more differences (--json has all)" in text


def test_what_a_bundle_says_cannot_colour_or_format_the_page():
    event = Event(
        name="odd", severity="warning", step=3, wall=1.7e9, text="\x1b[2J[bold]gone[/bold]"
    )
    hostile = {"\x1b]0;title\x07": "[red]\u202e", "a\nb": "c\r\nd"}
    text = page(rate=0.6, events=(event,), parameters=hostile)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text
    assert "[red]" in text


def test_long_hashes_are_shown_by_twelve_characters():
    text = page(code="d")
    assert "dddddddddddd" in text
    assert "d" * 13 not in text


def test_equal_health_is_shown_once():
    assert "A and B" in page(ranks=2)
    assert "A and B" not in page(poison=9).split("Health of each run")[1]


def test_a_tolerance_page_says_what_is_within_it_and_what_is_not():
    loose = Options(tolerance=Tolerance(default=Limits(rtol=1e-9)))
    same = printed(compare(run(SMALL), run(SMALL, reordered=True), loose))
    assert same.startswith("SAME  The same within the tolerance at 13 samples")
    other = printed(compare(run(SMALL), run(SMALL, rate=0.6), loose))
    assert "Beyond the tolerance from step" in other
    assert "tiles of" in other


def test_nothing_is_coloured_when_it_is_not_a_terminal(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert "\x1b" not in page(rate=0.6)


def test_json_holds_everything_that_the_page_leaves_out():
    out = io.StringIO()
    many = {f"package-{i}": "1" for i in range(200)}
    show_json(compare(run(SMALL), run(SMALL, packages=many)), out)
    told = msgspec.json.decode(out.getvalue())
    assert len(told["differences"]) == 202
    assert told["verdict"] == "same"


def test_values_that_are_not_finite_are_null_in_json():
    out = io.StringIO()
    show_json(compare(run(SMALL), run(SMALL, poison=9)), out)
    told = msgspec.json.decode(out.getvalue())
    (mass,) = [q for q in told["quantities"] if q["name"] == "mass"]
    assert mass["b"] is None


def numerics(path, **more):
    return RecordedDifference(
        part="numerics", path=path, a="mc", b="minmod", weight="decides", **more
    )


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        (numerics("requested.limiter"), "limiter  "),
        (numerics("requested.limiter", also=("numerics.effective.limiter",)), "limiter  "),
        (numerics("effective.limiter", also=("parameters.limiter",)), "limiter  "),
        (numerics("effective.limiter"), "limiter (in effect)"),
    ],
)
def test_a_setting_goes_by_its_name(difference, shown):
    result = msgspec.structs.replace(
        compare(run(SMALL), run(SMALL, rate=0.6)),
        explanation=Explanation(),
        differences=(difference,),
    )
    assert f"numerics  {shown}" in printed(result)


def test_no_cause_is_shown_as_certain():
    result = compare(run(SMALL), run(SMALL, rate=0.6))
    (cause, *_) = result.explanation.causes
    certain = msgspec.structs.replace(cause, share=1.0)
    text = printed(msgspec.structs.replace(result, explanation=Explanation(causes=(certain,))))
    assert "1    99 %  numerics rate" in text
    assert "100 %" not in text


def test_a_change_in_two_places_is_one_cause_that_names_the_other():
    found = compare(run(SMALL), run(SMALL, rate=0.6))
    best = found.explanation.causes[0]
    named = replace(best.difference, also=("random.seeds.noise", "parameters.rate"))
    cause = replace(best, difference=named)
    explanation = replace(found.explanation, causes=(cause,))
    text = printed(replace(found, explanation=explanation))
    assert "0.5 → 0.6, also as random seeds.noise\n" in text
    assert "also as" not in printed(found)
