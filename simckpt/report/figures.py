"""Figures of runs with matplotlib: series, the difference of two runs, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compare.curves import Curves, Line, RunLines, TileMap
from ..errors import SetupError
from .text import clean, whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..compare.run_view import Floats

FORMATS = ("png", "svg", "pdf")
MOST_DRAWN = 3
"""Quantities in a figure, unless more are asked for."""
MOST_RUNS = 10
COLOURS = ("#1f6feb", "#b35900")
"""Of run A and run B, as in the page for a browser."""
BAD = "#c62828"
CELL = "#e3e8ed"
FIRST_KINDS = ("conserved", "stability", "norm", "residual", "maximum", "minimum")
"""What of one run is drawn first."""


def pair_figure(
    curves: Curves, paths: tuple[str, str], names: Sequence[str] = (), against: str = "step"
) -> Figure:
    """Two runs: each quantity with its difference on a log scale, and the tiles that differ.

    Raises
    ------
    SetupError
        If a name is of no quantity that both runs have.
    """
    quantities = {q.name: q for q in curves.quantities}
    chosen = _chosen_names(names, list(quantities))
    maps = [m for m in curves.maps if any(f.differing for f in m.frames)][:1]
    rows = 2 * len(chosen)
    figure = _figure(9.0, 2.0 * rows + 3.2 * len(maps) + 0.6)
    figure.suptitle(f"A  {_name(paths[0])}    B  {_name(paths[1])}", fontsize=10)
    heights = [2.2, 1.6] * len(chosen) + [3.2] * len(maps)
    axes = figure.subplots(rows + len(maps), 1, squeeze=False, height_ratios=heights)[:, 0]
    for i, name in enumerate(chosen):
        quantity = quantities[name]
        values, difference = axes[2 * i], axes[2 * i + 1]
        for line, letter, colour, style in zip(
            (quantity.a, quantity.b), "AB", COLOURS, ("-", "--"), strict=True
        ):
            values.plot(_x(line, against), line.y, style, color=colour, lw=1.4, label=letter)
        values.set_ylabel(_label(name, 24))
        values.legend(loc="best", fontsize=8, frameon=False, ncols=2)
        y = np.array(quantity.difference.y)
        difference.semilogy(
            _x(quantity.difference, against),
            np.where(y > 0, y, np.nan),
            color=BAD,
            lw=1.2,
            marker=".",
            ms=2.5,
        )
        if not (y > 0).any():
            difference.set_yticks([])
            difference.text(
                0.5, 0.5, _unseen(y), transform=difference.transAxes, ha="center", va="center"
            )
        difference.set_ylabel("difference\n(relative)")
        onset = curves.t if against == "t" else curves.step
        difference.sharex(values)
        for axis in (values, difference):
            _plain(axis)
            if onset is not None:
                axis.axvline(onset, color=BAD, lw=0.9, ls=":")
        difference.set_xlabel(against)
    for axis, tile_map in zip(axes[rows:], maps, strict=True):
        _draw_map(axis, tile_map)
    return figure


def _unseen(difference: Floats) -> str:
    """What to write where no difference is above zero: NaN is not zero."""
    missing = int(np.count_nonzero(~np.isfinite(difference)))
    if not len(difference):
        return "no sample in common"
    return (
        f"not finite in A or B at {missing} of {len(difference)} points" if missing else "the same"
    )


def runs_figure(
    runs: Sequence[RunLines], names: Sequence[str] = (), against: str = "step"
) -> Figure:
    """The quantities of one run, or of several in the same axes; raises as `pair_figure` does."""
    kinds = {name: kind for run in reversed(runs) for name, kind in run.kinds.items()}
    order = {kind: i for i, kind in enumerate(FIRST_KINDS)}
    chosen = _chosen_names(names, sorted(kinds, key=lambda n: order.get(kinds[n], len(order))))
    figure = _figure(9.0, 2.2 * len(chosen) + 0.8)
    figure.suptitle(_name(runs[0].path) if len(runs) == 1 else f"{len(runs)} runs", fontsize=10)
    axes = figure.subplots(max(1, len(chosen)), 1, squeeze=False, sharex=True)[:, 0]
    for axis, name in zip(axes, chosen, strict=False):
        for run in runs[:MOST_RUNS]:
            line = run.lines.get(name)
            if line is not None:
                axis.plot(_x(line, against), line.y, lw=1.3, label=_name(run.path))
        axis.set_ylabel(_label(name, 24))
        _plain(axis)
    axes[-1].set_xlabel(against)
    if len(runs) > 1:
        axes[0].legend(loc="best", fontsize=8, frameon=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; what its file is called says in which format."""
    from matplotlib import rc_context

    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise SetupError("--output", str(path), "ends in no format", choices=FORMATS)
    # Without a date or random names, the same runs give the same bytes.
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with whole_file(path, "--output") as part, rc_context({"svg.hashsalt": "simckpt"}):
        figure.savefig(part, format=kind, dpi=130, metadata=dates[kind])


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError as error:
        raise SetupError(
            "plot", "matplotlib", "is not installed", mend="pip install 'simckpt[report]'."
        ) from error
    figure: Figure = NewFigure(figsize=(width, height), layout="constrained")
    return figure


def _chosen_names(names: Sequence[str], available: Sequence[str]) -> list[str]:
    for name in names:
        if name not in available:
            raise SetupError("--quantity", name, "is recorded in no run", choices=available[:40])
    return list(dict.fromkeys(names)) or list(available[:MOST_DRAWN])


def _x(line: Line, against: str) -> tuple[int, ...] | tuple[float, ...]:
    return line.t if against == "t" and line.t else line.step


def _name(path: str) -> str:
    return _label(PurePath(path).name.removesuffix(".simckpt.h5"), 60)


def _label(text: str, longest: int) -> str:
    """Text of a bundle, of which matplotlib makes no formula."""
    return clean(text, longest).replace("$", r"\$")


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(visible=True, axis="y", color=CELL, lw=0.8)
    axis.tick_params(labelsize=8)
    axis.set_axisbelow(True)


def _draw_map(axis: Axes, tile_map: TileMap) -> None:
    """The tiles of the first moment that differs, and of the last beside it."""
    first = next(f for f in tile_map.frames if f.differing)
    last = tile_map.frames[-1]
    rows, columns = len(tile_map.rows) - 1, len(tile_map.columns) - 1
    gap = np.full((rows, max(1, columns // 8)), np.nan)
    cells: list[Any] = [
        np.array([float(c) for c in f.cells]).reshape(rows, columns) for f in (first, last)
    ]
    from matplotlib.colors import ListedColormap

    picture = np.concatenate([cells[0], gap, cells[1]], axis=1)
    axis.imshow(picture, cmap=ListedColormap([CELL, BAD]), vmin=0, vmax=1, interpolation="nearest")
    axis.set_axis_off()
    captions = [f"step {f.step}: {f.differing} of {tile_map.of}" for f in (first, last)]
    axis.set_title(
        f"tiles of {_label(tile_map.field, 24)} that differ, {captions[0]}; {captions[1]}",
        fontsize=9,
    )
