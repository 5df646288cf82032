"""Why a run is made, in a few lines that a person can read weeks later."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import force_setattr

from ..errors import SetupError
from .record import Document

_MENDS = {
    "goal": "Say in one line what the run is for.",
    "conclusion": "Say in one line what will be concluded.",
}

LONGEST_LINE = 240
MOST_ASSUMPTIONS = 8


class Intent(Document, tag="intent", frozen=True, kw_only=True):
    """Goal, key assumptions, and what will be concluded.

    Parameters
    ----------
    goal : str
        What the run is for, one line of at most 240 characters.
    assumptions : list of str
        At most 8 lines: what the result rests on.
    conclusion : str
        What will be concluded, and by which criterion.

    Raises
    ------
    SetupError
        If the goal is empty, a line is too long, or there are too many lines.

    Examples
    --------
    >>> Intent(goal="growth rate of mode 2", assumptions=["inviscid", "periodic"]).goal
    'growth rate of mode 2'
    """

    goal: str
    assumptions: tuple[str, ...] = ()
    conclusion: str = ""

    def __post_init__(self) -> None:
        for name in ("goal", "conclusion"):
            if not isinstance(getattr(self, name), str):
                raise SetupError(
                    f"Intent.{name}", getattr(self, name), "is not a text", mend=_MENDS[name]
                )
        if not self.goal.strip():
            raise SetupError("Intent.goal", self.goal, "is empty", mend=_MENDS["goal"])
        if isinstance(self.assumptions, str) or not isinstance(self.assumptions, Iterable):
            one = isinstance(self.assumptions, str)
            raise SetupError(
                "Intent.assumptions",
                self.assumptions,
                "is one string, not a list of lines" if one else "is not a list of lines",
                mend="Write assumptions=['...'].",
            )
        if not isinstance(self.assumptions, tuple):
            force_setattr(self, "assumptions", tuple(self.assumptions))
        if len(self.assumptions) > MOST_ASSUMPTIONS:
            raise SetupError(
                "Intent.assumptions",
                list(self.assumptions),
                f"has {len(self.assumptions)} lines, more than {MOST_ASSUMPTIONS}",
                mend="Keep the assumptions that the conclusion rests on.",
            )
        lines = {"goal": self.goal, "conclusion": self.conclusion}
        lines |= {f"assumptions[{i}]": line for i, line in enumerate(self.assumptions)}
        for name, line in lines.items():
            if not isinstance(line, str):
                raise SetupError(
                    f"Intent.{name}", line, "is not a text", mend="Write assumptions=['...']."
                )
            if len(line) > LONGEST_LINE:
                raise SetupError(
                    f"Intent.{name}",
                    line,
                    f"has {len(line)} characters, more than {LONGEST_LINE}",
                    mend="An intent is 3 to 10 short lines; put the rest in a document.",
                )
