"""Secrets put everywhere that a driver can say something are nowhere in its bundle."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import simckpt
from simckpt.analysis import stage, transform
from simckpt.model.record import canonical_json

CAPTURE_TESTS = Path(__file__).resolve().parents[1] / "capture"
SECRET = "hunter2xyz"


def kinds() -> tuple[list[str], list[str]]:
    """Texts with a secret in each, and the secrets."""
    sys.path.insert(0, str(CAPTURE_TESTS))
    try:
        from made_up_secrets import KEYS, SENTENCES
    finally:
        sys.path.remove(str(CAPTURE_TESTS))
    texts = [*KEYS.values(), *(sentence for sentence, _ in SENTENCES.values())]
    return texts, [*KEYS.values(), *(secret for _, secret in SENTENCES.values())]


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that runs here, and its difference from the commit, is full of them by design."""
    monkeypatch.setattr("simckpt.capture.manifest.capture_code", lambda: ((), (), ()))


class Solver:
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts


@simckpt.describe.register
def _(solver: Solver) -> dict[str, Any]:
    return {"solver": "x", "list": solver.texts, "password": SECRET}


def everything(bundle: simckpt.Bundle) -> bytes:
    """All that can be read of a bundle, as text."""
    parts: list[Any] = [*bundle.events, *bundle.checkpoints]
    for view in bundle.segments:
        parts += [view.segment, view.end]
    parts += [bundle.document(reference) for reference in bundle.documents]
    parts += [{"campaign": bundle.campaign}]
    return b"\n".join(canonical_json(part) for part in parts)


def talkative(path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that says each text wherever it can, and ends by an exception that does, too."""
    many = " \n ".join(texts)
    log, settings = path.parent / "run.log", path.parent / "settings.ini"
    log.write_text("\n".join(f"{logging.INFO} {text}" for text in texts))
    settings.write_text(many)
    monkeypatch.setenv("SIMCKPT_WHY", many)
    monkeypatch.setenv("SIMCKPT_CAMPAIGN", f"password={SECRET}")
    monkeypatch.setenv("OMP_PLACES", many)

    def telling(sample: Any) -> str:
        return f"it says {many}"

    @simckpt.step(
        grid=simckpt.Grid((4,)),
        fields={"u": np.ones(4)},
        conserved={"m": "u"},
        numerics=lambda: {"solver": Solver(texts), "note": texts[0]},
    )
    def advance() -> None: ...

    @simckpt.run(
        path,
        intent=simckpt.Intent(goal=f"password={SECRET}", assumptions=[t[:200] for t in texts[:8]]),
        numerics={"limiter": "mc", "solver": "y", "texts": texts, "api_token": SECRET},
        inputs=[f"https://me:{SECRET}@host/x", str(settings)],
        outputs=[str(path.parent / "*.ini")],
        config=[settings],
        stage=f"token={SECRET}",
        logs=[str(log)],
        triggers=[simckpt.Trigger(telling, name=f"password={SECRET}")],
        captures=1,
    )
    def main(values: list[str], password: str) -> None:
        advance()
        run = simckpt.active_run()
        assert run is not None
        for text in texts:
            run.event("said", text, line=text, password=SECRET)
        run.report_settings(Solver(texts), limiter=texts[0], note=many)
        run.checkpoint(many, why=many)
        simckpt.checkpoint("from the variable")
        raise RuntimeError(many)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError):
            main(texts, SECRET)


def test_no_secret_of_a_talkative_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, secrets = kinds()
    assert len(texts) > 150
    monkeypatch.chdir(tmp_path)
    talkative(tmp_path / "x", texts, monkeypatch)
    with simckpt.open(tmp_path / "x") as bundle:
        told = everything(bundle)
        names = {event.name for event in bundle.events}
    assert {"said", "rank_raised", "capture", "numerics_fallback"} <= names
    raw = (tmp_path / "x.simckpt.h5").read_bytes()
    found = {s for s in secrets if s.encode() in told + raw or _escaped(s) in told}
    assert found == set()


def test_no_secret_of_a_stage_is_kept(tmp_path: Path) -> None:
    texts, secrets = kinds()

    @transform("filter", selection="by {rule}", why=texts[0])
    def kept(data: np.ndarray, rule: str, password: str) -> np.ndarray:
        return data[:2]

    with stage(tmp_path / "x", name=f"secret={SECRET}", cohort=" \n ".join(texts)):
        for text in texts:
            kept(np.arange(4), text, SECRET)
            transform("select", selection=text, why=text, name=text).into(np.arange(2))
    with simckpt.open(tmp_path / "x") as bundle:
        told = everything(bundle)
    assert {s for s in secrets if s.encode() in told or _escaped(s) in told} == set()


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def test_no_secret_in_parameters_settings_or_configuration_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "a.json": '{\n "passwords": [\n  "S01x"\n ],\n "secret": {"a": "S02x"}\n}',
        "b.yaml": "secrets:\n  db: S03x\ntoken: &t S04x\npassphrase: >-\n  S05x\n  S06x\n",
        "c.toml": "password = '''\nS07x'''\ntokens = [\n 'S08x',\n]\n[secrets]\nx='S09x'\n",
        "d.py": "keyring.set_password('a', 'b', 'S10x')\nconn(password=('S11x'))\n",
    }
    for name, text in files.items():
        Path(name).write_text(text)

    @simckpt.run(tmp_path / "x", config=list(files), numerics={"passwords": ["S12x"]})
    def main(argv: list[str], settings: dict[str, Any]) -> None: ...

    main(
        ["--password", "S13x", "-u", "bob:S14x"],
        {"db": {"secrets": ["S15x"], "tokens": ("S16x",)}, "auth": ("bob", "S17x")},
    )
    with simckpt.open(tmp_path / "x") as bundle:
        told = everything(bundle)
    assert b"b.yaml" in told
    assert [n for n in range(1, 18) if f"S{n:02d}x".encode() in told] == []
