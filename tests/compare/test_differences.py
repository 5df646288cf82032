import msgspec
import pytest
from recorded_twins import Setup, edited, run

from simckpt.compare.differences import WEIGHTS, recorded_differences
from simckpt.compare.roles import ROLES, UNRECORDED, role_of
from simckpt.model.changes import ABSENT
from simckpt.model.documents import InputFile
from simckpt.model.record import canonical_json
from simckpt.model.series import Event, StoredDocument

SMALL = Setup(n=8, steps=8, every=2, checkpoint_every=4)


MATERIALS = {"numpy": "2.1.0", "rich": "13", "materials": "1", "idle": "1"}


def between(**changes):
    return {d.path: d for d in recorded_differences(run(SMALL), run(SMALL, **changes))}


def test_nothing_changed_is_no_difference():
    assert between() == {}


def test_volatile_facts_are_no_difference():
    assert between(host="n2") == {}


def test_a_setting_that_is_recorded_three_times_is_named_once():
    found = between(rate=0.7)
    assert list(found) == ["requested.rate"]
    difference = found["requested.rate"]
    assert (difference.a, difference.b) == (0.5, 0.7)
    assert set(difference.also) == {"numerics.effective.rate", "parameters.rate"}


def with_seeds(command, seeds):
    """A run that tells its seeds by name, and what it was called with."""

    def edit(record):
        if not isinstance(record, StoredDocument):
            return record
        told = msgspec.json.decode(record.json)
        if told["kind"] == "manifest":
            told["command"] = ["solver.py", *command]
        elif told["kind"] == "random_state":
            told["seeds"] = seeds
        return StoredDocument(hash=record.hash, json=msgspec.json.encode(told, order="sorted"))

    return edited(SMALL, edit)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("--rng-seed", "{}"), {("command", "rng_seed"): ("random seeds.noise",)}),
        (("{}",), {("random", "seeds.noise"): ()}),
        (("--cells", "{}"), {("command", "cells"): (), ("random", "seeds.noise"): ()}),
    ],
)
def test_the_seed_of_a_stream_is_the_setting_that_it_follows_from(command, expected):
    a, b = (with_seeds([w.format(n) for w in command], {"noise": n}) for n in (71, 72))
    found = {(d.part, d.path): d.otherwise for d in recorded_differences(a, b)}
    assert found == expected


def test_a_seed_of_another_value_is_a_difference_of_its_own():
    a = with_seeds(["--rng-seed", "71"], {"noise": 3})
    b = with_seeds(["--rng-seed", "72"], {"noise": 4})
    assert len(recorded_differences(a, b)) == 2


def test_the_place_a_run_writes_to_is_no_difference():
    # The parameter `bundle` differs with the name, and so does the goal alone.
    assert set(between(name="other")) == {"goal"}


def test_a_setting_that_happens_to_be_the_name_of_a_bundle_is_a_difference():
    a, b = SMALL.but(name="a"), SMALL.but(name="minmod")
    found = recorded_differences(
        run(a, parameters={"limiter": "mc"}), run(b, parameters={"limiter": "minmod"})
    )
    assert "limiter" in {d.path for d in found}
    label = recorded_differences(
        run(a, parameters={"label": "a"}), run(b, parameters={"label": "minmod"})
    )
    assert "label" not in {d.path for d in label}


def test_what_the_instrument_saw_is_a_symptom_and_no_cause():
    event = Event(name="non_finite", severity="error", step=3, wall=1.7e9, text="rho is NaN")
    assert between(events=(event,))["non_finite"].weight == "describes"


def with_module(name: str, content: str):
    """The run, its module under a name and with a content of its own."""

    def edit(record):
        if not isinstance(record, StoredDocument) or b'"kind":"manifest"' not in record.json:
            return record
        told = msgspec.json.decode(record.json)
        told["modules"] = [{"name": name, "path": f"{name}.py", "hash": content * 64}]
        return StoredDocument(hash=record.hash, json=msgspec.json.encode(told, order="sorted"))

    return edited(SMALL, edit)


def test_a_module_that_only_has_another_name_is_no_difference():
    assert recorded_differences(with_module("solver", "a"), with_module("copy", "a")) == ()


def test_a_copy_of_a_driver_with_a_change_is_one_difference():
    (found,) = recorded_differences(with_module("solver", "a"), with_module("copy", "b"))
    assert (found.part, found.path) == ("code", "solver → copy")
    assert role_of(found).name == "code"


def test_an_input_is_compared_by_content_and_not_by_folder():
    assert between(inputs={"elsewhere/ic.toml": "b" * 64}) == {}
    found = between(inputs={"elsewhere/ic.toml": "c" * 64})
    assert (found["ic.toml"].a, found["ic.toml"].b) == ("b" * 64, "c" * 64)


def test_a_missing_input_is_absent_on_one_side():
    found = between(inputs={"ic.toml": "b" * 64, "more.nc": "d" * 64})
    assert found["more.nc"].a == ABSENT


