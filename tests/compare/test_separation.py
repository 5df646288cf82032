from hypothesis import given
from hypothesis import strategies as st

from simckpt.compare.facts import RunFacts
from simckpt.compare.separation import separate


def facts(**parts):
    return RunFacts(parts=parts)


def parameters(*tables):
    return [facts(parameters=table) for table in tables]


def named(found):
    return [s.facts for s in found]


def test_a_fact_that_goes_with_the_groups_separates_them_exactly():
    found = separate(parameters({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}), [0, 0, 1])
    assert found[0].facts == ("parameters a",)
    assert found[0].exact
    assert found[0].values == (((1,),), ((2,),))


def test_two_facts_are_named_together_where_neither_alone_is_enough():
    tables = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2)] * 2
    found = separate(parameters(*tables), [0, 1, 2, 3] * 2)
    assert found[0].facts == ("parameters a", "parameters b")
    assert found[0].exact


def test_a_fact_that_differs_from_run_to_run_does_not_pass_for_a_cause():
    tables = [{"seed": i, "a": i // 3} for i in range(6)]
    found = separate(parameters(*tables), [0, 0, 0, 1, 1, 1])
    assert named(found)[0] == ("parameters a",)
    assert not any(s.exact for s in found if "seed" in s.facts[0])


def test_what_describes_a_run_separates_nothing():
    runs = [facts(intent={"goal": g}, outputs={"patterns": g}) for g in "aab"]
    assert separate(runs, [0, 0, 1]) == ()


def test_where_a_run_writes_separates_nothing():
    runs = [
        RunFacts(parts={"parameters": {"name": n}}, own=frozenset({"name"})) for n in ("a", "b")
    ]
    assert separate(runs, [0, 1]) == ()


def test_a_setting_recorded_in_three_places_is_one_fact():
    runs = [
        facts(
            parameters={"limiter": x},
            numerics={"requested.limiter": x, "effective.limiter": x},
        )
        for x in ("mc", "mc", "minmod")
    ]
    assert named(separate(runs, [0, 0, 1])) == [("numerics limiter",)]


def test_an_input_that_lies_elsewhere_is_the_same_input():
    runs = [facts(inputs={f"{d}/ic.toml": h}) for d, h in (("x", "1"), ("y", "1"), ("z", "2"))]
    (found,) = separate(runs, [0, 0, 1])
    assert found.facts == ("inputs ic.toml",)
    assert separate(runs[:2], [0, 1]) == ()


def test_a_value_that_one_group_lacks_is_told_as_absent():
    (found,) = separate(parameters({"a": 1}, {}), [0, 1])
    assert found.values == (((1,),), (("(absent)",),))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        min_size=2,
        max_size=8,
    )
)
def test_only_an_equal_cut_is_called_exact(pairs):
    groups = [g for g, _ in pairs]
    runs = parameters(*({"a": value} for _, value in pairs))
    equal = len({p[0] for p in pairs}) == len({p[1] for p in pairs}) == len(set(pairs))
    found = separate(runs, groups)
    if len(set(groups)) > 1:
        assert any(s.exact for s in found) == equal
    assert all(0 <= s.agreement <= 1 for s in found)


def test_values_of_other_types_are_other_values():
    (found,) = separate(parameters({"a": 1}, {"a": 1.0}, {"a": True}), [0, 1, 2])
    assert found.exact
