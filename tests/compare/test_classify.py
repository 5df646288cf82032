"""Runs of the lattice with exactly one thing changed: kind, onset and cause."""

import pytest
from recorded_twins import Setup, edited, run

from simckpt.compare.comparison import compare
from simckpt.model.series import Event, StoredDocument

BASE = Setup(name="base", n=64, steps=60, every=2)
CHAOTIC = BASE.but(chaotic=True)
NEWER = {"numpy": "2.2.0", "rich": "14"}

CATALOGUE = {
    # name: (base, change, kind, first step, part and name of the cause)
    "setting": (BASE, {"rate": 0.6}, "answer-changing from the first step", 2, "rate"),
    "tiny setting": (BASE, {"rate": 0.50001}, "answer-changing from the first step", 2, "rate"),
    "step length": (BASE, {"dt": 0.051}, "time base", 2, "dt"),
    "clock alone": (CHAOTIC, {"dt": 0.051}, "time base", 0, "dt"),
    "seed": (BASE, {"seed": 2}, "initial condition", 0, "seed"),
    "amplitude": (BASE, {"amplitude": 0.2}, "initial condition", 0, "amplitude"),
    "package": (BASE, {"reordered": True, "packages": NEWER}, "roundoff, bounded", 2, "numpy"),
    "package, chaos": (
        CHAOTIC,
        {"reordered": True, "packages": NEWER},
        "roundoff, growing",
        2,
        "numpy",
    ),
    "nothing recorded": (BASE, {"reordered": True}, "roundoff, bounded", 2, None),
    "high bit": (BASE, {"bit": (32, 51)}, "local event", 32, None),
    "low bit": (BASE, {"bit": (32, 0)}, "local event", 32, None),
    "halo": (BASE, {"stale_halo": 1}, "decomposition or halo", 2, None),
    "halo, later": (BASE, {"stale_halo": 33}, "decomposition or halo", 34, None),
    "halo, fewer ranks": (
        BASE,
        {"stale_halo": 1, "ranks": 2},
        "decomposition or halo",
        2,
        "layout",
    ),
    "lossy restart": (BASE, {"restart": 30, "lossy_restart": True}, "restart seam", 30, "at"),
    "poison": (BASE, {"poison": 31}, "blow-up", 32, None),
    "precision": (BASE, {"precision": "float32"}, "precision", 0, "precision"),
    "code without effect": (BASE, {"code": "d"}, "identical", None, None),
}


@pytest.mark.parametrize("case", CATALOGUE)
def test_one_change_is_found_placed_and_explained(case):
    base, change, kind, step, cause = CATALOGUE[case]
    found = compare(run(base), run(base, name="other", **change))
    assert found.classification.kind == kind
    assert (found.first.step if found.first else None) == step
    if cause is None:
        assert not found.explanation.explained
        assert bool(found.explanation.finding) == (kind != "identical")
    else:
        assert found.explanation.causes[0].difference.name == cause
        assert found.explanation.causes[0].reason


def test_what_cannot_matter_never_ranks():
    found = compare(
        run(BASE),
        run(BASE, name="elsewhere", host="n7", rate=0.6, parameters={"outdir": "/tmp/x"}),
    )
    assert [c.difference.name for c in found.explanation.causes] == ["rate"]
    assert not any(d.path in ("bundle", "outdir") for d in found.differences)


def test_an_event_in_the_interval_outranks_one_after_it():
    at_onset = Event(
        name="gpu_reset", severity="warning", step=31, wall=1_700_000_031.0, text="it reset"
    )
    after = Event(
        name="node_hot", severity="warning", step=50, wall=1_700_000_050.0, text="it was hot"
    )
    found = compare(run(BASE), run(BASE, bit=(32, 51), events=(at_onset, after)))
    assert found.explanation.causes[0].difference.path == "gpu_reset"
    assert all(c.difference.path != "node_hot" for c in found.explanation.causes)


def test_roundoff_prefers_the_package_that_computes_over_one_that_does_not():
    found = compare(run(CHAOTIC), run(CHAOTIC, reordered=True, packages=NEWER))
    names = [c.difference.path for c in found.explanation.causes]
    assert names[0] == "numpy"
    shares = {c.difference.path: c.share for c in found.explanation.causes}
    assert shares["numpy"] > 10 * shares.get("rich", 0.0)


