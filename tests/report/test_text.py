import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from simckpt.report.sections import share_text
from simckpt.report.text import (
    clean,
    distinct,
    index_range,
    moment,
    percent,
    plural,
    ranks,
    small,
    styled,
    value,
)


@given(st.text())
def test_no_text_can_steer_a_terminal(text):
    shown = clean(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    assert not any(c in shown for c in "\u202e\u2066\u200b\ufeff\u2028")
    shown.encode("utf-8")


def test_an_escape_sequence_is_shown_as_what_it_is():
    assert clean("\x1b[31mred\x1b[0m\n") == "\\x1b[31mred\\x1b[0m\\n"


def test_markup_is_text():
    assert styled("[bold red]x[/]").plain == "[bold red]x[/]"
    assert isinstance(styled("x"), Text)


@given(st.text(min_size=10), st.integers(4, 9))
def test_text_is_cut_to_its_length(text, longest):
    assert len(clean(text, longest)) <= longest


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("a1" * 32, "a1a1a1a1a1a1"),
        ("a1" * 20 + " with changes", "a1a1a1a1a1a1 with changes"),
        (0.1, "0.1"),
        (1e-12, "1e-12"),
        (4, "4"),
        (True, "true"),
        (None, "null"),
        ("", '""'),
        ([1, 2], "[1,2]"),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_recorded_values_are_short_and_exact(recorded, shown):
    assert value(recorded) == shown


@given(st.floats(), st.floats())
def test_two_numbers_are_shown_apart_if_they_are(a, b):
    one, two = distinct(a, b)
    assert (one != two) == (repr(a) != repr(b))
    assert len(one) <= 24


def test_two_numbers_show_no_more_digits_than_it_takes():
    assert distinct(0.4, 0.39) == ("0.4", "0.39")
    assert distinct(1.0, 1.0 + 2**-52) == ("1.0", "1.0000000000000002")
    assert distinct(3.7602430419915382, 3.7602505087847735) == ("3.760243", "3.7602505")


def test_numbers_and_ranges_read_as_in_the_field():
    assert small(1.234e-9) == "1.2e-09"
    assert small(0.0) == "0"
    assert small(None) == "-"
    assert index_range(((0, 16), (32, 48))) == "[0:16, 32:48]"
    assert ranks((0, 1, 2, 3, 4, 5)) == "0, 1, 2, 3 +2"
    assert ranks(()) == "-"
    assert plural(1, "rank") == "1 rank"
    assert plural(1000, "rank") == "1,000 ranks"
    assert percent(0.983) == "98 %"
    assert percent(0.0012) == "< 1 %"
    assert moment(0.0) == "1970-01-01 00:00:00 UTC"
    assert "1970" in moment(1e300)


def test_a_share_is_an_ordering_and_never_reads_as_certainty():
    assert share_text(1.0) == share_text(0.999) == "99 %"
    assert share_text(0.5) == "50 %"
    assert share_text(0.001) == "< 1 %"
