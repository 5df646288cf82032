"""What is measured, planned from all ranks' specs at the first sample: the same on every rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import frexp, fsum, inf, prod

from msgspec import UNSET, structs

from ..errors import SetupError
from ..model.series import Column, Decomposition, Patch, SeriesSchema
from .coverage import (
    LARGEST,
    box_checksum,
    check_coverage,
    decomposition_checksum,
    expected_checksum,
)
from .declarations import Declarations
from .exact import WIDE, halves
from .expressions import Tree
from .local_spec import (
    LocalBox,
    LocalParticles,
    LocalSpec,
    check_same_on_all_ranks,
    check_widths,
    same_width,
)
from .message import MessageLayout
from .quantities.base import PARTICLES, Channel, Context, Quantity, SumRequest
from .quantities.integrals import particle_quantities
from .tiles import tile_edges

MEASURE_DIGITS = 12
"""Digits of the integral of one that do not depend on how the cells are cut into boxes."""

MARGIN = 64
"""Binades by which volumes may grow before a product with the largest float64 overflows."""

RankedBoxes = Sequence[tuple[int, LocalBox]]
"""Boxes of all ranks, each with its rank."""


@dataclass(frozen=True)
class GlobalPlan:
    """What all ranks measure.

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
    checksums: Mapping[int, int]
    """The coverage checksum of an index space in every sample, where that cannot change."""
    quantities: tuple[Quantity, ...]
    even: bool
    scale: int
    masked: bool
    """Whether stencils mind masks."""
    single: frozenset[int]
    """The levels that are single boxes: their masks tell of all cells without ghost layers."""
    layout: MessageLayout
    schema: SeriesSchema
    decomposition: Decomposition

    @cached_property
    def places(self) -> int:
        """The checksum of where the boxes lie for as long as none is moved."""
        return decomposition_checksum(self.decomposition)

    def channel_sum(self, request: SumRequest) -> int | None:
        """The channel whose own exact sum answers `request`, if one does."""
        return _channel_sum(request, self.channels, self.even, self.refinable)

    def terms(self, request: SumRequest) -> tuple[Tree, ...]:
        """The trees whose exact sums add up to the answer: two for integers of 64 bits."""
        if request.tree[0] == "field" and any(
            channel.field == request.tree[1] and channel.kind in WIDE
            for channel in self.channels
            if (channel.space == PARTICLES) == request.particles
        ):
            return halves(request.tree)
        return (request.tree,)


def global_plan(declarations: Declarations, specs: Sequence[LocalSpec]) -> GlobalPlan:
    """Check the specs of all ranks, and plan the samples.

    Raises
    ------
    SetupError
        The same on every rank.
    """
    _raise_errors(specs)
    check_same_on_all_ranks([s.declared for s in specs], [s.settings for s in specs])
    declarations = declarations.in_order(specs[0].declared)
    boxes = [(spec.rank, box) for spec in specs for box in spec.parts]
    shapes = _global_shapes(boxes)
    _check_boxes(shapes, boxes)
    fields = _fields(specs)
    particles = [(s.rank, s.particles) for s in specs if s.particles is not None]
    kinds, total = _particles(particles)
    channels = _channels(shapes, fields, kinds, total)

    by_id = any(box.checksum is not None for _, box in boxes)
    refinable = any(spec.several for spec in specs) and not by_id
    # Where boxes may be refined, cells below finer ones are masked.
    masked = refinable or any(box.masked for _, box in boxes)
    # A level may appear later whose cells are smaller.
    volumes = {box.volume for box in _with_cells(boxes)}
    even = not refinable and len(volumes) == 1 and None not in volumes
    context = _context(declarations, shapes, boxes, kinds, fields, masked=masked, by_id=by_id)
    quantities = (*declarations.plan(context), *particle_quantities(context))
    layout = MessageLayout.of(
        channels, quantities, lambda request: _channel_sum(request, channels, even, refinable)
    )
    counts = [_count(channel, boxes, particles) for channel in channels]
    return GlobalPlan(
        ranks=len(specs),
        by_id=by_id,
        refinable=refinable,
        channels=channels,
        expected=tuple(counts),
        checksums=_checksums(channels, counts, boxes, particles),
        quantities=quantities,
        even=even,
        scale=MARGIN + max([0, *(frexp(box.measured.largest)[1] for _, box in boxes)]),
        masked=masked,
        single=_single_boxes(boxes),
        layout=layout,
        schema=_schema(channels, quantities, boxes, specs),
        decomposition=Decomposition(
            global_shape=shapes.get(0, ()),
            patches=tuple(
                tuple(
                    Patch(start=box.start, shape=box.shape, level=box.level)
                    for box in spec.parts
                    if box.checksum is None
                )
                for spec in specs
            ),
        ),
    )


