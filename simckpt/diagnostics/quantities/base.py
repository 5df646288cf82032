"""What a declared diagnostic asks of a sample, and what it makes of the answers.

A diagnostic is planned once, when all ranks have said what they hold. The plan names sums and
maxima over all cells as expression trees; each becomes one entry of the sample's message. On rank
0 `finish` turns the reduced entries into column values.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import inf, nan, prod
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import SetupError
from ...model.series import Column, ColumnKind, FieldTiles
from ..exact import ExactSum
from ..expressions import Expression, Tree, normal_form, parse, resolve

if TYPE_CHECKING:
    from ..state import Extremes, State

ABSENT = -inf
"""The maximum of nothing."""


@dataclass(frozen=True)
class Share:
    """What a rank adds to a sample beside its cells, or what all ranks add.

    Parameters
    ----------
    sums : tuple of ExactSum
        Added up exactly.
    counts : tuple of int
        Whole numbers from 0, added up.
    maxima : tuple of float
        The largest remains; -inf is the maximum of nothing.
    places : tuple of int
        A place for each maximum, or none at all: of equal maxima the least place remains.
    """

    sums: tuple[ExactSum, ...] = ()
    counts: tuple[int, ...] = ()
    maxima: tuple[float, ...] = ()
    places: tuple[int, ...] = ()


NOTHING = Share()


@dataclass(frozen=True, eq=False)
class LocalState:
    """What a share may be computed from, on one rank: its state, and where its extrema lie."""

    state: State
    rank: int
    extremes: Extremes


@dataclass(frozen=True)
class ShareRequest:
    """How large a share is, which all ranks know beforehand, and what gives it.

    `give` may raise: the quantity has then failed on this rank. `locate` names the fields whose
    extrema it needs to know the places of.
    """

    give: Callable[[LocalState], Share]
    sums: int = 0
    counts: int = 0
    maxima: int = 0
    locate: tuple[str, ...] = ()

    def checked(self, local: LocalState) -> Share:
        """The share, of the right size."""
        share = self.give(local)
        sizes = len(share.sums), len(share.counts), len(share.maxima)
        if sizes != (self.sums, self.counts, self.maxima):
            raise ValueError(f"a share of {sizes} numbers is not of the agreed size")
        return share


NO_SHARE = ShareRequest(lambda _: NOTHING)

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
    previous : object
        The result of the quantity's `carry` at the sample before; None at first.
    """

    sums: Sequence[ExactSum]
    maxima: Sequence[float]
    dt: float = nan
    cells: int = 0
    t: float = nan
    shared: Share = NOTHING
    columns: Mapping[str, float] = field(default_factory=dict)
    previous: Any = None


def first_sum(answers: Answers) -> tuple[float, ...]:
    """The first sum, rounded, as the only column."""
    return (answers.sums[0].rounded,)


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
        `Answers.previous`. Asked at each sample, for input that comes with one that is not sound.
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

    neighbour_widths: tuple[bool, ...] = ()
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

    def parse(self, text: str, argument: str) -> Tree:
        """The tree of the expression `text`, which was given as `argument`."""
        return self.tree(parse(text, argument))

    def require_grid(self, argument: str, diagnostic: Diagnostic) -> None:
        """SetupError if there are no cells along axes."""
        if self.axes == 0:
            raise SetupError(argument, diagnostic.text(), "needs a grid", mend="Give `grid`.")

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
    """A declared diagnostic: a frozen value that was checked when it was built."""

    @abstractmethod
    def plan(self, name: str, context: Context) -> Quantity:
        """The sums and maxima it needs, and its columns; SetupError if it cannot be had."""

    @abstractmethod
    def text(self) -> str:
        """The declaration in one line, as it is recorded."""


def join(operation: str, trees: Iterable[Tree]) -> Tree:
    """One tree of several, by an operation of two operands."""
    return reduce(lambda a, b: (operation, a, b), trees)


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    """SetupError if `value` is none of `choices`."""
    if value not in choices:
        raise SetupError(argument, value, "is not a choice", choices=[c or "''" for c in choices])


def checked_name(argument: str, name: object) -> str:
    """`name` in its normal form, if it can be a column: an identifier."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SetupError(
            argument, name, "is not a name", mend="Use letters, digits and underscores."
        )
    return normal_form(name)


PARTICLES = -1
"""The index space of particle ids; grids have their level, 0 or more."""


@dataclass(frozen=True)
class Channel:
    """One field on one index space: its extrema, counts and digests are always measured.

    Parameters
    ----------
    field : str
        Name of the field, or of the particles' quantity.
    space : int
        Level of the grid, or `PARTICLES`.
    kind : str
        Number type without byte order, such as ``"f8"``.
    global_shape : tuple of int
        Of the index space.
    edges : tuple of tuple of int
        Tile edges along each axis.
    """

    field: str
    space: int
    kind: str
    global_shape: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]

    @cached_property
    def label(self) -> str:
        """Name in the record: ``rho``, ``rho@1`` on a refined level, ``particles.x``."""
        if self.space == PARTICLES:
            return f"particles.{self.field}"
        return self.field if self.space == 0 else f"{self.field}@{self.space}"

    @cached_property
    def tiles(self) -> int:
        """Number of tiles."""
        return prod(len(e) - 1 for e in self.edges)

    @cached_property
    def tile_cells(self) -> NDArray[np.uint64]:
        """Cells of each tile."""
        cells = np.ones(1, np.uint64)
        for edges in self.edges:
            cells = np.outer(cells, np.diff(edges).astype(np.uint64)).ravel()
        return cells

    @cached_property
    def seed(self) -> int:
        """What the digest's keys are shifted by: number type and index space are part of it."""
        text = f"{self.kind}/{max(0, self.space)}"
        seed = 0xCBF29CE484222325
        for byte in text.encode():  # FNV-1a, 64 bits
            seed = ((seed ^ byte) * 0x100000001B3) % 2**64
        return seed

    def columns(self) -> tuple[Column, ...]:
        """The columns that every channel has."""
        kinds: tuple[tuple[str, ColumnKind, str], ...] = (
            ("min", "minimum", "of the finite values"),
            ("max", "maximum", "of the finite values"),
            ("nan", "count", "cells that are NaN"),
            ("posinf", "count", "cells that are +Inf"),
            ("neginf", "count", "cells that are -Inf"),
        )
        name = self.label
        return tuple(
            Column(name=f"{name}.{part}", kind=kind, of=name, note=note)
            for part, kind, note in kinds
        )

    def field_tiles(self) -> FieldTiles:
        """The tiles as they are recorded."""
        return FieldTiles(
            field=self.label, dtype=self.kind, global_shape=self.global_shape, edges=self.edges
        )
