import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.errors import SetupError
from simckpt.report.listing import Term, parse_filter

RUN = {
    "solver": "HLLC",
    "n": 64,
    "dt": 1e-3,
    "finished": True,
    "zero": 0.0,
    "version": "2.1",
    "drift(mass)": 3e-12,
}


def holds(text):
    return parse_filter(text).holds(lambda term: RUN.get(str(term)))


@pytest.mark.parametrize(
    "text",
    [
        "solver=HLLC",
        "solver == 'HLLC'",
        'solver="HLLC"',
        "solver!=Roe",
        "solver~HL*",
        "n=64",
        "n=64.0",
        "n~6?",
        "n>=64 and n<=64",
        "dt<1e-2",
        "drift(mass)>1e-12",
        "drift( mass ) > 1e-12",
        "solver=HLLC and drift(mass)>1e-12",
        "solver=Roe or n=64",
        "not solver=Roe",
        "not (solver=Roe or n=3)",
        "finished",
        "finished=yes",
        "not zero",
        "version='2.1'",
        "n=3 and solver=Roe or n=64",
        "not absent=1",
    ],
)
def test_what_holds(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "solver=hllc",
        "solver=Roe",
        "n!=64",
        "n>64",
        "finished=no",
        "zero",
        "absent",
        "absent=1",
        "absent!=1",
        "absent<1",
        "version=2.1",
        "n='64'",
        "n<HLLC",
        "n=64 and (solver=Roe or n=3)",
    ],
)
def test_what_does_not_hold(text):
    assert not holds(text)


def test_the_terms_are_those_that_are_named():
    found = parse_filter("a=1 and (not drift(mass)>2 or b)").terms()
    assert list(found) == [Term("a"), Term("mass", "drift"), Term("b")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a name"),
        ("a=", "a value"),
        ("a=1 b=2", "'and' or 'or'"),
        ("(a=1", "')'"),
        ("a=1)", "the end"),
        ("and", "a name"),
        ("a='x", "a closed quote"),
        ("drift(mass", "one name in brackets"),
        ("drift()", "one name in brackets"),
        ("__import__(os)", "no function"),
        ("a = = 1", "a value"),
        ("(" * 60 + "a" + ")" * 60, "levels"),
        ("not " * 60 + "a", "levels"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused_and_says_what_was_expected(text, told):
    with pytest.raises(SetupError, match="--where") as refused:
        parse_filter(text)
    assert told in str(refused.value)


@given(st.text(alphabet="ab()=<>!~'\" 1.-andort", max_size=40))
def test_any_text_is_a_filter_or_refused(text):
    try:
        found = parse_filter(text)
    except SetupError:
        return
    assert found.holds(lambda term: "x") in (True, False)
    assert found.holds(lambda term: 1.0) in (True, False)


@given(
    a=st.sampled_from(["n=64", "n=3", "absent=1"]),
    b=st.sampled_from(["finished", "zero", "dt<1"]),
)
def test_not_and_or_obey_their_laws(a, b):
    assert holds(f"not ({a} and {b})") == holds(f"not {a} or not {b}")
    assert holds(f"not not {a}") == holds(a)
    assert holds(f"{a} or {b}") == holds(f"{b} or {a}")