def _raise_errors(specs: Sequence[LocalSpec]) -> None:
    for spec in specs:
        if (error := spec.error) is not None:
            raise (
                error
                if len(specs) == 1
                else SetupError(
                    error.argument,
                    error.value,
                    f"{error.problem} (on rank {spec.rank})",
                    choices=error.choices,
                    mend=error.mend,
                )
            )


# The boxes and cells of all ranks.


def _global_shapes(boxes: RankedBoxes) -> dict[int, tuple[int, ...]]:
    """The shape of each level's index space, on which the ranks must agree."""
    first: dict[int, tuple[int, tuple[int, ...]]] = {}
    for rank, box in boxes:
        other, shape = first.setdefault(box.level, (rank, box.global_shape))
        if box.global_shape != shape:
            raise SetupError(
                "Grid.global_shape",
                box.global_shape,
                f"on rank {rank} is not what rank {other} says, {shape}",
                mend="Give the shape of the whole grid, the same on every rank.",
            )
    shapes = {level: shape for level, (_, shape) in sorted(first.items())}
    if len({len(shape) for shape in shapes.values()}) > 1:
        raise SetupError("Grid.global_shape", shapes, "has levels with different numbers of axes")
    return shapes


def _check_boxes(shapes: Mapping[int, tuple[int, ...]], boxes: RankedBoxes) -> None:
    """Raise where cells of a level are missing or held twice, or widths differ."""
    for level, shape in shapes.items():
        here = [(rank, box) for rank, box in boxes if box.level == level]
        if any(box.checksum is not None for _, box in here):
            _check_cells(shape[0], [box for _, box in here])
        elif not any(box.masked for _, box in here):
            extents = [(rank, box.start, box.shape) for rank, box in here]
            check_coverage(shape, extents, complete=level == 0)
    check_widths(boxes)


def _check_cells(total: int, cells: Sequence[LocalBox]) -> None:
    if any(c.checksum is None for c in cells):
        raise SetupError("grid", "Cells and Grid", "cannot be mixed on one level")
    count = sum(c.shape[0] for c in cells)
    checksum = sum(c.checksum or 0 for c in cells) % 2**64
    if count != total or (total <= LARGEST and checksum != expected_checksum(total)):
        raise SetupError(
            "Cells.ids",
            f"{count} ids on all ranks",
            f"are not 0 ... {total - 1}, each once",
            mend="Leave out halo cells, which belong to another rank; check Cells.total.",
        )


def _with_cells(boxes: RankedBoxes) -> list[LocalBox]:
    """The boxes that are not empty; all of them if every one is."""
    return [box for _, box in boxes if prod(box.shape)] or [box for _, box in boxes]


def _single_boxes(boxes: RankedBoxes) -> frozenset[int]:
    """The levels that are one box."""
    counts = Counter(box.level for _, box in boxes if prod(box.shape))
    return frozenset(level for level, count in counts.items() if count == 1)


