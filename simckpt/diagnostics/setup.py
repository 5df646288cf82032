"""What all ranks agree on at the first sample: a pure function of their offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import frexp, fsum, inf, prod

from msgspec import UNSET, structs

from ..errors import SetupError
from ..model.series import Column, Decomposition, Patch, SeriesSchema
from .coverage_checksum import LARGEST, box_mark, expected, places_mark
from .declarations import Declarations
from .exact import WIDE, halves
from .expressions import Tree
from .message import Layout
from .partition import check_coverage, tile_edges
from .quantities.base import PARTICLES, Channel, Context, Quantity, SumRequest
from .quantities.integrals import particle_quantities
from .rank_agreement import Offer, PartOffer, check_unison, check_widths, same_width

# What the boxes of all ranks have in common.


def global_shapes(parts: Sequence[tuple[int, PartOffer]]) -> dict[int, tuple[int, ...]]:
    """The shape of each level's index space, on which the ranks must agree."""
    shapes: dict[int, tuple[int, ...]] = {}
    told: dict[int, int] = {}
    for rank, part in parts:
        first = shapes.setdefault(part.level, part.global_shape)
        told.setdefault(part.level, rank)
        if part.global_shape != first:
            raise SetupError(
                "Grid.global_shape",
                part.global_shape,
                f"on rank {rank} is not what rank {told[part.level]} says, {first}",
                mend="Give the shape of the whole grid, the same on every rank.",
            )
    if len({len(shape) for shape in shapes.values()}) > 1:
        raise SetupError("Grid.global_shape", shapes, "has levels with different numbers of axes")
    return dict(sorted(shapes.items()))


def of_one_volume(parts: Sequence[tuple[int, PartOffer]]) -> bool:
    """Whether all cells are of one volume."""
    volumes = {part.volume for _, part in parts}
    return len(volumes) == 1 and None not in volumes


def even_axes(parts: Sequence[tuple[int, PartOffer]]) -> tuple[bool, ...]:
    """Whether the cells of each level are of one width, along each axis."""
    first: dict[int, PartOffer] = {}
    even = [True] * len(parts[0][1].widths) if parts else []
    for _, part in parts:
        known = first.setdefault(part.level, part)
        for axis, (there, here) in enumerate(zip(known.widths, part.widths, strict=True)):
            if there is None or here is None or not same_width(there, here):
                even[axis] = False
    return tuple(even)


def masks_ghosts(parts: Sequence[PartOffer]) -> bool:
    """Whether it is known which ghost cells count: a single box has none of another's."""
    single = single_boxes(parts)
    return all(p.masks_ghosts or p.level in single for p in parts if prod(p.shape))


def single_boxes(parts: Sequence[PartOffer]) -> frozenset[int]:
    """The levels that are one box."""
    boxes = Counter(part.level for part in parts if prod(part.shape))
    return frozenset(level for level, count in boxes.items() if count == 1)


def ghost_layers(parts: Sequence[tuple[int, PartOffer]]) -> tuple[int, ...]:
    """Ghost layers along each axis that every box has on both sides."""
    layers = [[min(pair) for pair in part.ghost] for _, part in parts]
    return tuple(min(axis) for axis in zip(*layers, strict=True))


# What the integral of one is: without it nothing says how large an integral could have been.


DIGITS = 12
"""It is a scale and nothing else: the digits that the cut into boxes moves are left out."""


def with_measure(quantity: Quantity, parts: Sequence[PartOffer]) -> Quantity:
    """The quantity; if it is an integral over the cells, its column says what that of one is."""
    if [request.particles for request in quantity.sums] != [False]:
        return quantity
    volume = quantity.sums[0].weight == "volume"
    each = (p.measured.volume if volume else float(p.measured.cells) for p in parts)
    total = float(f"{fsum(each):.{DIGITS - 1}e}")
    told = total if 0 < total < inf else UNSET
    columns = (
        structs.replace(c, measure=told) if c.kind in ("budget", "conserved") else c
        for c in quantity.columns
    )
    return replace(quantity, columns=tuple(columns))