def test_one_input_for_another_is_one_cause_and_a_restart_that_loads_it_is_a_seam():
    a = run(BASE, restart=30, inputs={"at30.npz": "a" * 64})
    b = run(BASE, restart=30, lossy_restart=True, inputs={"at20.npz": "b" * 64})
    found = compare(a, b)
    assert found.classification.kind == "restart seam"
    inputs = [c for c in found.explanation.causes if c.difference.part == "inputs"]
    assert [c.difference.path for c in inputs] == ["at30.npz → at20.npz"]
    assert inputs[0] is found.explanation.causes[0]
    assert inputs[0].reason.startswith("A restart loads its state at step 30")


def test_a_restart_that_both_runs_share_can_still_be_the_seam():
    found = compare(run(BASE, restart=30), run(BASE, restart=30, lossy_restart=True))
    assert found.classification.kind == "restart seam"
    assert found.classification.confidence < 0.8


def test_growth_is_fitted_and_saturates_in_a_chaotic_run():
    longer = CHAOTIC.but(n=16, steps=200, every=1)
    found = compare(run(longer), run(longer, reordered=True))
    assert found.growth is not None
    assert found.growth.law == "exponential"
    assert found.growth.saturated_at is not None
    assert found.growth.initial < 1e-14
    assert found.growth.largest > 1e-3


def test_an_unseeded_generator_counts_where_it_was_drawn_from():
    idle_a, idle_b = {"numpy.random": ("1" * 64,)}, {"numpy.random": ("2" * 64,)}
    found = compare(run(BASE, generators=idle_a), run(BASE, generators=idle_b, rate=0.6))
    assert found.explanation.causes[0].difference.name == "rate"
    drawn_a = {"numpy.random": ("1" * 64, "3" * 64)}
    drawn_b = {"numpy.random": ("2" * 64, "4" * 64)}
    found = compare(run(BASE, generators=drawn_a), run(BASE, generators=drawn_b, rate=0.6))
    assert found.explanation.causes[0].difference.name in ("rate", "numpy.random")
    assert found.explanation.causes[1].share > 0.2


def test_an_unseeded_generator_explains_initial_conditions_that_nothing_else_does():
    one, two = {"numpy.random": ("1" * 64,)}, {"numpy.random": ("2" * 64,)}
    same_seed = BASE.but(generators=one)
    found = compare(run(same_seed), edited_start(BASE.but(generators=two)))
    assert found.classification.kind == "initial condition"
    assert found.explanation.causes[0].difference.name == "numpy.random (not drawn from)"
    assert found.explanation.explained


def edited_start(setup):
    """The run from another initial condition, of which the record holds no trace."""
    return edited(setup.but(seed=7), _forget_seed)


def _forget_seed(record):
    if isinstance(record, StoredDocument):
        text = record.json.replace(b'"seed":7', b'"seed":1')
        return StoredDocument(hash=record.hash, json=text)
    return record


def test_a_seed_that_differs_explains_the_generators_it_seeds():
    one, two = {"rng": ("1" * 64, "3" * 64)}, {"rng": ("2" * 64, "4" * 64)}
    found = compare(run(BASE, generators=one), run(BASE, seed=2, generators=two))
    assert [c.difference.name for c in found.explanation.causes] == ["seed"]


def test_many_differences_of_one_kind_are_one_cause_and_lose_no_weight():
    libraries = {f"lib{i}.so": "a" * 40 for i in range(300)}
    others = {f"lib{i}.so": "b" * 40 for i in range(300)}
    found = compare(
        run(BASE, environment={"libraries": libraries}),
        run(BASE, environment={"libraries": others}, reordered=True),
    )
    (cause,) = found.explanation.causes
    assert cause.share > 0.9
    assert cause.similar == 299
    assert len(found.differences) == 300
    # A setting that acts in every step still outranks another machine.
    found = compare(
        run(BASE, environment={"libraries": libraries}),
        run(BASE, environment={"libraries": others}, rate=0.6),
    )
    assert found.explanation.causes[0].difference.name == "rate"