def _even_axes(boxes: Sequence[LocalBox]) -> tuple[bool, ...]:
    """Whether the cells of each level are of one width, along each axis."""
    first: dict[int, LocalBox] = {}
    even = [True] * len(boxes[0].widths) if boxes else []
    for box in boxes:
        other = first.setdefault(box.level, box)
        for axis, (expected, width) in enumerate(zip(other.widths, box.widths, strict=True)):
            if expected is None or width is None or not same_width(expected, width):
                even[axis] = False
    return tuple(even)


def _context(
    declarations: Declarations,
    shapes: Mapping[int, tuple[int, ...]],
    boxes: RankedBoxes,
    particles: Mapping[str, str],
    fields: Mapping[str, str],
    *,
    masked: bool,
    by_id: bool,
) -> Context:
    filled, single = _with_cells(boxes), _single_boxes(boxes)
    layers = ([min(pair) for pair in box.ghost] for _, box in boxes)
    return Context(
        fields=frozenset(fields),
        derived=declarations.derived,
        axes=0 if by_id or not shapes else len(next(iter(shapes.values()))),
        even=_even_axes(filled),
        neighbour_widths=tuple(
            map(all, zip(*(box.neighbour_widths for box in filled), strict=True))
        ),
        spaced=all(box.spaced for _, box in boxes),
        masked=masked,
        # A single box has no ghost cells of another one.
        masks_ghosts=all(b.masks_ghosts or b.level in single for _, b in boxes if prod(b.shape)),
        ghosts=tuple(map(min, zip(*layers, strict=True))),
        particles=tuple(particles),
        shapes=shapes,
    )


# Fields and particles of all ranks.


def _fields(specs: Sequence[LocalSpec]) -> dict[str, str]:
    """Names and types; a rank without any box has nothing to say about them."""
    specs = [spec for spec in specs if spec.parts]
    if not specs:
        return {}
    first = specs[0]
    for spec in specs[1:]:
        if spec.fields.keys() != first.fields.keys():
            odd = sorted(spec.fields.keys() ^ first.fields.keys())
            raise SetupError(
                "fields",
                sorted(spec.fields),
                f"on rank {spec.rank} differs from rank {first.rank} in {', '.join(odd)}",
                mend="Give the same fields on every rank.",
            )
        for name, kind in spec.fields.items():
            if kind != first.fields[name]:
                raise SetupError(
                    f"fields[{name!r}].dtype",
                    kind,
                    f"on rank {spec.rank} is not that of rank {first.rank}, {first.fields[name]}",
                )
    return dict(first.fields)


def _particles(ranked: Sequence[tuple[int, LocalParticles]]) -> tuple[dict[str, str], int]:
    """Types of the particles' quantities, and the number of their ids."""
    if not ranked:
        return {}, 0
    rank, first = ranked[0]
    for other, particles in ranked[1:]:
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
    count = sum(p.count for _, p in ranked)
    total = count if first.total is None else first.total
    for rank, particles in ranked:
        if particles.least < 0 or particles.largest >= total:
            bad = particles.least if particles.least < 0 else particles.largest
            raise SetupError(
                "Particles.ids",
                bad,
                f"on rank {rank} is not one of 0 ... {total - 1}",
                mend="Number the particles of all ranks from 0; give `total` if some are gone.",
            )
    checksum = sum(p.checksum for _, p in ranked) % 2**64
    if count > total or (count == total <= LARGEST and checksum != expected_checksum(total)):
        raise SetupError(
            "Particles.ids",
            f"{count} ids on {len(ranked)} ranks",
            f"are not 0 ... {total - 1}, each on one rank only",
            mend="Leave out ghost particles, which belong to another rank.",
        )
    return dict(first.kinds), total


# Channels, and what is expected of them in every sample.


