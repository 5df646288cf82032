"""Stages are many here; what one costs is the comparison of a work tree with its commit."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_work_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the code out of the manifest; tests of capture and of examples record it."""
    monkeypatch.setattr("simckpt.capture.manifest.capture_code", lambda: ((), (), ()))
