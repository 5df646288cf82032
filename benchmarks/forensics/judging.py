"""Score cases from the runs that were made; the truth of each is found once and kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import simckpt
from simckpt.compare.run_view import RunView

from .case import Case, Program
from .making import WITNESS, Workshop
from .scoring import Known, Score, known, score
from .truth import Account

Filter: TypeAlias = Callable[[RunView], RunView]


class Judge:
    """Opens the bundles of a case, and holds their comparison against the truth."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._known: dict[str, Known] = {}

    def bundle(self, program: Program) -> Path:
        """The bundle of a program."""
        return self._workshop.bundle(program)

    def score(self, case: Case, through: Filter = lambda run: run) -> Score:
        """The score of a case; `through` may hide parts of both bundles from the comparison."""
        paths = [self._workshop.bundle(program) for program in (case.a, case.b)]
        with ExitStack() as stack:
            one, two = (stack.enter_context(simckpt.open(path)) for path in paths)
            if case.name not in self._known:
                a, b = (
                    Account(self._workshop.folder(program) / WITNESS)
                    for program in (case.a, case.b)
                )
                self._known[case.name] = known(a, b, one, two)
            return score(
                case, self._known[case.name], through(one), through(two), paths[1].stat().st_size
            )