def _channels(
    shapes: Mapping[int, tuple[int, ...]],
    fields: Mapping[str, str],
    particles: Mapping[str, str],
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


def _channel_sum(
    request: SumRequest, channels: Sequence[Channel], even: bool, refinable: bool
) -> int | None:
    """The channel whose own exact sum answers `request`, if one does."""
    if refinable and not request.particles:
        return None
    if request.tree[0] != "field" or (request.weight == "volume" and not even):
        return None
    numbers = [
        number
        for number, channel in enumerate(channels)
        if channel.field == request.tree[1] and (channel.space == PARTICLES) == request.particles
    ]
    single = len(numbers) == 1 and channels[numbers[0]].kind not in WIDE
    return numbers[0] if single else None


def _count(
    channel: Channel, boxes: RankedBoxes, particles: Sequence[tuple[int, LocalParticles]]
) -> int | None:
    """Values of the channel; None where cells are masked, boxes refined, or particles leave."""
    if channel.space == PARTICLES:
        return None if particles[0][1].total is not None else sum(p.count for _, p in particles)
    if channel.space > 0 or any(box.masked for _, box in boxes if box.level == channel.space):
        return None
    return prod(channel.global_shape)


def _checksums(
    channels: Sequence[Channel],
    counts: Sequence[int | None],
    boxes: RankedBoxes,
    particles: Sequence[tuple[int, LocalParticles]],
) -> dict[int, int]:
    """The coverage checksums of the index spaces whose cells are all held in every sample."""
    checksums = {}
    for channel, count in zip(channels, counts, strict=True):
        if count is None:
            continue
        if channel.space == PARTICLES:
            parts = [p.checksum for _, p in particles]
        else:
            parts = [box.checksum for _, box in boxes if box.checksum is not None]
        shape = channel.global_shape
        checksum = sum(parts) if parts else box_checksum((0,) * len(shape), shape)
        checksums[channel.space] = checksum % 2**64
    return checksums


# The columns of a sample.


def _schema(
    channels: Sequence[Channel],
    quantities: Sequence[Quantity],
    boxes: RankedBoxes,
    specs: Sequence[LocalSpec],
) -> SeriesSchema:
    columns = [
        column for quantity in quantities for column in _with_measure(quantity, boxes).columns
    ]
    columns.append(Column(name="dt", kind="scalar", exact=True, note="width of the step"))
    for channel in channels:
        # How fields that do not lie in host memory are measured, as any rank has it.
        devices = {spec.devices.get(channel.field, "") for spec in specs} - {""}
        if channel.space == PARTICLES:
            devices = set()
        columns += [
            structs.replace(column, note="; ".join(filter(None, (column.note, *sorted(devices)))))
            for column in channel.columns()
        ]
    counts = Counter(column.name for column in columns)
    for name, count in counts.items():
        if count > 1:
            raise SetupError("Declarations", name, "is the name of two columns")
    readable = counts.keys() - {c.name for q in quantities if q.reads for c in q.columns}
    for quantity in quantities:
        for name in quantity.reads:
            if name not in readable:
                raise SetupError(
                    f"stability[{quantity.name!r}]",
                    name,
                    "is not a column that can be looked back on",
                    choices=sorted(readable),
                )
    return SeriesSchema(
        columns=tuple(columns), tiles=tuple(channel.field_tiles() for channel in channels)
    )


def _with_measure(quantity: Quantity, boxes: RankedBoxes) -> Quantity:
    """The quantity; the column of an integral over the cells says what the integral of one is.

    Without it nothing says how large an integral could have been.
    """
    if [request.particles for request in quantity.sums] != [False]:
        return quantity
    volume = quantity.sums[0].weight == "volume"
    each = (b.measured.volume if volume else float(b.measured.cells) for _, b in boxes)
    total = float(f"{fsum(each):.{MEASURE_DIGITS - 1}e}")
    measure = total if 0 < total < inf else UNSET
    columns = (
        structs.replace(c, measure=measure) if c.kind in ("budget", "conserved") else c
        for c in quantity.columns
    )
    return replace(quantity, columns=tuple(columns))
