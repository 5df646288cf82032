"""Which changes of environment and specification matter, and under which name."""

from __future__ import annotations

from typing import Any

import pytest

from simckpt.model.changes import Specification
from simckpt.model.documents import Environment
from simckpt.recording.trigger_engine import (
    environment_changes,
    node_changes,
    specification_changes,
)

SECTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"vendor": "GenuineIntel", "model": "Xeon", "microcode": "0x1"},
    "os": {"machine": "x86_64", "kernel": "6.1", "libc": "glibc 2.36"},
    "accelerators": {"nvidia": {"A100": 4}, "nvidia_driver": "550"},
    "packages": {"hash": "aa", "count": 3},
    "python": {"version": "3.11.7"},
    "jit": {"numba": "0.60"},
    "mpi": {"library": "MPICH", "library_version": "4.2"},
    "variables": {"LANG": "C"},
}


@pytest.mark.parametrize(
    ("section", "fact", "value", "kind"),
    [
        ("cpu", "model", "EPYC", "machine"),
        ("os", "machine", "aarch64", "machine"),
        ("accelerators", "nvidia", {"H100": 4}, "accelerator"),
        ("accelerators", "nvidia_driver", "560", "toolchain"),
        ("packages", "hash", "bb", "dependencies"),
        ("container", "image", "new.sif", "dependencies"),
        ("python", "version", "3.12.1", "toolchain"),
        ("jit", "numba", "0.61", "toolchain"),
        ("mpi", "library_version", "4.3", "toolchain"),
    ],
)
def test_a_change_has_the_name_of_what_it_means(
    section: str, fact: str, value: Any, kind: str
) -> None:
    other = SECTIONS | {section: SECTIONS.get(section, {}) | {fact: value}}
    changes = environment_changes(Environment(sections=SECTIONS), Environment(sections=other))
    assert list(changes) == [kind]
    assert all(change.path.startswith(f"{section}.{fact}") for change in changes[kind])


@pytest.mark.parametrize(
    ("section", "fact"), [("os", "kernel"), ("cpu", "microcode"), ("variables", "LANG")]
)
def test_a_fact_of_no_class_changes_none(section: str, fact: str) -> None:
    other = SECTIONS | {section: SECTIONS[section] | {fact: "other"}}
    assert environment_changes(Environment(sections=SECTIONS), Environment(sections=other)) == {}


def test_code_and_tolerances_are_told_from_other_settings() -> None:
    before = {"code": {"solver": "aa"}, "numerics": {"rtol": 1e-6, "cfl": 0.4}, "parameters": {}}
    after = {"code": {"solver": "bb"}, "numerics": {"rtol": 1e-8, "cfl": 0.3}, "parameters": {}}
    changes = specification_changes(Specification(facts=before), Specification(facts=after))
    assert {k: [c.path for c in v] for k, v in changes.items()} == {
        "simulator version": ["code.solver"],
        "tolerances": ["numerics.rtol"],
    }


def node(**cpu: str) -> Environment:
    return Environment(sections={"cpu": {"model": "Xeon", **cpu}, "variables": {"LANG": "C"}})


def test_a_node_unlike_every_node_before_is_told_from_the_nearest() -> None:
    before = [node(), node(model="EPYC", sockets="2")]
    now = {"a": node(), "b": node(model="EPYC", sockets="4"), "c": node(model="EPYC", sockets="2")}
    found = dict(node_changes(before, now))
    assert list(found) == ["b"]
    assert [c.path for c in found["b"]["machine"]] == ["cpu.sockets"]
    assert not list(node_changes([], now))


def test_a_node_that_differs_in_nothing_that_matters_is_no_change() -> None:
    other = Environment(sections={"cpu": {"model": "Xeon"}, "variables": {"LANG": "de"}})
    assert not list(node_changes([node()], {"a": other}))
