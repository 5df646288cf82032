"""What a case of the catalogue says: two programs, and what is true of them.

The truth is told here by who changed what, before any comparison is made; the first step and the
tiles that differ are not told but measured on the programs' own arrays (`truth`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

Half: TypeAlias = Literal["development", "held out"]
Json: TypeAlias = Any

ANSWER = "answer-changing"
"""The kind of a change that acts by itself: at the initial condition, from the first step or at a
later one, as the programs' own arrays have it."""

NOTHING = "nothing recorded"
"""The cause of a case in which the record cannot know what changed."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One recorded run, from its start to its end.

    Parameters
    ----------
    driver : str
        An example, or a driver of this catalogue.
    arguments : dict
        What its ``main`` is called with.
    ranks : int
        MPI ranks; 0 for a start without an MPI launcher.
    every : int or None
        The cadence of samples where the driver has one of its own.
    faults : tuple of dict
        Disturbances that the record knows nothing of.
    patches : tuple of (str, str)
        Passages of the driver's text that are replaced.
    environment : dict
        Variables of the environment.
    packages : dict
        Versions of the catalogue's own packages that are on the path.
    files : dict
        Texts put into the folder that the program runs in.
    stop : dict or None
        The job ends at ``step`` and another continues the run from the state at ``saved``.
    then : dict
        Arguments that the continuing job is called with instead.
    host : str
        The name that the machine is given.
    goal : str
        Another goal for the intent.
    take : int
        Two runs of the same program are told apart by this number.
    """

    driver: str
    arguments: dict[str, Json] = field(default_factory=dict)
    ranks: int = 0
    every: int | None = None
    faults: tuple[dict[str, Json], ...] = ()
    patches: tuple[tuple[str, str], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    stop: dict[str, Json] | None = None
    then: dict[str, Json] = field(default_factory=dict)
    host: str = ""
    goal: str = ""
    folder: str = ""
    take: int = 0

    def but(self, *, arguments: dict[str, Json] | None = None, **changes: Json) -> Program:
        """The same with some things changed; arguments are changed one by one."""
        return replace(self, arguments=self.arguments | (arguments or {}), **changes)

    @property
    def key(self) -> str:
        """A name for what it does: programs of the same key are made once."""
        defaults = asdict(Program(driver=""))
        told = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        text = json.dumps(told, sort_keys=True)
        return f"{self.driver}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two programs and the truth about them.

    Parameters
    ----------
    kinds : tuple of str
        The kinds that are right, or `ANSWER`; empty if nothing may be found.
    causes : tuple of str
        ``part:name`` of the recorded differences that are the change, `*` standing for any text;
        or `NOTHING`.
    figures : tuple of str
        The figures that the differing tiles may form; empty if the place is told by tiles alone.
    """

    name: str
    half: Half
    a: Program
    b: Program
    kinds: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing was changed that can matter."""
        return not self.kinds
