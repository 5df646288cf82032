"""Runs are linked by checkpoint ids into one graph, whatever order they are given in."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from recorded_twins import STARTED, Setup, Twin, run

from simckpt.compare.ancestry import ancestry

TINY = Setup(n=8, steps=4, every=2, checkpoint_every=2)


def made(name: str, *upstream: str, created: float = STARTED) -> Twin:
    """A run that starts from these checkpoints."""
    twin = run(TINY, name=name)
    first, *rest = twin.checkpoints
    first = replace(first, parents=upstream).identified()
    following = []
    previous = first
    for checkpoint in rest:
        previous = replace(checkpoint, parents=(previous.id,)).identified()
        following.append(previous)
    twin.checkpoints = (first, *following)
    twin.created = created
    return twin


def family() -> dict[str, Twin]:
    """A spin-up that feeds two members from different checkpoints, and what is made of both."""
    spinup = made("spinup")
    a = made("a", spinup.checkpoints[1].id, created=STARTED + 2)
    b = made("b", spinup.checkpoints[-1].id, created=STARTED + 1)
    mean = made("mean", a.checkpoints[-1].id, b.checkpoints[-1].id, created=STARTED - 9)
    return {"spinup": spinup, "a": a, "b": b, "mean": mean}


FAMILY = family()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(sorted(FAMILY)))
def test_parents_come_first_in_whatever_order_runs_are_given(names) -> None:
    graph = ancestry([FAMILY[name] for name in names])
    assert [node.id for node in graph.runs] == ["spinup-id", "b-id", "a-id", "mean-id"]
    assert {(k.parent, k.child) for k in graph.links} == {
        ("spinup-id", "a-id"),
        ("spinup-id", "b-id"),
        ("a-id", "mean-id"),
        ("b-id", "mean-id"),
    }


def test_a_link_names_the_checkpoint_and_its_step() -> None:
    graph = ancestry([FAMILY["spinup"], FAMILY["a"]])
    (link,) = graph.links
    checkpoint = FAMILY["spinup"].checkpoints[1]
    assert (link.checkpoint, link.step, link.label) == (checkpoint.id, 2, checkpoint.label)
    spinup, _ = graph.runs
    assert (spinup.ending, spinup.first_step, spinup.last_step) == ("finished", 0, 4)
    assert (spinup.goal, spinup.role) == ("try spinup", "simulation")


def test_a_parent_that_was_not_given_is_there_by_its_checkpoint() -> None:
    graph = ancestry([FAMILY["b"]])
    unknown, b = graph.runs
    assert (unknown.has_bundle, b.has_bundle) == (False, True)
    assert unknown.id == FAMILY["spinup"].checkpoints[-1].id
    assert graph.links[0].step is None


def test_a_run_that_is_given_twice_is_there_once() -> None:
    shorter = made("spinup")
    shorter.checkpoints = shorter.checkpoints[:1]
    graph = ancestry([shorter, FAMILY["spinup"], FAMILY["spinup"]])
    assert [node.checkpoints for node in graph.runs] == [len(FAMILY["spinup"].checkpoints)]


def test_a_restarted_run_is_no_parent_of_itself() -> None:
    graph = ancestry([run(TINY, restart=2)])
    assert graph.links == ()
    assert graph.runs[0].segments == 2


def test_a_forged_circle_ends() -> None:
    one, two = made("one"), made("two")
    one.checkpoints = (replace(one.checkpoints[0], id="1" * 64, parents=("2" * 64,)),)
    two.checkpoints = (replace(two.checkpoints[0], id="2" * 64, parents=("1" * 64,)),)
    graph = ancestry([one, two])
    assert len(graph.runs) == len(graph.links) == 2
