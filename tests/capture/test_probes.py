"""A probe that fails or hangs becomes a reason; the others are read."""

from __future__ import annotations

import threading

from simckpt.capture.probes import Findings, Probe, attempt, harvest, reason_of


def test_findings_are_sorted_into_sections():
    probes = [
        Probe("cpu", lambda: Findings(stable={"model": "x"}, volatile={"load": 1})),
        Probe("cpu", lambda: Findings(stable={"cores": 2}, unavailable={"microcode": "no file"})),
    ]
    found = harvest(probes, budget=5)
    assert found.stable == {"cpu": {"model": "x", "cores": 2}}
    assert found.volatile == {"cpu": {"load": 1}}
    assert found.unavailable == {"cpu.microcode": "no file"}


def test_a_hanging_probe_is_given_up_and_the_next_one_is_read():
    forever = threading.Event()

    def hang():
        forever.wait(60)
        return Findings()

    probes = [Probe("gpu", hang, 0.05), Probe("os", lambda: Findings(stable={"kernel": "6"}))]
    found = harvest(probes, budget=5)
    forever.set()
    assert found.unavailable == {"gpu": "took longer than 0.05 s"}
    assert found.stable == {"os": {"kernel": "6"}}


def test_a_failing_probe_leaves_its_reason_without_secrets():
    def fail():
        raise OSError(2, "No such file", "/data?token=hunter2xyz")

    found = harvest([Probe("gpu", fail)], budget=5)
    assert found.unavailable == {"gpu": "FileNotFoundError: No such file: /data?token=***"}


def test_probes_past_the_budget_are_not_begun():
    found = harvest([Probe("gpu", lambda: Findings(stable={"n": 1}))], budget=-1)
    assert found.stable == {}
    assert "used up" in found.unavailable["gpu"]


def test_a_probe_without_limit_runs_in_the_calling_thread():
    assert attempt(threading.get_ident, None) == (threading.get_ident(), "")
    assert attempt(threading.get_ident, 5.0)[0] != threading.get_ident()


def test_a_reason_is_one_line():
    assert reason_of(ValueError("a\n  b")) == "ValueError: a b"
    assert reason_of(ValueError()) == "ValueError"
