from __future__ import annotations

from simckpt.capture.jobs import accounts, parse

TEXT = """\
71|REQUEUED|0:0|1000|1100|100||n[1-2]
71.batch|CANCELLED|0:15|1000|1100|100|4096K|n1
71|CANCELLED by 1000|0:0|1200|1260|60||n1
71.batch|CANCELLED|0:15|1200|1260|60|8M|n1
71.0|CANCELLED by 1000|0:15|1201|1260|59|1.5G|n1
71.1|FAILED|1:0|1201|1260|59|0|n1
70_3|PENDING|0:0|Unknown|Unknown|0||None assigned
not a line of sacct
"""


def test_each_attempt_of_a_job_is_an_account_of_its_own() -> None:
    first, second, third = parse(TEXT)
    assert (first.job, first.state, first.start, first.end) == ("71", "REQUEUED", 1000, 1100)
    assert (second.state, second.elapsed, second.nodes) == ("CANCELLED", 60, "n1")
    assert (third.job, third.state, third.start, third.nodes) == ("70_3", "PENDING", None, "")


def test_memory_is_the_largest_of_the_steps_in_bytes() -> None:
    first, second, third = parse(TEXT)
    assert first.max_rss == 4096 * 1024
    assert second.max_rss == 1.5 * 2**30
    assert third.max_rss is None


def test_a_step_that_ran_out_of_memory_is_told_though_the_job_was_requeued() -> None:
    text = "71|REQUEUED|0:0|1000|1100|100||n1\n71.0|OUT_OF_MEMORY|0:125|1000|1100|100|9G|n1\n"
    (account,) = parse(text + "71.1|COMPLETED|0:0|1000|1100|100|1G|n1\n")
    assert (account.state, account.step_state) == ("REQUEUED", "OUT_OF_MEMORY")
    assert account.max_rss == 9 * 2**30


def test_an_account_covers_the_time_in_which_its_attempt_ran() -> None:
    first, second, third = parse(TEXT)
    assert first.covers(1000.3)
    assert not first.covers(1200.3)
    assert second.covers(1260.9)
    assert not third.covers(1000)


def test_where_accounting_cannot_be_asked_there_are_no_accounts(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accounts(["71"]) == ()
    fails = tmp_path / "sacct"
    fails.write_text("#!/bin/sh\necho '71|COMPLETED|0:0|1|2|1||n1'\nexit 1\n")
    fails.chmod(0o755)
    assert accounts(["71"]) == ()
    fails.write_text("#!/bin/sh\necho '71|COMPLETED|0:0|1|2|1||n1'\n")
    assert [a.state for a in accounts(["71"])] == ["COMPLETED"]
    assert accounts([]) == ()
