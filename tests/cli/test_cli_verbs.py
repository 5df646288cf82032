"""Each verb in this process: what it prints, and its exit status."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner
from recorded_twins import Setup, write

from simckpt.cli.main import VERBS, verbs


@pytest.fixture
def call(bundles, monkeypatch):
    monkeypatch.chdir(bundles)

    def run(*arguments):
        return CliRunner().invoke(verbs, [str(a) for a in arguments])

    return run


@pytest.mark.parametrize(
    ("b", "status", "begins"),
    [
        ("base", 0, "SAME  Bit-for-bit the same at 13 samples\n"),
        ("again.simckpt.h5", 0, "SAME  Bit-for-bit the same at 13 samples (4 ranks against 2)"),
        ("restarted", 0, "SAME"),
        ("rate", 1, "DIFFERENT  The runs diverge between steps 0 and 2 (x)"),
        ("short", 1, "DIFFERENT  Bit-for-bit the same at 9 samples, but B ends at step 16"),
        ("other", 2, "COULD NOT COMPARE"),
    ],
)
def test_compare_says_its_verdict_in_its_first_line_and_its_status(call, b, status, begins):
    result = call("compare", "base", b)
    assert result.exit_code == status
    assert result.stdout.startswith(begins)
    assert result.stderr == ""


def test_compare_as_json_is_one_document_with_the_same_status(call):
    result = call("compare", "base", "rate", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["verdict"] == "different"
    assert told["first"]["step"] == 2


def test_more_than_two_runs_are_compared_each_with_each(call):
    result = call("compare", "base", "again", "rate")
    assert result.exit_code == 1
    assert result.stdout.startswith("DIFFERENT  3 runs in 2 groups")
    told = json.loads(call("compare", "base", "again", "other", "--json").stdout)
    assert told["groups"] == [[0, 1], [2]]
    assert call("compare", "base", "again", "restarted").exit_code == 0
    assert call("compare", "base", "again", "other").exit_code == 2
    assert call("compare", "base", "again", "nowhere").exit_code == 2


def test_compare_writes_junit_beside_what_it_prints(call, tmp_path):
    file = tmp_path / "result.xml"
    result = call("compare", "base", "rate", "--junit", file)
    assert result.exit_code == 1
    assert result.stdout.startswith("DIFFERENT")
    assert "<failure" in file.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["result.xml"]
    nowhere = call("compare", "base", "base", "--junit", tmp_path / "no" / "x.xml")
    assert nowhere.exit_code == 2
    assert "x.xml" in nowhere.stderr


def test_compare_writes_a_page_for_a_browser(call, tmp_path):
    file = tmp_path / "page.html"
    assert call("compare", "base", "rate", "--html", file).exit_code == 1
    assert file.read_text().startswith("<!doctype html>")
    assert call("compare", "base", "rate", "again", "--html", file).exit_code == 1
    assert "Each run with each" in file.read_text()


def test_compare_prints_markdown_and_its_schema(call):
    result = call("compare", "base", "rate", "--markdown")
    assert result.exit_code == 1
    assert result.stdout.startswith("## DIFFERENT")
    assert call("compare", "base", "rate", "--markdown", "--json").exit_code == 2
    schema = call("compare", "--schema")
    assert schema.exit_code == 0
    assert "$defs" in json.loads(schema.stdout)


@pytest.mark.parametrize("verb", ["show", "log", "verify", "recover"])
def test_a_missing_bundle_is_named_and_is_no_success(call, verb):
    result = call(verb, "nowhere")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("simckpt: nowhere")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("pair", [("base", "nowhere"), ("nowhere", "base")])
def test_comparing_with_a_missing_bundle_is_no_verdict(call, pair):
    result = call("compare", *pair)
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert result.stdout == ""


def test_something_that_is_no_bundle_is_refused(call, tmp_path):
    path = tmp_path / "x.simckpt.h5"
    path.write_text("hello")
    result = call("compare", "base", path)
    assert result.exit_code == 2
    assert "x.simckpt.h5" in result.stderr


def test_tolerances_decide(call):
    assert call("compare", "base", "close").exit_code == 1
    assert call("compare", "base", "close", "--rtol", "1e-12").exit_code == 0
    assert call("compare", "base", "close", "--ulp", "16").exit_code == 0
    assert call("compare", "base", "rate", "--rtol", "1e-12").exit_code == 1
    named = call("compare", "base", "close", "--ulp", "x.*=16", "--rtol", "mass=1e-12")
    assert named.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--rtol", "mas=1e-3"), "mas"),
        (("--rtol", "much"), "--rtol"),
        (("--ulp", "1.5"), "--ulp"),
        (("--rtol", "-1"), "rtol"),
        (("--map", "rho"), "--map"),
        (("--map", "rho=x"), "rho"),
        (("--by", "date"), "date"),
        (("--tolerances", "none.toml"), "none.toml"),
    ],
)
def test_a_wrong_option_is_named_and_is_no_verdict(call, arguments, named):
    result = call("compare", "base", "base", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize("option", ["--junit", "--html"])
def test_a_report_that_cannot_be_written_names_its_option_and_path(call, tmp_path, option):
    place = tmp_path / "nowhere" / "report"
    result = call("compare", "base", "rate", option, place)
    assert result.exit_code == 2
    assert f"{option}" in result.stderr
    assert str(place) in result.stderr
    assert ".part" not in result.stderr
    assert "No such file" in result.stderr


def test_tolerances_come_from_a_file_and_options_add_to_it(call, tmp_path):
    file = tmp_path / "tolerances.toml"
    file.write_text('ulp = 16\n[quantities."mass"]\nrtol = 1e-15\n')
    assert call("compare", "base", "close", "--tolerances", file).exit_code == 0
    for wrong, named in (
        ("rtoll = 1e-3", "rtoll"),
        ("rtol = '1e-3'", "rtol"),
        ("ulp = 1.5", "ulp"),
        ("rtol = ", "not TOML"),
        ("quantities = 3", "quantities"),
        ("[quantities]\nmass = 1e-3", "mass"),
    ):
        file.write_text(wrong)
        result = call("compare", "base", "base", "--tolerances", file)
        assert result.exit_code == 2
        assert named in result.stderr


def test_equal_nan_makes_a_blown_up_run_equal_itself(call):
    assert call("compare", "blown", "blown").exit_code == 1
    assert call("compare", "blown", "blown", "--equal-nan").exit_code == 0


@pytest.mark.parametrize("by", ["step", "time", "label"])
def test_every_alignment_finds_a_run_equal_to_itself(call, by):
    assert call("compare", "base", "again", "--by", by).exit_code == 0


def test_show_tells_what_ran(call):
    result = call("show", "base")
    assert result.exit_code == 0
    assert result.stdout.startswith("base.simckpt.h5  finished")
    assert "13 samples, steps 0 to 24" in result.stdout
    assert json.loads(call("show", "base", "--json").stdout)["samples"] == 13


def test_show_brief_tells_the_next_step_in_under_2_kb(call):
    text = call("show", "base", "--brief").stdout
    assert text.startswith("base.simckpt.h5: finished\n")
    assert "goal        try base" in text
    assert "stands      step 24" in text
    told = call("show", "base", "--brief", "--json").stdout
    assert json.loads(told)["checkpoint"] in text
    assert max(len(text), len(told)) < 2048


def test_show_and_log_tell_what_a_restart_repeats(call):
    for verb in ("show", "log"):
        assert "Restart reproducibility" in call(verb, "restarted").stdout
        assert "Restart" not in call(verb, "base").stdout
        (told,) = json.loads(call(verb, "restarted", "--json").stdout)["restarts"]
        assert told["verdict"] == "no-overlap"


def test_log_lists_the_segments_in_order(call):
    text = call("log", "restarted").stdout
    assert text.index("segment 0 begins") < text.index("segment 1 begins")
    told = json.loads(call("log", "restarted", "--json").stdout)
    assert [e["what"] for e in told["entries"]].count("segment") == 3
    assert "entries before these" in call("log", "base", "-n", 1).stdout


def test_verify_tells_whole_from_damaged(call, bundles, tmp_path):
    assert call("verify", "base").exit_code == 0
    copy = tmp_path / "copy.simckpt.h5"
    shutil.copy(bundles / "base.simckpt.h5", copy)
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    result = call("verify", copy)
    assert result.exit_code == 1
    assert result.stdout.startswith("DAMAGED")
    assert json.loads(call("verify", copy, "--json").stdout)["whole"] is False


def test_recover_makes_a_whole_copy_of_a_killed_run_and_leaves_it_alone(call, tmp_path):
    setup = Setup(name="killed", n=16, steps=20, every=2, checkpoint_every=8, killed=True)
    writer = write(tmp_path / "killed.simckpt.h5", setup, keep_open=True)
    writer.flush()
    before = (tmp_path / "killed.simckpt.journal").read_bytes()
    result = call("recover", tmp_path / "killed", "-o", tmp_path / "saved")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("RECOVERED")
    assert (tmp_path / "killed.simckpt.journal").read_bytes() == before
    assert not (tmp_path / "saved.simckpt.journal").exists()
    shown = json.loads(call("show", tmp_path / "saved", "--json").stdout)
    assert shown["last_step"] == 20
    assert shown["ending"].startswith("killed")
    again = call("recover", tmp_path / "killed", "-o", tmp_path / "saved")
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    writer.close()


def test_a_live_run_can_be_looked_at(call, tmp_path):
    setup = Setup(name="live", n=16, steps=20, every=2, checkpoint_every=8, killed=True)
    writer = write(tmp_path / "live.simckpt.h5", setup, keep_open=True)
    writer.flush()
    assert "not confirmed on disk" in call("show", tmp_path / "live").stdout
    assert call("compare", tmp_path / "live", tmp_path / "live").exit_code == 0
    writer.close()


def test_every_verb_has_help_and_json(call):
    text = call("--help").stdout
    for verb in VERBS:
        assert verb in text
        assert "--json" in call(verb, "--help").stdout


def test_an_unknown_verb_names_the_choices(call):
    result = call("diff", "a", "b")
    assert result.exit_code == 2
    assert "compare" in result.stderr


def test_verify_holds_outputs_against_the_index_of_the_run(call, tmp_path, monkeypatch):
    import simckpt

    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with simckpt.run("run", outputs=["*.dat"]):
        for name in "abc":
            (folder / f"{name}.dat").write_text(name)
    result = call("verify", "run", "--index", ".")
    assert result.exit_code == 0
    assert "3 of 3 outputs as indexed" in result.stdout
    (folder / "a.dat").unlink()
    (folder / "b.dat").write_text("other")
    result = call("verify", "run", "--index", ".")
    assert result.exit_code == 1
    assert result.stdout.startswith("WHOLE")
    assert "1 of 3 outputs as indexed" in result.stdout
    told = json.loads(call("verify", "run", "--index", ".", "--json").stdout)
    assert told["whole"]
    assert {o["path"]: o["status"] for o in told["outputs"] if not o["holds"]} == {
        "a.dat": "missing",
        "b.dat": "changed",
    }
    assert call("verify", "run").exit_code == 0


def test_verify_without_an_index_or_a_folder_is_no_success(call):
    result = call("verify", "base", "--index", ".")
    assert result.exit_code == 2
    assert "no index of outputs" in result.stderr
    assert call("verify", "base", "--index", "nowhere").exit_code == 2


def test_log_draws_how_several_bundles_descend(call, tmp_path):
    import simckpt

    with simckpt.run(tmp_path / "spinup"):
        pass
    for member in ("one", "two"):
        with simckpt.run(tmp_path / member, upstream=[tmp_path / "spinup"]):
            pass
    paths = [tmp_path / name for name in ("two", "one", "spinup")]
    lines = call("log", *paths).stdout.splitlines()
    assert lines[0].startswith("●")
    assert "spinup" in lines[0]
    assert lines[1] == "├─╮"
    told = json.loads(call("log", *paths, "--json").stdout)
    assert len(told["runs"]) == 3
    assert {link["parent"] for link in told["links"]} == {told["runs"][0]["id"]}
    assert call("log", "--dot", *paths).stdout.startswith("digraph lineage {")
    assert "not given" in call("log", "--graph", paths[0]).stdout
    assert call("log", paths[0], "nowhere").exit_code == 2


def test_verify_names_the_last_checkpoint_and_asks_for_another(call, bundles):
    from simckpt import open as open_bundle

    with open_bundle(bundles / "base") as bundle:
        first, last = bundle.checkpoints[0].id, bundle.checkpoints[-1].id
    assert f"Last checkpoint: {last}" in call("verify", "base").stdout
    assert call("verify", "--expect", first[:12], "base").exit_code == 0
    missing = call("verify", "--expect", "f" * 64, "base")
    assert missing.exit_code == 1
    assert "not among them" in missing.stdout


def test_json_of_a_bundle_whose_name_is_no_text_is_json(call, bundles, tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff.simckpt.h5"
    shutil.copy(bundles / "base.simckpt.h5", odd)
    for verb in ("show", "verify", "log"):
        result = call(verb, "--json", os.fsdecode(odd))
        assert result.exit_code == 0, verb
        assert json.loads(result.stdout)["path"].endswith("\\udcff.simckpt.h5")
