from __future__ import annotations

import warnings

import pytest

from simckpt import SimckptWarning
from simckpt.errors import InstrumentError
from simckpt.recording.faults import MOST_RECORDED, Faults, one_line


class Book(list[tuple[str, str, int | None]]):
    def __call__(self, name: str, text: str, *, step: int | None = None) -> None:
        self.append((name, text, step))


def test_a_fault_that_repeats_is_said_once_recorded_a_few_times_and_counted() -> None:
    book = Book()
    faults = Faults(strict=False, record=book)

    def lose() -> None:
        for step in range(1000):
            faults.note("lost", "a sample", step=step)

    with pytest.warns(SimckptWarning, match=r"^lost: a sample$") as said:
        lose()
    assert len(said) == 1
    assert [step for *_, step in book] == list(range(MOST_RECORDED))
    faults.count()
    assert book[-1][:2] == ("lost", f"1000 times in all, the first {MOST_RECORDED} are recorded")


def test_an_exception_is_contained_recorded_and_said_once() -> None:
    book = Book()
    faults = Faults(strict=False, record=book)

    def write() -> None:
        for _ in range(3):
            with faults.contained("writing"):
                raise OSError("full")

    with pytest.warns(SimckptWarning, match=r"writing failed: OSError: full$") as said:
        write()
    assert len(said) == 1
    assert book == [("instrument_failed", "writing failed: OSError: full", None)]


def test_what_another_rank_has_said_is_recorded_in_silence() -> None:
    book = Book()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Faults(strict=False, record=book).note("lost", "a sample", warn=False)
    assert len(book) == 1


def test_strict_faults_are_errors() -> None:
    faults = Faults(strict=True, record=Book())
    with pytest.raises(InstrumentError, match="lost: a sample"):
        faults.note("lost", "a sample")
    with pytest.raises(InstrumentError, match="writing: full"), faults.contained("writing"):
        raise OSError("full")


def test_interrupts_are_not_contained() -> None:
    faults = Faults(strict=False, record=Book())
    with pytest.raises(KeyboardInterrupt), faults.contained("writing"):
        raise KeyboardInterrupt


def test_an_exception_of_many_lines_is_one_line() -> None:
    assert one_line(ValueError("a\n  b" + "x" * 1000)).startswith("ValueError: a bxxx")
    assert len(one_line(ValueError("x" * 1000))) == 500
    assert one_line(None) == ""


def test_of_several_ranks_the_terminal_is_told_which() -> None:
    book = Book()
    faults = Faults(strict=False, record=book, prefix="rank 3: ")
    with pytest.warns(SimckptWarning, match=r"^rank 3: diagnostic_failed: q$"):
        faults.note("diagnostic_failed", "q")
    # The record has a column for it.
    assert book == [("diagnostic_failed", "q", None)]
