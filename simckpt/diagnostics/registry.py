"""The diagnostics that users declare: a file of `quantities` and one row here for each.

The name of a row is public, `simckpt.Norm`, and typed; `group`, an attribute of the class, is the
argument of `simckpt.step` that takes it. docs/diagnostics.md has a row for each of them too.
"""

from .quantities.enstrophy import Enstrophy as Enstrophy
from .quantities.integrals import AngularMomentum as AngularMomentum
from .quantities.integrals import Budget as Budget
from .quantities.integrals import Conserved as Conserved
from .quantities.norms import Norm as Norm
from .quantities.reported import Custom as Custom
from .quantities.stability import CFL as CFL
from .quantities.stability import Diffusion as Diffusion
from .quantities.stability import Frequency as Frequency
from .quantities.stability import Growth as Growth
from .quantities.stencils import Divergence as Divergence
from .quantities.stencils import TotalVariation as TotalVariation
