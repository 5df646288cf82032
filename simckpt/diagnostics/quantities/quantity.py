"""What a declared diagnostic asks of a sample, and what it makes of the answers.

A diagnostic is planned once, when all ranks have said what they hold. The plan names sums and
maxima over all cells as expression trees; each becomes one entry of the sample's message. On rank
0 `finish` turns the reduced entries into column values.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal, Protocol

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Expression, Tree, normal_form, resolve
from .exact_sum import ExactSum
from .shares import NOTHING, Share, ShareRequest

Weight = Literal["volume", "one"]


@dataclass(frozen=True)
class SumRequest:
    """The exact sum of an expression over all cells, each times its volume or one."""

    tree: Tree
    weight: Weight = "volume"
    particles: bool = False
    """Over the particles instead of the cells."""


@dataclass(frozen=True)
class Answers:
    """What came back, in the order of the requests; and what the sample is about.

    Parameters
    ----------
    sums, maxima : sequence
        The answers to the requests.
    dt, t : float
        The step's width and simulated time; NaN where the driver gives none.
    cells : int
        Cells that were measured.
    shared : Share
        All ranks' shares joined.
    columns : mapping of str to float
        The sample's other columns, for a quantity that reads some.
    past : object
        What the quantity's `carry` made of the sample before; None at first.
    """

    sums: Sequence[ExactSum]
    maxima: Sequence[float]
    dt: float = nan
    cells: int = 0
    t: float = nan
    shared: Share = NOTHING
    columns: Mapping[str, float] = field(default_factory=dict)
    past: Any = None


@dataclass(frozen=True)
class Quantity:
    """A planned diagnostic.

    Parameters
    ----------
    name : str
        What it is called where it fails.
    columns : tuple of Column
        What `finish` gives the values of.
    finish : callable
        From the answers of a sound sample to the values.
    sums, maxima : tuple
        What is asked of the cells or particles.
    share : ShareRequest, optional
        What each rank adds from elsewhere.
    reads : tuple of str
        Other columns that it is made of; none of quantities that read some themselves.
    carry : callable, optional
        From the answers, and whether the sample is sound, to what the next sample finds as
        `Answers.past`. Asked at each sample, for input that comes with one that is not sound.
    problem : callable, optional
        From the answers to what is wrong with them, one sentence, or nothing.
    """

    name: str
    columns: tuple[Column, ...]
    finish: Callable[[Answers], tuple[float, ...]]
    sums: tuple[SumRequest, ...] = ()
    maxima: tuple[Tree, ...] = ()
    share: ShareRequest | None = None
    reads: tuple[str, ...] = ()
    carry: Callable[[Answers, bool], Any] | None = None
    problem: Callable[[Answers], str] | None = None


@dataclass(frozen=True)
class Context:
    """What a diagnostic may know when it is planned: the same on every rank."""

    fields: frozenset[str]
    derived: Mapping[str, Expression]
    axes: int
    even: tuple[bool, ...] = ()
    """Whether the cells of each level are of one width along each axis."""

    beside: tuple[bool, ...] = ()
    """Whether the widths of the cells beside each box are known along each axis."""

    spaced: bool = True
    """Whether the widths of cells are known: not where there are volumes alone."""

    masked: bool = False
    """Whether there are cells that do not count."""

    masks_ghosts: bool = True
    """Whether it is known which ghost cells count, where they are the cells of another box."""

    ghosts: tuple[int, ...] = ()
    """Ghost layers along each axis that every box has on both sides."""
    particles: tuple[str, ...] = ()
    """The particles' quantities, if there are particles."""

    shapes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Global shape of each level; the number of cells where they carry ids."""

    def tree(self, expression: Expression) -> Tree:
        """The tree of `expression` with its names resolved; SetupError for an unknown one."""
        return resolve(expression, self.fields, self.derived)

    def width(self, axis: int, argument: str) -> Tree:
        """The tree of the cell width along `axis`; SetupError if it is not known."""
        if not self.spaced:
            raise SetupError(
                argument,
                "Grid.spacing",
                "is needed: Grid.volume alone says nothing of the widths of cells",
                mend="Give both: Grid(..., spacing=..., volume=...).",
            )
        return ("width", axis)


class Diagnostic(Protocol):
    """A declared diagnostic: a frozen value that has refused nonsense when it was built."""

    @abstractmethod
    def plan(self, name: str, context: Context) -> Quantity:
        """The sums and maxima it needs, and its columns; SetupError if it cannot be had."""

    @abstractmethod
    def text(self) -> str:
        """The declaration in one line, as it is recorded."""


def checked_name(argument: str, name: object) -> str:
    """`name` in its normal form, if it can be a column: an identifier."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SetupError(
            argument, name, "is not a name", mend="Use letters, digits and underscores."
        )
    return normal_form(name)