MARGIN = 64
"""Binades by which volumes may grow before a product with the largest float64 overflows."""


@dataclass(frozen=True)
class Agreement:
    """The same on every rank.

    `by_id` says that cells carry ids, and so lie in no boxes; `refinable` that levels may appear
    which have no channels, and count in the integrals and maxima alone. `even` says that the cell
    volume is one number everywhere, which each sample tells; otherwise every term of an integral
    is multiplied by its own volume, times ``2**-scale`` so that none overflows.
    """

    ranks: int
    by_id: bool
    refinable: bool
    channels: tuple[Channel, ...]
    expected: tuple[int | None, ...]
    """Values of each channel in every sample, where that number cannot change."""
    wholes: Mapping[int, int]
    """What the marks of an index space add up to in every sample, where that cannot change."""
    quantities: tuple[Quantity, ...]
    even: bool
    scale: int
    masked: bool
    """Whether stencils mind masks."""
    single: frozenset[int]
    """The levels that are single boxes: their masks tell of all cells without ghost layers."""
    layout: Layout
    schema: SeriesSchema
    decomposition: Decomposition

    @cached_property
    def places(self) -> int:
        """What the boxes' marks add up to for as long as none is moved."""
        return places_mark(self.decomposition)

    def channel_sum(self, request: SumRequest) -> int | None:
        """The channel whose own exact sum answers `request`, if one does."""
        return channel_sum(request, self.channels, self.even, self.refinable)

    def terms(self, request: SumRequest) -> tuple[Tree, ...]:
        """The trees whose exact sums add up to the answer: two for integers of 64 bits."""
        if request.tree[0] == "field" and any(
            channel.field == request.tree[1] and channel.kind in WIDE
            for channel in self.channels
            if (channel.space == PARTICLES) == request.particles
        ):
            return halves(request.tree)
        return (request.tree,)


def agree(declarations: Declarations, offers: Sequence[Offer]) -> Agreement:
    """Check what all ranks offer, and plan the samples.

    Raises
    ------
    SetupError
        The same on every rank.
    """
    for offer in offers:
        if offer.error is not None:
            raise _from_rank(offer.error, offer.rank, len(offers))
    check_unison([offer.asked for offer in offers], [offer.settings for offer in offers])
    declarations = declarations.in_order(offers[0].asked)
    parts = [(offer.rank, part) for offer in offers for part in offer.parts]
    shapes = global_shapes(parts)
    for level, shape in shapes.items():
        here = [(rank, p) for rank, p in parts if p.level == level]
        if any(p.mark is not None for _, p in here):
            _check_cells(shape[0], [p for _, p in here])
        elif not any(p.masked for _, p in here):
            boxes = [(rank, p.start, p.shape) for rank, p in here]
            check_coverage(shape, boxes, complete=level == 0)
    check_widths(parts)
    by_id = any(p.mark is not None for _, p in parts)
    fields = _fields(offers)
    particles, total = _particles(offers)
    refinable = any(offer.several for offer in offers) and not by_id
    filled = [(rank, part) for rank, part in parts if prod(part.shape)] or parts
    # A level may yet come whose cells are smaller.
    even = not refinable and of_one_volume(filled)
    # Where boxes may be refined, what lies below is masked.
    masked = refinable or any(p.masked for _, p in parts)
    channels = _channels(shapes, fields, particles, total)
    context = Context(
        fields=frozenset(fields),
        derived=declarations.derived,
        axes=0 if by_id or not shapes else len(next(iter(shapes.values()))),
        even=even_axes(filled),
        beside=tuple(all(known) for known in zip(*(p.beside for _, p in filled), strict=True)),
        spaced=all(p.spaced for _, p in parts),
        masked=masked,
        masks_ghosts=masks_ghosts([p for _, p in parts]),
        ghosts=ghost_layers(parts),
        particles=tuple(particles),
        shapes=shapes,
    )
    quantities = (*declarations.plan(context), *particle_quantities(context))
    layout = Layout.of(
        channels, quantities, lambda request: channel_sum(request, channels, even, refinable)
    )
    return Agreement(
        ranks=len(offers),
        by_id=by_id,
        refinable=refinable,
        channels=channels,
        expected=tuple(_expected(channel, offers) for channel in channels),
        wholes=_wholes(channels, offers),
        quantities=quantities,
        even=even,
        scale=MARGIN + max([0, *(frexp(p.measured.largest)[1] for _, p in parts)]),
        masked=masked,
        single=single_boxes([p for _, p in parts]),
        layout=layout,
        schema=_schema(
            channels, [with_measure(q, [p for _, p in parts]) for q in quantities], _devices(offers)
        ),
        decomposition=Decomposition(
            global_shape=shapes.get(0, ()),
            patches=tuple(
                tuple(
                    Patch(start=p.start, shape=p.shape, level=p.level)
                    for p in offer.parts
                    if p.mark is None
                )
                for offer in offers
            ),
        ),
    )


