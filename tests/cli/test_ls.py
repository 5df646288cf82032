"""`simckpt ls`: what it lists, and that its index is never trusted over the files."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner
from recorded_twins import Setup, write

from simckpt.cli import ls as bundle_index
from simckpt.cli import ls as bundle_reading
from simckpt.cli.ls import find_bundles, identity, index_path, list_folder, read_bundle
from simckpt.cli.main import verbs


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def call(bundles, cache):
    def run(*arguments, folder=bundles):
        return CliRunner().invoke(verbs, ["ls", str(folder), *map(str, arguments)])

    return run


@pytest.fixture
def few(bundles, tmp_path, cache):
    """A folder of its own with base, rate and short."""
    folder = tmp_path / "few"
    (folder / "deep").mkdir(parents=True)
    for name, place in (("base", folder), ("rate", folder), ("short", folder / "deep")):
        shutil.copy(bundles / f"{name}.simckpt.h5", place)
    return folder


def names(result):
    return [b["path"] for b in json.loads(result.stdout)["bundles"]]


def opened(folder):
    """Which bundles are opened when a folder is listed, and the listing."""
    calls = []

    def read(path, shown):
        calls.append(shown)
        return read_bundle(path, shown)

    return calls, list_folder(folder, read)


def test_it_lists_every_bundle_under_a_folder(call, few):
    result = call(folder=few)
    assert result.exit_code == 0
    assert "deep/short" in result.stdout
    assert result.stdout.strip().endswith(f"3 bundles in {few}")
    assert len(json.loads(call("--json", folder=few).stdout)["bundles"]) == 3


def test_a_filter_chooses_by_settings_drifts_and_health(call):
    assert names(call("--json", "--where", "rate=0.6")) == ["rate.simckpt.h5"]
    assert names(call("--json", "--where", "not sound")) == ["blown.simckpt.h5"]
    assert names(call("--json", "--where", "step<24")) == ["short.simckpt.h5"]
    assert names(call("--json", "--where", "ranks=2")) == ["again.simckpt.h5"]
    assert names(call("--json", "--where", "glob(name, 're*')")) == ["restarted.simckpt.h5"]
    wandering = names(call("--json", "--where", "rate=0.5 and drift(mass)>1e-12"))
    assert "base.simckpt.h5" in wandering
    assert "rate.simckpt.h5" not in wandering


def test_a_drift_that_is_not_finite_is_larger_than_any_number(call):
    assert "blown.simckpt.h5" in names(call("--json", "--where", "drift(mass)>1e300"))


def test_what_a_filter_names_is_shown(call):
    text = call("--where", "drift(mass)>1e-12", "--show", "largest(courant)").stdout
    assert "drift(mass)" in text.splitlines()[0]
    assert "largest(courant)" in text.splitlines()[0]
    assert max(len(line) for line in text.splitlines()) <= 100


def test_it_sorts_by_a_name_up_and_down(call):
    up = names(call("--json", "--sort", "rate"))
    down = names(call("--json", "--sort", "-rate"))
    assert up[-1] == down[0] == "rate.simckpt.h5"


def test_none_found_is_status_1(call):
    assert call("--where", "rate>7").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--where", "rrate=1"), "rate"),
        (("--where", "rate=="), "at its end"),
        (("--sort", "nothing"), "nothing"),
        (("--show", "drift(nothing)"), "nothing"),
        (("--where", "rate>abc"), "rate > abc"),
        (("--where", "rate=0.6 and last(courant)<'abc'"), "last(courant) < abc"),
        (("--where", "ending>=3"), "ending >= 3"),
        (("--where", "drift(mass)>nan"), "drift(mass) > nan"),
        (("--where", "not drift(mass)=NaN"), "drift(mass) == nan"),
        (("--where", "name~re*"), "Write glob(name"),
        (("--sort", "rate = 1"), "is not a name"),
    ],
)
def test_what_can_hold_for_no_run_is_an_error_and_no_empty_list(call, arguments, told):
    result = call(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_folder_that_is_none_is_refused(call, tmp_path):
    assert call(folder=tmp_path / "nowhere").exit_code == 2


def test_what_could_not_be_read_is_named_and_is_status_2(call, few):
    (few / "bad.simckpt.h5").write_bytes(b"nothing")
    result = call(folder=few)
    assert result.exit_code == 2
    assert "not read: bad.simckpt.h5" in result.stdout
    assert "4 bundles" in result.stdout


def test_the_page_is_bounded_and_says_what_it_leaves_out(call, few):
    text = call("-n", 1, folder=few).stdout
    assert "... and 2 more" in text


def test_a_second_listing_opens_nothing(few):
    first, listing = opened(few)
    assert len(first) == 3
    again, same = opened(few)
    assert again == []
    assert same == listing


def test_a_file_of_another_size_time_or_inode_is_read_again(few):
    opened(few)
    path = few / "base.simckpt.h5"
    os.utime(path, ns=(1, 1))
    assert opened(few)[0] == ["base.simckpt.h5"]
    shutil.copy2(path, few / "copy")
    (few / "copy").replace(path)
    assert opened(few)[0] == ["base.simckpt.h5"]


def test_a_file_replaced_within_size_time_and_inode_is_known_by_its_seal(few, tmp_path):
    path = few / "base.simckpt.h5"
    write(tmp_path / "base.simckpt.h5", Setup(name="none", n=16, steps=24, every=2, rate=0.7))
    other = (tmp_path / "base.simckpt.h5").read_bytes()
    size = max(len(other), path.stat().st_size)
    for data in (path.read_bytes(), other):
        with path.open("r+b") as file:
            file.write(data)
            file.truncate(size)
        os.utime(path, ns=(1, 1))
        found = identity(few / "base")[0]
        if data is not other:
            before = found
    size, modified, _, inode, seal = before
    assert (size, modified, inode) == (*found[:2], found[3])
    assert seal != found[4]


def test_a_file_altered_behind_its_seal_with_its_time_set_back_is_read_again(few):
    opened(few)
    path = few / "base.simckpt.h5"
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert opened(few)[0] == ["base.simckpt.h5"]
    assert opened(few)[1].unreadable[0].path == "base.simckpt.h5"


def test_many_bundles_are_read_by_several_processes_with_the_same_result(few, monkeypatch):
    (few / "bad.simckpt.h5").write_bytes(b"nothing")
    serial = opened(few)[1]
    index_path(few).unlink()
    monkeypatch.setattr(bundle_reading, "FEWEST", 2)
    monkeypatch.setattr(bundle_reading, "AT_ONCE", 2)
    assert list_folder(few) == serial


def test_a_journal_that_goes_on_is_read_again(few):
    writer = write(
        few / "live.simckpt.h5", Setup(name="live", n=8, steps=8, killed=True), keep_open=True
    )
    writer.flush()
    opened(few)
    with (few / "live.simckpt.journal").open("ab") as journal:
        journal.write(b"\0" * 8)
    assert opened(few)[0] == [
        "live.simckpt.h5" if (few / "live.simckpt.h5").exists() else "live.simckpt.journal"
    ]
    writer.close()


def test_a_bundle_that_is_gone_leaves_the_index(few):
    opened(few)
    (few / "rate.simckpt.h5").unlink()
    calls, listing = opened(few)
    assert calls == []
    assert len(listing.bundles) == 2


@pytest.mark.parametrize("spoil", [b"", bundle_index.MAGIC + bytes(64), b"flip"])
def test_a_damaged_index_is_as_good_as_none(few, spoil):
    opened(few)
    place = index_path(few)
    if spoil == b"flip":
        data = bytearray(place.read_bytes())
        data[-20] ^= 1
        spoil = bytes(data)
    place.write_bytes(spoil)
    calls, listing = opened(few)
    assert len(calls) == len(listing.bundles) == 3


def test_the_index_of_another_version_is_not_used(few, monkeypatch):
    opened(few)
    monkeypatch.setattr(bundle_index, "__version__", "9.9.9")
    assert len(opened(few)[0]) == 3


def test_without_a_place_for_the_index_it_lists_all_the_same(few, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIMCKPT_CACHE_DIR", str(tmp_path / "file"))
    assert len(opened(few)[1].bundles) == 3


def test_hidden_folders_and_other_files_are_left_alone(few):
    (few / ".hidden").mkdir()
    shutil.copy(few / "base.simckpt.h5", few / ".hidden")
    (few / "notes.txt").write_text("x")
    (few / "base.simckpt.h5.part").write_text("x")
    assert list(find_bundles(few)) == ["base", "deep/short", "rate"]


def test_what_a_bundle_says_cannot_steer_the_terminal(call, few):
    evil = Setup(name="evil", n=8, steps=4, parameters={"note": "\x1b[2J"})
    write(few / "evil.simckpt.h5", evil)
    text = call("--show", "note", folder=few).stdout
    assert "\\x1b[2J" in text
    assert "\x1b" not in text


def test_names_that_are_no_text_spoil_neither_the_list_nor_its_json(few, call):
    odd = os.fsencode(few) + b"/\xffodd.simckpt.h5"
    shutil.copy(few / "base.simckpt.h5", odd)
    for _ in range(2):
        result = call("--json", folder=few)
        assert result.exit_code == 0
        assert "\\udcffodd.simckpt.h5" in names(result)
    assert "odd" in call(folder=few).stdout
