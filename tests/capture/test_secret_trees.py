"""Secrets among parameters: lists, mappings, command lines as lists."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from simckpt.capture.values import plain
from simckpt.model.record import canonical_json


@dataclass
class Login:
    tokens: tuple[str, ...] = ("S1x",)
    note: str = "n"
    db: dict[str, object] = field(default_factory=lambda: {"secrets": [{"deep": "S2x"}]})


@pytest.mark.parametrize(
    "value",
    [
        {"passwords": ["S1x"], "db": {"secrets": ["S2x"], "tokens": ("S3x",)}},
        {"auth": ("bob", "S1x")},
        {"secret": {"a": {"b": ["S1x", {"S0": "S2x"}]}}},
        {"credentials": {"S1x", "S2x"}},
        {"passwords": np.array(["S1x", "S2x"])},
        {"passwords": [b"S1x"], "secret": b"S2x", "token": np.str_("S3x")},
        {"argv": ["--password", "S1x", "-u", "bob:S2x", "--token=S3x", "--n", 4]},
        {"argv": ("--pin-code", 123456)},
        Login(),
        {"login": Login(note="S3x"), "credentials": Login(note="S4x")} | {"login": Login()},
        [("password", "S1x"), ("n", 3)],
        {"env": [{"name": "DB_PASSWORD", "value": "S1x"}, {"Key": "token", "Value": "S2x"}]},
        {"password": 123456, "pin_code": [123456]},
        {"db_password_prod": "S1x", "PASSWORD2": "S2x", "SECRET_KEY_BASE": "S3x", "pw": "S4x"},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_goes_at_any_depth(value: object) -> None:
    told = canonical_json(plain(value)).decode()
    assert [s for s in ("S1x", "S2x", "S3x", "S4x", "123456") if s in told] == []
    assert "***" in told


def test_what_is_no_secret_stays() -> None:
    harmless = {
        "max_tokens": 512,
        "tokens": [1, 2],
        "token_ring": 4,
        "secret_sharing": False,
        "secret": None,
        "password": "",
        "names": ["token", "password"],
        "argv": ["--n", "4", "-v"],
        "pw": {"ecut": "high"},
    }
    assert plain(harmless) == harmless
    kept = plain({"password": getpass.getpass, "token": Path("a")})
    assert isinstance(kept, dict)
    assert kept["token"] == "a"
    assert "getpass" in str(kept["password"])
    tokens = plain({"tokens": np.arange(3)})
    assert isinstance(tokens, dict)
    assert tokens["tokens"] == plain(np.arange(3))