def channel_sum(
    request: SumRequest, channels: Sequence[Channel], even: bool, refinable: bool
) -> int | None:
    """The channel whose own exact sum answers `request`, if one does."""
    if refinable and not request.particles:
        return None
    if request.tree[0] != "field" or (request.weight == "volume" and not even):
        return None
    found = [
        i
        for i, channel in enumerate(channels)
        if channel.field == request.tree[1] and (channel.space == PARTICLES) == request.particles
    ]
    alone = len(found) == 1 and channels[found[0]].kind not in WIDE
    return found[0] if alone else None


def _from_rank(error: SetupError, rank: int, ranks: int) -> SetupError:
    if ranks == 1:
        return error
    return SetupError(
        error.argument,
        error.value,
        f"{error.problem} (on rank {rank})",
        choices=error.choices,
        mend=error.mend,
    )


def _fields(offers: Sequence[Offer]) -> dict[str, str]:
    """Names and types; a rank without any box has nothing to say about them."""
    speaking = [offer for offer in offers if offer.parts]
    if not speaking:
        return {}
    first = speaking[0]
    for offer in speaking[1:]:
        if offer.fields.keys() != first.fields.keys():
            odd = sorted(offer.fields.keys() ^ first.fields.keys())
            raise SetupError(
                "fields",
                sorted(offer.fields),
                f"on rank {offer.rank} differs from rank {first.rank} in {', '.join(odd)}",
                mend="Give the same fields on every rank.",
            )
        for name, kind in offer.fields.items():
            if kind != first.fields[name]:
                raise SetupError(
                    f"fields[{name!r}].dtype",
                    kind,
                    f"on rank {offer.rank} is not that of rank {first.rank}, {first.fields[name]}",
                )
    return dict(first.fields)


def _check_cells(total: int, parts: Sequence[PartOffer]) -> None:
    if any(p.mark is None for p in parts):
        raise SetupError("grid", "Cells and Grid", "cannot be mixed on one level")
    held = sum(p.shape[0] for p in parts)
    told = sum(p.mark or 0 for p in parts) % 2**64
    if held != total or (total <= LARGEST and told != expected(total)):
        raise SetupError(
            "Cells.ids",
            f"{held} ids on all ranks",
            f"are not 0 ... {total - 1}, each once",
            mend="Leave out halo cells, which belong to another rank; check Cells.total.",
        )


def _particles(offers: Sequence[Offer]) -> tuple[dict[str, str], int]:
    holding = [(offer.rank, offer.particles) for offer in offers if offer.particles is not None]
    if not holding:
        return {}, 0
    rank, first = holding[0]
    for other, particles in holding[1:]:
        if particles.kinds != first.kinds:
            raise SetupError(
                "Particles",
                dict(particles.kinds),
                f"on rank {other} has not the quantities and types of rank {rank}, "
                f"{dict(first.kinds)}",
            )
        if particles.total != first.total:
            raise SetupError(
                "Particles.total",
                particles.total,
                f"on rank {other} is not what rank {rank} says, {first.total}",
            )
    count = sum(p.count for _, p in holding)
    total = count if first.total is None else first.total
    for holder, particles in holding:
        if particles.least < 0 or particles.largest >= total:
            bad = particles.least if particles.least < 0 else particles.largest
            raise SetupError(
                "Particles.ids",
                bad,
                f"on rank {holder} is not one of 0 ... {total - 1}",
                mend="Number the particles of all ranks from 0; give `total` if some are gone.",
            )
    mark = sum(p.mark for _, p in holding) % 2**64
    if count > total or (count == total <= LARGEST and mark != expected(total)):
        raise SetupError(
            "Particles.ids",
            f"{count} ids on {len(holding)} ranks",
            f"are not 0 ... {total - 1}, each on one rank only",
            mend="Leave out ghost particles, which belong to another rank.",
        )
    return dict(first.kinds), total


