"""Secrets of many kinds are taken out; what is no secret stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simckpt.capture.redaction import is_secret_name, redact_arguments, redact_text, redact_url

from .made_up_secrets import KEYS, SENTENCES
from .secret_forms import HARMLESS, HELD


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_a_key_of_known_form_is_taken_out_of_any_text(kind):
    key = KEYS[kind]
    for text in (key, f"x={key} y", f"'{key}'", f'"{key}"', f"({key})", f"a {key}, b", f"/{key}/"):
        assert key not in redact_text(text)


@pytest.mark.parametrize("kind", sorted(SENTENCES))
def test_a_secret_told_by_what_stands_around_it_is_taken_out(kind):
    sentence, secret = SENTENCES[kind]
    assert secret in sentence
    assert secret not in redact_text(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "cfl = 0.4",
        "commit 088f842f3c1f7f7a9f2e3d4c5b6a798081920a1b",
        "blake3 " + "0123456789abcdef" * 4,
        "ssh://git@github.com/group/solver.git",
        "git@github.com:group/solver.git",
        "https://example.org/data.nc?var=rho&n=3",
        "token = next(tokens)",
        "def scan(token: str, password: str | None = None)",
        "bypass = 3",
        "author = 'Noether'",
        "sig = 0.1",
        "keyboard: us",
        "monkey patch",
        "/home/user/tokens/run.nc",
        "rho.min rho.max mass",
        "user@example.org",
        "mpiexec -n 4 python -m mpi4py run.py --key-frames 3",
        "compass: north",
        "max_tokens: 512",
        "signature of the instability",
        "takes into account the halo",
        "basic equations of motion",
        "bearer of news",
        "class Token:\n    pass\n\nx = 3",
        "password = getpass.getpass('database: ')",
        "https://example.org:8080/~user/a@b",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact_text(text) == text


@pytest.mark.parametrize("form", sorted(HELD))
def test_a_secret_goes_in_whatever_form_it_is_written(form):
    text, secrets = HELD[form]
    redacted = redact_text(text)
    assert [secret for secret in secrets if secret in text] == list(secrets)
    assert [secret for secret in secrets if secret in redacted] == []
    assert ("keep1" in redacted) == ("keep1" in text)
    assert redact_text(redacted) == redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_sounds_secret_stays(text):
    assert redact_text(text) == text


def test_lines_and_brackets_stay_where_values_go():
    text = '{\n  "tokens": [\n    "x1",\n    "x2"\n  ],\n  "secret": {"a": "x3", "n": true}\n}'
    assert redact_text(text) == (
        '{\n  "tokens": [\n    "***",\n    "***"\n  ],\n  "secret": {"a": "***", "n": true}\n}'
    )
    assert redact_text("password: |\n  x1\n  x2\nn: 3\n") == "password: |\n  ***\n  ***\nn: 3\n"
    assert redact_text("conn(password=('x1'))") == "conn(password=('***'))"


def test_the_rest_of_an_address_stays():
    redacted = redact_url("https://me:hunter2@example.org:8443/a/b.nc?token=abc&n=3#top")
    assert redacted == "https://***@example.org:8443/a/b.nc?token=***&n=3#top"
    assert redact_url("https://glpat-abcdefghij0123456789@gitlab.com/x.git") == (
        "https://***@gitlab.com/x.git"
    )
    assert redact_url("https://me:p@ss@host/x") == "https://***@host/x"


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (["--password", "hunter2", "--n", "4"], ("--password", "***", "--n", "4")),
        (["--token=hunter2"], ("--token=***",)),
        (["--api-key", "hunter2"], ("--api-key", "***")),
        (["--apiKey", "hunter2"], ("--apiKey", "***")),
        (["-password", "hunter2"], ("-password", "***")),
        (["API_TOKEN=hunter2"], ("API_TOKEN=***",)),
        (["-u", "me:hunter2"], ("-u", "me:***")),
        (["--header", "Authorization: Bearer hunter2"], ("--header", "Authorization: ***")),
        (["--password", "--n", "4"], ("--password", "--n", "4")),
        (["--n", "512", "--limiter", "mc"], ("--n", "512", "--limiter", "mc")),
        (["https://u:hunter2@h/x"], ("https://***@h/x",)),
    ],
)
def test_arguments_lose_the_values_of_secret_options(given_, expected):
    assert redact_arguments(given_) == expected


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "clientSecret", "api-key", "aws.secret_access_key", "x-auth-token"],
)
def test_names_that_announce_a_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["n", "key", "bypass", "compass", "author", "monkey", "token_count"]
)
def test_names_that_do_not(name):
    assert not is_secret_name(name)


@given(st.text())
def test_redaction_is_total_and_settles(text):
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.text(alphabet="ab[](){}:=,'\"\\ \n-+#|<>", max_size=200))
def test_redaction_settles_on_groups_that_are_never_closed(text):
    once = redact_text("tokens" + text)
    assert redact_text(once) == once


@given(st.text(alphabet="ab:=/@?&'\" \n-_{}()*", max_size=300))
def test_redaction_settles_on_texts_full_of_punctuation(text):
    once = redact_text("password" + text)
    assert redact_text(once) == once


@pytest.mark.timeout(60)
def test_a_megabyte_of_punctuation_is_no_trap():
    for text in (
        "password=" * 50_000,
        "://" * 100_000,
        "eyJ" * 100_000,
        "a-" * 200_000,
        "token=f(" * 20_000,
        "token = os.getenv('a'," * 8_000,
        "".join(" " * (i % 40) + "secrets:\n" for i in range(8_000)),
    ):
        assert isinstance(redact_text(text), str)
