"""The language of declarations: what is allowed, what is refused, and what it computes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simckpt import Conserved, Grid, SetupError
from simckpt.diagnostics.declarations import Declarations
from simckpt.diagnostics.expressions import FUNCTIONS, parse, resolve
from simckpt.diagnostics.state import State


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not an expression"),
        ("rho +", "cannot be read"),
        ("__import__('os')", "'__import__'"),
        ("rho.real", "'rho.real' is not allowed"),
        ("rho[0]", "is not allowed"),
        ("open('f')", "calls 'open'"),
        ("lambda: 1", "is not allowed"),
        ("rho if u else p", "is not allowed"),
        ("rho and u", "is not allowed"),
        ("a < b < c", "is not allowed"),
        ("'text'", "is not a real number"),
        ("True", "is not a real number"),
        ("1j*rho", "is not a real number"),
        ("rho @ u", "is not allowed"),
        ("sqrt(rho, u)", "gives sqrt 2 arguments, not 1"),
        ("sqrt(x=rho)", "is not allowed"),
        ("1e999", "too large"),
        ("1" * 400, "too large"),
        ("(" * 500 + "rho" + ")" * 500, "cannot be read"),
        ("-" * 1500 + "rho", "nested too deeply"),
        ("+".join(["rho"] * 400), "nested too deeply"),
        ("a" * 3000, "longer than"),
        ("rho; u", "cannot be read"),
        ("(rho := 1)", "is not allowed"),
        ("rho\x00", "cannot be read"),
    ],
)
def test_what_is_no_arithmetic_is_refused_by_name(text, part):
    with pytest.raises(SetupError) as caught:
        parse(text, "conserved['mass']")
    assert "conserved['mass']" in str(caught.value)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "where", "mend"),
    [
        ("rho +* u", "at character 6, '* u'", "Write it as in"),
        ("rho +", "at its end", "Write it as in"),
        ("  rho +* u", "at character 6, '* u'", ""),
        ("(rho +\n* u)", "at character 8, '* u)'", ""),
        ("rho\n+* u", "at character 5, '+* u'", "one line"),
        ("rho && u", "at character 6, '& u'", "(a < b)*(c < d)"),
        ("rho || u", "at character 6, '| u'", "maximum"),
        ("|u|", "at character 1, '|u|'", "abs(x)"),
        ("2x", "at character 1, '2x'", "2*x"),
        ("2 rho", "at character 3, 'rho'", "2*x"),
        ("rho u", "at character 5, 'u'", "2*x"),
        ("rho = 1", "at character 5, '= 1'", "=="),
        ("rho <> u", "at character 5, '<> u'", "!="),
        ("rho ? u : 0", "at character 5, '? u : 0'", "where("),
        ("rho if u", "at character 1", "where("),
        ("(rho + u", "at character 1", "parenthesis"),
        ("u²", "at character 2, '²'", "**2"),
        ("rho ≤ u", "at character 5, '≤ u'", "<="),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place_and_mended(text, where, mend):
    with pytest.raises(SetupError) as caught:
        parse(text)
    assert f"cannot be read {where}" in caught.value.problem
    assert mend in caught.value.mend
    assert "maximum" in caught.value.choices


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("rho^2", "**"),
        ("max(rho, u)", "Write maximum(rho, u)."),
        ("min(rho, u, 2*v)", "Write minimum(rho, minimum(u, 2 * v))."),
        ("np.sqrt(rho)", "Write sqrt(rho)."),
        ("math.atan2(u, v)", "Write arctan2(u, v)."),
        ("np.pi*rho", "Write pi."),
        ("pow(rho, 2)", "a**b"),
        ("log2(rho)", "log(x)/log(2)"),
        ("srqt(rho)", "Did you mean sqrt?"),
        ("sum(rho)", "conserved="),
        ("rho.max()", "norms="),
        ("max(rho)", "in each cell"),
        ("gradient(rho)", "Divergence"),
        ("a < b and b < c", "Write (a < b)*(b < c)"),
        ("a < b or b < c", "Write maximum(a < b, b < c)"),
        ("not a < b", "Write 1 - (a < b)"),
        ("a < b <= c", "Write (a < b)*(b <= c)"),
        ("a if c else b", "Write where(c, a, b)."),
        ("(a < b) & c", "(a < b)*(c < d)"),
        ("a // b", "floor(a/b)"),
        ("a % b", "a - b*floor(a/b)"),
        ("u @ v", "u*u + v*v"),
        ("a is b", "=="),
        ("U[0]", "Components"),
        ("psi.real", "psi_re"),
        ("2j*psi", "psi_im"),
        ("'rho'", "without quotes"),
        ("True", "Write 1."),
        ("0,5*rho", "0.5"),
        ("sqrt(x=rho)", "by their places"),
        ("2(rho + u)", "2*x"),
        ("(c := rho)", "derived="),
    ],
)
def test_what_other_languages_write_is_mended(text, mend):
    with pytest.raises(SetupError) as caught:
        parse(text)
    assert mend in caught.value.mend
    assert caught.value.choices


def test_a_refusal_does_without_a_mend_that_is_too_deep_to_be_written_out(monkeypatch):
    def too_deep(node):
        raise RecursionError

    monkeypatch.setattr("ast.unparse", too_deep)
    with pytest.raises(SetupError, match="calls 'max'") as caught:
        parse("max(rho, 7*u)")
    assert not caught.value.mend


@pytest.mark.parametrize(
    "text", ["lambda", "2*lambda", "lambda*rho", "in*2", "class", "None", "is"]
)
def test_words_of_python_are_said_to_be_no_names(text):
    (word,) = set(text.replace("*", " ").split()) - {"2", "rho"}
    with pytest.raises(SetupError) as caught:
        parse(text)
    assert repr(word) in str(caught.value)
    assert f"fields={{'{word}_': ...}}" in caught.value.mend


def test_a_field_with_a_word_of_pythons_for_a_name_is_measured(ranks):
    fields = {"lambda": np.arange(4.0)}
    assert ranks.sample(Declarations(), [State(Grid(4), fields)])["lambda.max"] == 3.0
    with pytest.raises(SetupError, match="no expression could call it"):
        Declarations(derived={"lambda": "2*rho"})


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text):
    with contextlib.suppress(SetupError):
        assert parse(text).tree


names = st.sampled_from(["a", "b", "c"])
texts = st.recursive(
    st.one_of(names, st.sampled_from(["2.0", "0.5", "3", "1e-3"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"abs({t})"),
        inner.map(lambda t: f"sqrt(abs({t}))"),
        inner.map(lambda t: f"({t})**2"),
        st.tuples(inner, inner).map(lambda t: f"minimum({t[0]}, {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"maximum({t[0]}, {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"where({t[0]} > {t[1]}, {t[1]}, {t[2]})"),
    ),
    max_leaves=12,
)


def numpy_value(text, fields):
    """The reference twin: NumPy evaluates the same text."""
    scope = {name: getattr(np, name) for name in FUNCTIONS}
    with np.errstate(all="ignore"):
        value = eval(text, {"__builtins__": {}}, scope | fields)
    return np.broadcast_to(np.float64(value), fields["a"].shape)


@settings(deadline=None, max_examples=120)
@given(texts, st.integers(0, 2**31))
def test_arithmetic_has_the_bits_that_numpy_gives(ranks, text, seed):
    rng = np.random.default_rng(seed)
    fields = {name: rng.normal(size=37) for name in "abc"}
    expected = numpy_value(text, fields)
    declarations = Declarations(conserved={"total": text})
    reading = ranks.sample(declarations, [State(Grid(37), fields)])
    if np.isfinite(expected).all():
        assert reading["total"] == float(ranks.exact_sum(expected))
    else:
        assert not np.isfinite(reading["total"])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_is_numpys(ranks, name):
    rng = np.random.default_rng(5)
    fields = {"a": rng.uniform(0.1, 0.9, 50), "b": rng.uniform(0.1, 0.9, 50)}
    text = f"{name}({', '.join(['a', 'b', 'b*a'][: FUNCTIONS[name]])})"
    expected = float(ranks.exact_sum(numpy_value(text, fields)))
    reading = ranks.sample(Declarations(conserved={"s": text}), [State(Grid(50), fields)])
    assert reading["s"] == pytest.approx(expected, rel=1e-14)


EXACT = ("abs", "sqrt", "square", "sign", "floor", "ceil", "minimum", "maximum", "where")


@pytest.mark.parametrize(
    "text",
    [
        *(f"{name}({', '.join(['a', 'b', 'b*a'][: FUNCTIONS[name]])})" for name in EXACT),
        *("-a", "a < b", "a >= b", "a == b", "a != a", "a**2", "a**1", "abs(a)**0.5", "a**-1"),
    ],
)
def test_what_is_said_to_have_numpys_bits_has_them(ranks, text):
    rng = np.random.default_rng(7)
    fields = {"a": rng.normal(size=400) * 10, "b": rng.normal(size=400)}
    if "sqrt" in text:
        fields["a"] = abs(fields["a"])
    expected = float(ranks.exact_sum(numpy_value(text, fields)))
    reading = ranks.sample(Declarations(conserved={"s": text}), [State(Grid(400), fields)])
    assert reading["s"] == expected


@pytest.mark.parametrize(
    "text", ["a < b", "a <= 0.5", "0.5 > a", "a >= b", "a == a", "a != b", "a**b"]
)
def test_comparisons_and_powers_are_numpys(ranks, text):
    rng = np.random.default_rng(5)
    fields = {"a": rng.uniform(0.1, 0.9, 50), "b": rng.uniform(0.1, 0.9, 50)}
    expected = float(ranks.exact_sum(numpy_value(text, fields)))
    reading = ranks.sample(Declarations(conserved={"s": text}), [State(Grid(50), fields)])
    assert reading["s"] == pytest.approx(expected, rel=1e-14)


def test_products_are_not_contracted_with_sums(ranks):
    # a*b + c by fused multiply-add would keep the low part of the product, which rounds away.
    a, b = 1.0 + 2.0**-30, 1.0 - 2.0**-30
    fields = {"a": np.full(300, a), "b": np.full(300, b), "c": np.full(300, -1.0)}
    reading = ranks.sample(Declarations(conserved={"s": "a*b + c"}), [State(Grid(300), fields)])
    assert reading["s"] == 0.0


def test_derived_quantities_are_put_in_their_places(ranks):
    fields = {"p": np.full(5, 2.0), "rho": np.full(5, 0.5)}
    declarations = Declarations(conserved={"s": "c*c"}, derived={"c": "sqrt(k)", "k": "p/rho"})
    assert ranks.sample(declarations, [State(Grid(5), fields)])["s"] == 20.0


def test_a_circle_of_derived_quantities_is_named():
    derived = {"a": parse("b + 1", "derived['a']"), "b": parse("a*2", "derived['b']")}
    with pytest.raises(SetupError, match="refers to itself: a -> b -> a"):
        resolve(parse("a"), frozenset({"rho"}), derived)


def test_a_name_of_a_constant_can_be_a_field(ranks):
    one = ranks.sample(Declarations(conserved={"s": "pi"}), [State(Grid(1), {"a": np.ones(1)})])
    assert one["s"] == np.pi
    other = ranks.sample(Declarations(conserved={"s": "pi"}), [State(Grid(1), {"pi": np.ones(1)})])
    assert other["s"] == 1.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: Declarations(conserved=["rho"]),
        lambda: Declarations(conserved={"not a name": "rho"}),
        lambda: Declarations(conserved={"dt": "rho"}),
        lambda: Declarations(conserved={"mass": 3}),
        lambda: Declarations(conserved={"m": "rho"}, stability={"m": Conserved("rho")}),
        lambda: Declarations(stability={"courant": "abs(u)"}),
        lambda: Conserved("rho", monotone="up"),
        lambda: Conserved("rho", weight="mass"),
    ],
)
def test_nonsense_is_refused_when_it_is_declared(build):
    with pytest.raises(SetupError):
        build()


def test_declarations_are_values():
    one, other = (Declarations(conserved={"mass": "rho"}) for _ in range(2))
    assert one == other
    assert one != Declarations(conserved={"mass": "2*rho"})


def test_division_by_a_power_of_two_becomes_an_exact_product(ranks):
    from simckpt.diagnostics.lowering import lower

    for number, name in ((0.125, "multiply"), (-4.0, "multiply"), (3.0, "divide"), (0.0, "divide")):
        program = lower([("divide", ("field", "a"), ("number", number))])
        assert program.operations[0][0] == name
    values = np.ldexp(np.random.default_rng(1).normal(size=600), np.arange(-1074, -474))
    reading = ranks.sample(Declarations(conserved={"s": "a/8"}), [State(Grid(600), {"a": values})])
    assert reading["s"] == float(ranks.exact_sum(values / 8))
