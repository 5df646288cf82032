import io

import msgspec
import pytest
from msgspec.structs import replace
from recorded_twins import STARTED, Setup, Twin, run

from simckpt.bundle.verify import Finding
from simckpt.model.series import Cost, Event
from simckpt.report.history import history, history_report
from simckpt.report.overview import overview, overview_report
from simckpt.report.text import show, show_json
from simckpt.report.verification import verification, verification_report

SMALL = Setup(name="small", n=16, steps=24, every=2, checkpoint_every=8)


def recorded(**changes) -> Twin:
    return run(SMALL, **changes)


def printed(report) -> str:
    out = io.StringIO()
    show(report, out)
    return out.getvalue()


def test_the_overview_says_what_ran_where_and_what_it_cost():
    text = printed(overview_report(overview(recorded())))
    assert text.splitlines()[0] == "small.simckpt.h5  finished"
    for shown in ("try small", "solver:main(", "4 ranks, 2 x 2 on n1", "13 samples, steps 0 to 24"):
        assert shown in text
    assert "Recording took 0.6 % of 10 s wall time" in text
    assert "mass, drift" in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    ("spent", "shown"), [(0.0062, "0.062 %"), (0.31, "3.1 %"), (9.96, "100 %"), (2.64, "26 %")]
)
def test_a_share_of_the_time_is_told_in_plain_digits(spent, shown):
    made = overview(recorded())
    text = printed(overview_report(replace(made, cost=Cost(wall=10.0, samples=spent))))
    assert f"Recording took {shown} of 10 s wall time" in text


def test_a_killed_run_says_so_and_counts_what_is_not_confirmed():
    text = printed(overview_report(overview(recorded(killed=True, steps=22))))
    assert text.splitlines()[0].endswith("killed, or still running")
    assert "after the last checkpoint, not confirmed on disk" in text


def test_a_blown_up_run_names_the_step_first():
    text = printed(overview_report(overview(recorded(poison=9))))
    health = text.split("Health")[1].splitlines()
    assert health[1].split() == ["first", "non-finite", "value", "step", "10:", "x,", "mass"]


def test_the_overview_has_a_json_form():
    out = io.StringIO()
    show_json(overview(recorded(restart=8)), out)
    told = msgspec.json.decode(out.getvalue())
    assert told["segments"] == 2
    assert told["samples"] == 13
    assert told["cost"]["wall"] == 10.0


def test_history_is_in_order_and_ends_with_the_end():
    event = Event(name="slow", severity="warning", step=9, wall=STARTED + 9, text="slow disk")
    told = history(recorded(events=(event,)))
    walls = [e.wall for e in told.entries]
    assert walls == sorted(walls)
    assert told.entries[0].what == "segment"
    assert told.entries[-1].text == "segment 0 ends, finished"
    assert [e.text for e in told.entries if e.what == "event"] == ["slow: slow disk"]
    text = printed(history_report(told))
    assert text.index("step 8") < text.index("slow disk") < text.index("step 16")


def test_a_long_history_shows_its_last_entries_and_counts_the_rest():
    text = printed(history_report(history(recorded()), most=2))
    assert "... 5 entries before these" in text
    assert "segment 0 begins" not in text


def test_notes_do_not_make_a_bundle_damaged():
    note = Finding(what="the run was stopped", where="a.journal", severity="note")
    damage = Finding(what="a record was altered", where="a.h5, record 7", severity="damage")
    assert verification("a", ()).whole
    assert verification("a", (note,)).whole
    assert not verification("a", (note, damage)).whole
    text = printed(verification_report(verification("a", (note, damage))))
    assert text.startswith("DAMAGED  a\n")
    assert "record 7" in text
