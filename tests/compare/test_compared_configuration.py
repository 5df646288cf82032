"""A changed configuration file is a recorded difference, by setting where both know them."""

from __future__ import annotations

import pytest

import simckpt
from simckpt.compare.differences import RecordedDifference, recorded_differences
from simckpt.compare.facts import align_configurations, configuration_table, text_table
from simckpt.compare.roles import role_of
from simckpt.model.documents import Text


def recorded(folder, name, file, text):
    (folder / file).write_text(text)
    with simckpt.run(str(folder / name), config=[folder / file], triggers=False):
        pass
    return simckpt.open(folder / name)


@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("run.toml", "nu = 1.0\n", "# faster\nnu = 2.0\n", [("run.toml: nu", 1.0, 2.0)]),
        ("run.toml", "nu = 1.0\n", "nu = 1.0  # as in the paper\n", []),
        ("run.par", "nu 1.0\n", "nu 2.0\n", [("run.par", None, None)]),
    ],
)
def test_a_changed_file_is_a_recorded_difference(tmp_path, file, before, after, found):
    a, b = (recorded(tmp_path, n, file, text) for n, text in (("a", before), ("b", after)))
    with a, b:
        differences = [d for d in recorded_differences(a, b) if d.part == "configuration"]
    assert [d.path for d in differences] == [path for path, _, _ in found]
    for difference, (_, one, two) in zip(differences, found, strict=True):
        assert difference.weight == "decides"
        assert one is None or (difference.a, difference.b) == (one, two)


def test_a_file_that_changes_while_a_run_goes_on_is_told_by_the_setting(tmp_path):
    found = []
    for name, later in (("a", "nu = 1.0\n"), ("b", "nu = 2.0\n")):
        (tmp_path / "run.toml").write_text("nu = 1.0\n")
        config = [tmp_path / "run.toml"]
        with simckpt.run(str(tmp_path / name), config=config, triggers=False) as run:
            (tmp_path / "run.toml").write_text(later)
            run.checkpoint("later")
        found.append(simckpt.open(tmp_path / name))
    differences = [d for d in recorded_differences(*found) if d.part == "configuration"]
    assert [(d.path, d.a) for d in differences] == [("run.toml: nu", "unchanged")]
    assert differences[0].b.endswith("then 2.0")
    with found[1] as bundle:
        diffs = [bundle.document(c.parts.spec_diff).changes for c in bundle.checkpoints]
    assert [[c.path for c in d] for d in diffs] == [[], ["configuration.run.toml.nu"], []]
    found[0].close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("run.toml: time.dt", "time step"),
        ("run.toml: solver.limiter", "scheme"),
        ("run.toml: nu", "parameter"),
        ("athinput.kh", "parameter"),
        ("run.toml: output.label", "bystander"),
    ],
)
def test_a_setting_in_a_file_plays_the_part_that_its_name_says(path, expected):
    difference = RecordedDifference(part="configuration", path=path, a=1, b=2, weight="decides")
    assert role_of(difference).name == expected


def test_records_that_have_the_text_alone_are_compared_by_it():
    text = text_table(Text(name="/x/run.toml", text="nu = 1.0\n"))
    both = text | configuration_table({"run.toml": {"nu": 1.0}})
    assert align_configurations(both, text) == (text, text)
    assert align_configurations(both, both) == ({"run.toml: nu": 1.0},) * 2
    assert align_configurations(both, {}) == ({"run.toml: nu": 1.0}, {})
