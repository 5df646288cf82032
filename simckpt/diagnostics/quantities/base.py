"""What a declared diagnostic asks of a sample, and what it makes of the answers.

A diagnostic is planned once, when all ranks have said what they hold. The plan names sums and
maxima over all cells as expression trees; each becomes one entry of the sample's message. On rank
0 `finish` turns the reduced entries into column values.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, nan, prod
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import SetupError
from ...model.series import Column, FieldTiles
from ..exact import ExactSum
from ..expressions import Expression, Tree, normal_form, resolve

if TYPE_CHECKING:
    from ..state import State
    from ..views import Extremes

# What a rank adds to a sample from outside of the sums and maxima over its cells.
#
# Such a share has a size that was agreed, like everything in a message: exact sums and counts are
# added up over the ranks, and of maxima the largest remains.


@dataclass(frozen=True)
class Share:
    """One rank's share, or all ranks' shares joined.

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
ABSENT = -inf


@dataclass(frozen=True, eq=False)
class Here:
    """What a share may be made of, on one rank: its state, and where its extrema lie."""

    state: State
    rank: int
    extremes: Extremes


@dataclass(frozen=True)
class ShareRequest:
    """How large a share is, and what gives it.

    `give` may raise: the quantity has then failed on this rank. `locate` names the fields whose
    extrema it needs to know the places of.
    """

    give: Callable[[Here], Share]
    sums: int = 0
    counts: int = 0
    maxima: int = 0
    locate: tuple[str, ...] = ()

    def checked(self, here: Here) -> Share:
        """The share, of the agreed size."""
        share = self.give(here)
        sizes = len(share.sums), len(share.counts), len(share.maxima)
        if sizes != (self.sums, self.counts, self.maxima):
            raise ValueError(f"a share of {sizes} numbers is not of the agreed size")
        return share


NO_SHARE = ShareRequest(lambda _: NOTHING)
"""Of a quantity that is made of the cells alone."""


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


# Channels: what is measured without being asked for, each field on each index space.


PARTICLES = -1
"""The index space of particle ids; grids have their level, 0 or more."""


@dataclass(frozen=True)
class Channel:
    """One field on one index space.

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
    def room(self) -> NDArray[np.uint64]:
        """Cells of each tile."""
        room = np.ones(1, np.uint64)
        for edges in self.edges:
            room = np.outer(room, np.diff(edges).astype(np.uint64)).ravel()
        return room

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
        name = self.label
        return (
            Column(name=f"{name}.min", kind="minimum", of=name, note="of the finite values"),
            Column(name=f"{name}.max", kind="maximum", of=name, note="of the finite values"),
            Column(name=f"{name}.nan", kind="count", of=name, note="cells that are NaN"),
            Column(name=f"{name}.posinf", kind="count", of=name, note="cells that are +Inf"),
            Column(name=f"{name}.neginf", kind="count", of=name, note="cells that are -Inf"),
        )

    def field_tiles(self) -> FieldTiles:
        """The tiles as they are recorded."""
        return FieldTiles(
            field=self.label, dtype=self.kind, global_shape=self.global_shape, edges=self.edges
        )
