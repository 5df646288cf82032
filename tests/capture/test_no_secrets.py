"""Secrets put everywhere a capture looks are in none of its models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from .made_up_secrets import KEYS, SENTENCES

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy

SECRETS = json.loads(Path("secrets.json").read_text())

from simckpt.capture.artifacts import index_artifacts
from simckpt.capture.configuration import capture_configuration
from simckpt.capture.solvers.describe import describe
from simckpt.capture.environment import capture_environment, capture_node
from simckpt.capture.manifest import capture_manifest
from simckpt.capture.rng import capture_random
from simckpt.capture.jobs import scheduler_facts
from simckpt.capture.manifest import specification
from simckpt.model.documents import Stage
from simckpt.model.record import canonical_json

values = SECRETS["keys"] + SECRETS["sentences"]
manifest, documents = capture_manifest(
    driver="main",
    parameters={
        "list": values,
        "mapping": dict(enumerate(values)),
        "keys": {value: 1 for value in values},
        "nested": [{"deep": (value,)} for value in values],
        "password": SECRETS["bare"],
        "apiToken": SECRETS["bare"],
    },
    inputs=[f"https://h/x?n=1&token={SECRETS['bare']}", f"s3://me:{SECRETS['bare']}@b/x", *values],
    outputs=values,
    stage=Stage(),
    upstream=[],
    contents=lambda path: None,
)
environment, circumstances = capture_environment()
models = [
    manifest, *documents, environment, circumstances, capture_node(), scheduler_facts(),
    *capture_configuration(["settings.ini", *values]),
    capture_random({value: value for value in values} | {"seed_token": SECRETS["bare"]}),
    specification(manifest, {"list": values, "password": SECRETS["bare"]}, {"x": values}),
    index_artifacts(["out/*", *values], Path.cwd()),
    [describe(value) for value in values], describe({"secret": SECRETS["bare"]}),
    describe("settings.ini"), describe(Path("settings.json")),
]
sys.stdout.buffer.write(b"\\n".join(canonical_json(model) for model in models))
"""

VARIABLES = (
    "OMP_PLACES",
    "XLA_FLAGS",
    "GLIBC_TUNABLES",
    "UCX_NET_DEVICES",
    "LD_LIBRARY_PATH",
    "NUMBA_CACHE_DIR",
    "LOADEDMODULES",
    "_LMFILES_",
    "SLURM_JOB_NAME",
    "SLURM_JOB_DEPENDENCY",
    "SIMCKPT_WHY",
)


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """Text of every captured model, by a program that has secrets everywhere."""
    folder = tmp_path_factory.mktemp("secrets")
    keys, sentences = list(KEYS.values()), [sentence for sentence, _ in SENTENCES.values()]
    bare = "hunter2xyz"
    told = {"keys": keys, "sentences": sentences, "bare": bare}
    (folder / "secrets.json").write_text(json.dumps(told))
    lines = [f"entry{i} = {key}" for i, key in enumerate(keys)]
    (folder / "settings.ini").write_text(f"[s3]\npassword = {bare}\n" + "\n".join(lines))
    (folder / "settings.json").write_text(json.dumps({"client_secret": bare, "values": keys}))
    driver = folder / "driver.py"
    driver.write_text(PROGRAM)
    porcelain.init(str(folder))
    porcelain.add(str(folder), [str(driver)])
    porcelain.commit(str(folder), message=b"x", author=b"A <a@b>", committer=b"A <a@b>")
    with Repo(str(folder)) as repo:
        config = repo.get_config()
        url = f"https://me:{bare}@host/g/{KEYS['github classic']}.git"
        config.set((b"remote", b"origin"), b"url", url.encode())
        config.write_to_path()
    comments = "\n".join(f"# {text}" for text in [*keys, *sentences] if "\n" not in text)
    driver.write_text(PROGRAM + comments + "\n")
    secret = {"AWS_SECRET_ACCESS_KEY": bare, "WANDB_API_KEY": bare, "PASSWORD": bare}
    secret |= {f"OWN_{i}": key for i, key in enumerate(keys)}
    mixed = {name: " ".join(keys) for name in VARIABLES}
    arguments = [*keys, *sentences, "--password", bare, f"--token={bare}", "-u", f"me:{bare}"]
    done = subprocess.run(
        [sys.executable, str(driver), *arguments],
        cwd=folder,
        env={**os.environ, **secret, **mixed, "SLURM_JOB_ID": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_the_models_are_really_there(captured):
    for kind in ("manifest", "environment", "circumstances", "artifacts", "text", "specification"):
        assert f'"kind":"{kind}"' in captured
    assert "***" in captured
    assert "diff of" in captured
    assert len(KEYS) + len(SENTENCES) >= 50


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_no_key_is_in_any_model(captured, kind):
    assert KEYS[kind] not in captured


@pytest.mark.parametrize("kind", sorted(SENTENCES))
def test_no_secret_told_by_its_surroundings_is_in_any_model(captured, kind):
    assert SENTENCES[kind][1] not in captured