def test_contents_by_variable_decide_where_they_are_known():
    def with_contents(hash_, contents):
        def edit(record):
            if isinstance(record, StoredDocument) and b'"kind":"manifest"' in record.json:
                plain = msgspec.json.decode(record.json)
                plain["inputs"] = [
                    msgspec.to_builtins(
                        InputFile(path="ic.nc", size=1, hash=hash_, contents=contents)
                    )
                ]
                return StoredDocument(hash=record.hash, json=canonical_json(plain))
            return record

        return edited(SMALL, edit)

    one = with_contents("a" * 64, {"rho": "1" * 64, "E": "2" * 64})
    redated = with_contents("b" * 64, {"rho": "1" * 64, "E": "2" * 64})
    changed = with_contents("b" * 64, {"rho": "3" * 64, "E": "2" * 64})
    assert recorded_differences(one, redated) == ()
    assert [d.path for d in recorded_differences(one, changed)] == ["ic.nc.rho"]


def test_rank_count_and_layout_are_one_difference():
    found = between(ranks=2)
    assert list(found) == ["layout"]
    assert (found["layout"].a, found["layout"].b) == ("4 ranks, 2 x 2", "2 ranks, 1 x 2")


def test_a_commit_describes_and_a_module_decides():
    found = between(code="d")
    assert found["solver"].weight == "decides"
    assert found["git solver.commit"].weight == "describes"


def test_a_restart_is_named_with_its_step():
    found = between(restart=4)
    assert found["at"].a == "none"
    assert found["at"].b.startswith("step 4")


def test_events_of_one_run_are_named_with_their_first_step():
    event = Event(name="fallback", severity="warning", step=3, wall=1.7e9, text="solver fell back")
    found = between(events=(event,))
    assert found["fallback"].step == 3
    assert "solver fell back" in found["fallback"].b


def test_notes_describe_and_warnings_may_act():
    note = Event(name="folded", severity="note", step=3, wall=1.7e9, text="folded")
    assert between(events=(note,))["folded"].weight == "describes"


def test_the_environment_is_compared_fact_by_fact():
    found = between(environment={"cpu": {"model": "Xeon"}, "os": {"release": "6.1"}})
    assert list(found) == ["cpu.model"]


def test_those_that_decide_come_first():
    differences = recorded_differences(
        run(SMALL), run(SMALL, rate=0.7, ranks=2, packages={"numpy": "2"}, name="b")
    )
    order = [list(WEIGHTS).index(d.part) for d in differences]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"dt": 0.1}, "requested.dt", "time step"),
        ({"seed": 9}, "seed", "seed"),
        ({"steps": 10}, "steps", "extent"),
        ({"rate": 0.6}, "requested.rate", "scheme"),
        ({"precision": "float32"}, "requested.precision", "precision"),
        ({"parameters": {"gamma": 1.4}}, "gamma", "parameter"),
        ({"parameters": {"rtol": 1e-3}}, "rtol", "tolerance"),
        ({"packages": {"numpy": "1", "rich": "13"}}, "numpy", "numerical package"),
        ({"packages": {"numpy": "2.1.0", "rich": "1"}}, "rich", "bystander"),
        ({"packages": MATERIALS | {"materials": "2"}}, "materials", "package in use"),
        ({"packages": MATERIALS | {"idle": "2"}}, "idle (not loaded)", "bystander"),
        ({"streams": ("a", "c")}, "streams of ranks", "streams"),
        ({"parameters": {"boundary_left": "wall"}}, "boundary_left", "boundary"),
        ({"parameters": {"plot_every": 5}}, "plot_every", "bystander"),
        ({"environment": {"variables": {"TZ": "UTC"}}}, "variables.TZ", "bystander"),
        ({"environment": {"os": {"libc": "2.40"}}}, "os.libc", "arithmetic"),
        ({"code": "d"}, "solver", "code"),
        ({"inputs": {"ic.toml": "9" * 64}}, "ic.toml", "initial state"),
        ({"ranks": 1}, "layout", "ranks"),
        ({"parameters": {"limiter": "mc"}}, "limiter", "scheme"),
    ],
)
def test_every_difference_plays_the_part_its_name_says(changes, path, expected):
    base = SMALL.but(packages=MATERIALS, streams=("a", "b"))
    found = {d.path: d for d in recorded_differences(run(base), run(base, **changes))}
    assert role_of(found[path]).name == expected


def test_profiles_are_likelihoods():
    assert all(role.acts for role in ROLES)
    assert len({role.name for role in ROLES}) == len(ROLES)
    for row in (*(role.likelihoods for role in ROLES), *UNRECORDED.values()):
        numbers = (row.prior, row.time, *row.onset, *row.size, *row.location)
        assert all(0 < n <= 1 for n in numbers)


@pytest.mark.parametrize(
    ("name", "weight"), [("journal_renewed", "describes"), ("operator_note", "may act")]
)
def test_what_the_instrument_saw_or_suffered_never_acts_on_the_answer(name, weight):
    event = Event(name=name, severity="warning", step=4, wall=0.0, text="it happened")
    (found,) = recorded_differences(run(SMALL), run(SMALL, events=(event,)))
    assert (found.part, found.path, found.weight, found.step) == ("events", name, weight, 4)
