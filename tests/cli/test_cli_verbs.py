"""Each verb in this process: what it prints, and its exit status."""

import json
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
        ("rate", 1, "DIFFERENT  The runs part between steps 0 and 2 (x)"),
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
    assert len(call("show", "base", "--brief").stdout.splitlines()) == 1
    assert json.loads(call("show", "base", "--json").stdout)["samples"] == 13


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