def _channels(
    shapes: dict[int, tuple[int, ...]],
    fields: dict[str, str],
    particles: dict[str, str],
    total: int,
) -> tuple[Channel, ...]:
    channels = [
        Channel(name, level, kind, shape, tile_edges(shape))
        for level, shape in shapes.items()
        for name, kind in fields.items()
    ]
    if particles:
        ids = (max(total, 1),)
        channels += [
            Channel(name, PARTICLES, kind, ids, tile_edges(ids))
            for name, kind in particles.items()
            if name != "mass"
        ]
    return tuple(channels)


def _expected(channel: Channel, offers: Sequence[Offer]) -> int | None:
    """Cells may be masked, boxes of a refined level come and go, and particles leave."""
    if channel.space == PARTICLES:
        holding = [offer.particles for offer in offers if offer.particles is not None]
        return None if holding[0].total is not None else sum(p.count for p in holding)
    parts = [part for offer in offers for part in offer.parts if part.level == channel.space]
    if channel.space > 0 or any(part.masked for part in parts):
        return None
    return prod(channel.global_shape)


def _wholes(channels: Sequence[Channel], offers: Sequence[Offer]) -> dict[int, int]:
    """Of the index spaces whose cells are all held in every sample, the marks of them all."""
    wholes = {}
    for channel in channels:
        if channel.space in wholes or _expected(channel, offers) is None:
            continue
        if channel.space == PARTICLES:
            marks = [offer.particles.mark for offer in offers if offer.particles is not None]
        else:
            parts = [part for offer in offers for part in offer.parts]
            marks = [part.mark for part in parts if part.mark is not None]
        shape = channel.global_shape
        whole = sum(marks) if marks else box_mark((0,) * len(shape), shape)
        wholes[channel.space] = whole % 2**64
    return wholes


def _devices(offers: Sequence[Offer]) -> dict[str, str]:
    """How fields that do not lie in host memory are measured, as any rank has it."""
    told: dict[str, set[str]] = {}
    for offer in offers:
        for name, statement in offer.devices.items():
            told.setdefault(name, set()).add(statement)
    return {name: "; ".join(sorted(statements)) for name, statements in told.items()}


def _schema(
    channels: Sequence[Channel], quantities: Sequence[Quantity], devices: Mapping[str, str]
) -> SeriesSchema:
    columns = [column for quantity in quantities for column in quantity.columns]
    columns.append(Column(name="dt", kind="scalar", exact=True, note="width of the step"))
    for channel in channels:
        told = devices.get(channel.field, "") if channel.space != PARTICLES else ""
        columns += [
            structs.replace(column, note="; ".join(filter(None, (column.note, told))))
            for column in channel.columns()
        ]
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise SetupError("Declarations", column.name, "is the name of two columns")
        seen.add(column.name)
    made = {column.name for quantity in quantities if quantity.reads for column in quantity.columns}
    for quantity in quantities:
        for name in quantity.reads:
            if name not in seen or name in made:
                raise SetupError(
                    f"stability[{quantity.name!r}]",
                    name,
                    "is not a column that can be looked back on",
                    choices=sorted(seen - made),
                )
    return SeriesSchema(
        columns=tuple(columns), tiles=tuple(channel.field_tiles() for channel in channels)
    )


# What all ranks agree on at the first sample, and whether all were asked for the same.
