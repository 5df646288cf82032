import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt import SetupError
from simckpt.report.listing import Filter, Term, parse_term

RUN = {
    "solver": "HLLC",
    "n": 64,
    "dt": 1e-3,
    "finished": True,
    "zero": 0.0,
    "version": "2.1",
    "drift(mass)": 3e-12,
    "drift(total energy)": float("inf"),
    "layers.0": 3,
}


def holds(text):
    return Filter(text).holds(lambda term: RUN.get(str(term)))


@pytest.mark.parametrize(
    "text",
    [
        "solver=HLLC",
        "solver == 'HLLC'",
        'solver="HLLC"',
        "solver!=Roe",
        "glob(solver, 'HL*')",
        "glob(solver, HLLC)",
        "n=64",
        "n=64.0",
        "glob(n, '6?')",
        "glob(n, 64)",
        "n > -1 and n > +1",
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
        "finished == True",
        "drift('total energy') > 1e300 and drift('total energy') = inf",
        "'layers.0' = 3 and 'layers.0'",
        "solver != '='",
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
        "glob(absent, '*')",
        "glob(solver, 'hl*')",
        "version=2.1",
        "n='64'",
        "n<HLLC",
        "n=64 and (solver=Roe or n=3)",
    ],
)
def test_what_does_not_hold(text):
    assert not holds(text)


def test_the_terms_are_those_that_are_named():
    terms = Filter("a=1 and (not drift(mass)>2 or b) or glob(c, 'x')").terms
    assert terms == [Term("a"), Term("mass", "drift"), Term("b"), Term("c")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a filter"),
        ("a=", "at its end"),
        ("a=1 b=2", "at character 6, 'b==2'"),
        ("(a=1", "'(' was never closed"),
        ("a=1)", "unmatched ')'"),
        ("and", "at character 1"),
        ("a='x", "unterminated string"),
        ("drift(mass", "'(' was never closed"),
        ("drift()", "gives drift 0 arguments, not 1"),
        ("__import__(os)", "Choices: drift, largest, last, glob"),
        ("dirft(mass) > 1", "Did you mean drift?"),
        ("a = = 1", "at character 6, '== 1'"),
        ("1 < a < 3", "'1 < a < 3' compares more than two values"),
        ("0 + a", "'0 + a' is not a name"),
        ("a < b < c", "Write a < b and b < c."),
        ("solver=HLL-C", "'HLL-C' is not a number, a word or a text in quotes"),
        ("created > 2024-01-01", "in quotes what is not an identifier"),
        ("lambda = 3", "in quotes what is not an identifier"),
        ("a in b", "is not a comparison"),
        ("name~kh*", "Write glob(name, 'kh*') to match * and ?"),
        ("not (name ~ 'kh*')", "Write glob(name, 'kh*') to match * and ?"),
        ("~a", "glob(name"),
        ("a=1 && b=2", "Write `and`"),
        ("a=1 | b=2", "Write `or`"),
        ("glob(a, 'x') = 1", "cannot be compared"),
        ("glob(drift(a), 'x')", "'drift(a)' is not a name"),
        ("(" * 300 + "a" + ")" * 300, "too many nested parentheses"),
        ("not " * 160 + "a", "nested too deeply"),
        ("a" * 3000, "longer than"),
    ],
)
def test_what_is_not_a_filter_is_refused_with_its_place_or_what_to_write(text, message):
    with pytest.raises(SetupError, match="--where") as refused:
        Filter(text)
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["glob(a, 'x')", "a = 1", "a and b", "3", "drift(3)"])
def test_what_is_shown_or_sorted_by_is_a_name(text):
    assert parse_term("parameters.n", "--show") == Term("parameters.n")
    assert parse_term("'layers.0'", "--show") == Term("layers.0")
    assert parse_term("last(rho.min)", "--sort") == Term("rho.min", "last")
    with pytest.raises(SetupError, match=r"--sort.*is not a name"):
        parse_term(text, "--sort")


@given(st.text(alphabet="ab()=<>!~'\" 1.-andortglob,", max_size=40))
def test_any_text_is_a_filter_or_refused(text):
    try:
        wanted = Filter(text)
    except SetupError:
        return
    assert wanted.holds(lambda term: "x") in (True, False)
    assert wanted.holds(lambda term: 1.0) in (True, False)


@given(
    a=st.sampled_from(["n=64", "n=3", "absent=1"]),
    b=st.sampled_from(["finished", "zero", "dt<1"]),
)
def test_not_and_or_obey_their_laws(a, b):
    assert holds(f"not ({a} and {b})") == holds(f"not {a} or not {b}")
    assert holds(f"not not {a}") == holds(a)
    assert holds(f"{a} or {b}") == holds(f"{b} or {a}")
