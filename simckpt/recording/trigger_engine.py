"""A trigger's rule that is the user's own code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .redacted_texts import redact_event, redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..diagnostics.reduced_sample import ReducedSample
    from ..model.changes import Specification
    from ..model.documents import Environment
    from ..model.record import Hash
    from ..model.series import Event, SeriesSchema
    from .trigger_captures import Evidence
    from .triggers import Firing, Kind, Watch

# What a rule has found: the reason, in words, and the values it rests on.


@dataclass(frozen=True)
class Finding:
    """Why a rule fires: a clause for a person, and values for a program."""

    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """A rule at work on the samples of one job attempt."""

    @abstractmethod
    def look(self, reading: ReducedSample) -> Finding | None:
        """What the rule finds in the next sample; None if it has nothing to say."""


class PredicateRule:
    """Asks the user's predicate about each sample.

    Parameters
    ----------
    predicate : callable
        Gets the sample; says whether to fire, or why as a text, or as a dict of values.
    """

    def __init__(self, predicate: Callable[[ReducedSample], Any]) -> None:
        self._predicate = predicate

    def look(self, reading: ReducedSample) -> Finding | None:
        answer = self._predicate(reading)
        if isinstance(answer, dict):
            return Finding("the predicate holds", answer) if answer else None
        if isinstance(answer, str):
            return Finding(redacted(answer)[:500]) if answer else None
        return Finding("the predicate holds") if bool(answer) else None


# Rank 0's guard: it watches what happens in a run, captures, and says what it wishes for.


@dataclass(frozen=True)
class Wishes:
    """What triggers ask of the recorder: reasons, empty where nothing is wished for.

    `problems` are what went wrong in rules and captures.
    """

    checkpoint: str = ""
    stop: str = ""
    problems: tuple[str, ...] = ()


NO_WISHES = Wishes()


class Sentry:
    """Joins the rules to what is captured where they fire.

    Parameters
    ----------
    watch : Watch
        The rules.
    evidence : Evidence
        What is captured.
    append : callable
        Takes the events.
    checkpoint : int
        The number of the next checkpoint of the run.
    """

    def __init__(
        self, watch: Watch, evidence: Evidence, append: Callable[[Event], None], checkpoint: int
    ) -> None:
        self._watch = watch
        self._evidence = evidence
        self._append = append
        self._checkpoint = checkpoint
        self._began = False
        self._wishes = NO_WISHES

    def describe(self, schema: SeriesSchema, stored: Hash) -> None:
        """The samples that follow mean this."""
        self._evidence.describe(stored)
        self._watch.describe(schema)

    def sample(self, reading: ReducedSample, wall: float) -> None:
        """A sample is complete."""
        self._evidence.note(reading, wall)
        self._capture(self._watch.sample(reading))

    def checkpoint(
        self,
        environment: Environment,
        specification: Specification,
        step: int,
        nodes: Mapping[str, Environment],
    ) -> None:
        """A checkpoint is about to be committed; `nodes` are the run's, by name."""
        if self._began:
            self._capture(self._watch.specified(specification, step))
        else:
            self._began = True
            self._capture(self._watch.began(environment, specification, step, nodes))

    def committed(self, number: int) -> None:
        """The checkpoint of this number is made; it is the one that was wished for, if any."""
        self._checkpoint = number + 1
        self._watch.committed(number)
        self._wishes = Wishes(stop=self._wishes.stop, problems=self._wishes.problems)

    def met(self, kind: Kind, reason: str, step: int, error: BaseException | None = None) -> None:
        """An exception or a signal ends the run."""
        self._capture(self._watch.met(kind, reason, step), error)

    def wishes(self) -> Wishes:
        """What is wished for since this was last asked."""
        wished, self._wishes = self._wishes, NO_WISHES
        found = self._watch.problems()
        if wished is NO_WISHES and not found:
            return NO_WISHES
        problems = (*wished.problems, *found)
        return Wishes(wished.checkpoint, wished.stop, problems)

    def _capture(self, firings: Iterable[Firing], error: BaseException | None = None) -> None:
        try:
            for firing in firings:
                self._answer(firing, error)
        except Exception as problem:  # noqa: BLE001 - no capture is worth a sample or a checkpoint
            text = f"a trigger could not be acted on: {type(problem).__name__}: {problem}"
            self._wish(Wishes(problems=(text,)))

    def _answer(self, firing: Firing, error: BaseException | None) -> None:
        event, problems = self._evidence.event(firing, self._checkpoint, error)
        self._append(redact_event(event))
        actions = firing.trigger.actions
        checkpoint = event.text if "checkpoint" in actions and firing.captures else ""
        stop = event.text if "stop" in actions else ""
        self._wish(Wishes(checkpoint, stop, problems))

    def _wish(self, more: Wishes) -> None:
        wished = self._wishes
        self._wishes = Wishes(
            checkpoint="; ".join(filter(None, (wished.checkpoint, more.checkpoint))),
            stop=wished.stop or more.stop,
            problems=wished.problems + more.problems,
        )


# What makes a run capture more than it always does.
