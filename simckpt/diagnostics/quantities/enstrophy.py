"""The enstrophy of a flow: half the integral of its squared vorticity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from ...errors import SetupError
from ...model.series import Column
from ..expressions import Tree, parse
from .base import Context, Quantity, SumRequest, first_sum, join
from .stencils import check_components, derivative, where_neighbours_count


@dataclass(frozen=True, init=False)
class Enstrophy:
    """Half the integral of the squared vorticity: ``1/2 sum(|curl u|^2 V)`` over all cells.

    In the plane the vorticity is ``du_1/dx_0 - du_0/dx_1``, in space it has three components of
    that form (Frisch, Turbulence: The Legacy of A. N. Kolmogorov, 1995, section 2.3, where it is a
    mean over the volume). Derivatives are of second order, as `Divergence` takes them: central
    differences on cells of one width, otherwise differences of the values interpolated linearly at
    the faces. Each term is evaluated in float64; their sum is exact, rounded once. Where a mask
    leaves out a neighbour of a cell, the cell is left out.

    Parameters
    ----------
    *components : str
        The velocity along each of two or three axes, as expressions: ``Enstrophy("mx/rho",
        "my/rho")``. The fields need a ghost layer on both sides.

    Examples
    --------
    >>> Enstrophy("u", "v").text()
    'enstrophy of (u, v)'
    """

    group: ClassVar[str] = "stability"

    components: tuple[str, ...]

    def __init__(self, *components: str) -> None:
        for axis, component in enumerate(components):
            parse(component, f"Enstrophy component {axis}")
        if len(components) not in (2, 3):
            problem = "is not a velocity in the plane or in space"
            raise SetupError("Enstrophy", components, problem, mend="Write Enstrophy('u', 'v').")
        object.__setattr__(self, "components", components)

    def text(self) -> str:
        return f"enstrophy of ({', '.join(self.components)})"

    def plan(self, name: str, context: Context) -> Quantity:
        argument = f"stability[{name!r}]"
        context.require_grid(argument, self)
        check_components(argument, self.components, context)
        squares: list[Tree] = []
        for a, b in combinations(range(context.axes), 2):
            rise = derivative(argument, self.components[b], a, context)
            fall = derivative(argument, self.components[a], b, context)
            squares.append(("square", ("subtract", rise, fall)))
        density: Tree = ("multiply", ("number", 0.5), join("add", squares))
        column = Column(
            name=name, kind="stability", of=", ".join(self.components), note=self.text()
        )
        request = SumRequest(where_neighbours_count(context, density))
        return Quantity(name, (column,), first_sum, sums=(request,))
