"""What holds of every pair of runs."""

import io

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_twins import Setup, run

from simckpt.compare.alignment import align
from simckpt.compare.comparison import Comparison, Options, compare
from simckpt.compare.tolerance import Limits, Tolerance
from simckpt.report.sections import terminal
from simckpt.report.text import show
from simckpt.report.two_runs import comparison_report

changes = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([8, 16]),
        "steps": st.sampled_from([0, 1, 6, 12]),
        "every": st.sampled_from([1, 2, 5]),
        "rate": st.sampled_from([0.5, 0.6]),
        "dt": st.sampled_from([0.05, 0.06]),
        "seed": st.sampled_from([1, 2]),
        "chaotic": st.booleans(),
        "precision": st.sampled_from(["float64", "float32"]),
        "ranks": st.sampled_from([1, 2, 4, 8]),
        "reordered": st.booleans(),
        "bit": st.sampled_from([None, (3, 0), (3, 51)]),
        "stale_halo": st.sampled_from([0, 2]),
        "restart": st.sampled_from([0, 4]),
        "lossy_restart": st.booleans(),
        "poison": st.sampled_from([0, 4]),
        "killed": st.booleans(),
        "fields": st.sampled_from([("x",), (), ("x", "y")]),
        "checkpoint_every": st.sampled_from([3, 100]),
    },
)
ways = st.builds(
    lambda by, rtol: Options(by=by, tolerance=Tolerance(default=Limits(rtol=rtol))),
    st.sampled_from(["step", "time", "label"]),
    st.sampled_from([0.0, 1e-9]),
)
BASE = Setup(name="base", n=16, steps=12, every=2, checkpoint_every=6)

# A bit of a float64 cannot be flipped in a float32.
pairs = st.tuples(changes, changes).map(
    lambda both: tuple(
        {k: v for k, v in c.items() if not (k == "bit" and c.get("precision") == "float32")}
        for c in both
    )
)


@settings(max_examples=60, deadline=None)
@given(pairs, ways)
def test_any_two_runs_can_be_compared_and_shown(both, options):
    a, b = (run(BASE, **changed) for changed in both)
    found = compare(a, b, options)
    assert found.verdict in ("same", "different", "could-not-compare")
    assert found.headline
    assert msgspec.json.decode(msgspec.json.encode(found), strict=True)
    shares = [c.share for c in found.explanation.causes]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) + found.explanation.unexplained <= 1.0 + 1e-9
    out = io.StringIO()
    show(terminal(comparison_report(found)), out)
    lines = out.getvalue().splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= 100


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_same_means_that_every_common_digest_and_value_is_equal(both):
    a, b = (run(BASE, **changed) for changed in both)
    found = compare(a, b)
    moments = align(a, b)
    if found.verdict != "same":
        return
    assert len(moments) > 0
    assert a.fields == b.fields
    for name in a.fields:
        one, two = a.digests(name), b.digests(name)
        for i, j in zip(moments.rows_a, moments.rows_b, strict=True):
            assert np.array_equal(one.rows(i, i + 1), two.rows(j, j + 1))
    assert a.series().step[-1] == b.series().step[-1]
    assert found.classification.kind == "identical"


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_the_verdict_does_not_depend_on_which_run_comes_first(both):
    a, b = (run(BASE, **changed) for changed in both)
    one, two = compare(a, b), compare(b, a)
    assert one.verdict == two.verdict
    assert one.classification.kind == two.classification.kind
    assert (one.first is None) == (two.first is None)
    if one.first is not None and two.first is not None:
        assert one.first.step == two.first.step
        assert set(one.first.fields) == set(two.first.fields)


@settings(max_examples=30, deadline=None)
@given(changes)
def test_a_run_is_the_same_as_itself_unless_it_holds_nan(changed):
    changed = {k: v for k, v in changed.items() if k != "bit"}
    twin = run(BASE, **changed)
    found = compare(twin, twin)
    if found.health_a.non_finite_step is None:
        assert found.verdict == "same"
    equal_nan = Options(tolerance=Tolerance(default=Limits(equal_nan=True)))
    assert compare(twin, twin, equal_nan).verdict == "same"


def test_the_result_is_its_own_schema():
    found = compare(run(BASE), run(BASE, rate=0.6))
    back = msgspec.json.decode(msgspec.json.encode(found), type=Comparison)
    assert back == found
