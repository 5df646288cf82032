"""Kelvin-Helmholtz instability of an ideal gas in two dimensions, on any number of ranks.

    python kelvin_helmholtz.py --n 256 --t-end 2 --output kh.nc
    mpiexec -n 4 python -m mpi4py kelvin_helmholtz.py --n 256 --t-end 2
    sbatch --ntasks=64 chain.sbatch python kelvin_helmholtz.py --n 4096 --restart kh.npz

The Euler equations by finite volumes on a periodic unit square: MUSCL reconstruction of the
primitive variables, the HLLC Riemann solver (Toro, Spruce & Speares 1994, Shock Waves 4:25) and
the three-stage SSP Runge-Kutta method of Shu & Osher (1988, J. Comput. Phys. 77:439). The
initial condition is the smooth one of McNally, Lyra & Passy (2012, ApJS 201:18).

The answer has the same bits on any number of ranks: every face flux is one expression of the four
cells around it, and the time step comes from a maximum, which no order of ranks can change. With
--restart the state is saved now and then, and when the job is told to stop; the next run goes on
from it, with the same bits again.
"""

import argparse
from pathlib import Path

import numpy as np
from numba import njit

import simckpt

try:
    from mpi4py import MPI
except (ImportError, RuntimeError):  # without mpi4py, or without an MPI library: one rank
    MPI = None

GAMMA = 5 / 3
GHOST = 2
LIMITERS = {"minmod": 1.0, "mc": 2.0}  # steepness theta of the generalised minmod limiter


@njit(cache=True)
def limited_slope(left, centre, right, theta):
    """Return a slope of van Leer (1979, J. Comput. Phys. 32:101): minmod at theta 1, MC at 2."""
    a, b = centre - left, right - centre
    if a * b <= 0:
        return 0.0
    steepest = min(theta * abs(a), 0.5 * abs(a + b), theta * abs(b))
    return steepest if a > 0 else -steepest


@njit(cache=True)
def hllc(left, right, normal, tangential):
    """Return the fluxes of mass, normal momentum, tangential momentum and energy."""
    rho_l, u_l, v_l, p_l = left[0], left[normal], left[tangential], left[3]
    rho_r, u_r, v_r, p_r = right[0], right[normal], right[tangential], right[3]
    c_l, c_r = np.sqrt(GAMMA * p_l / rho_l), np.sqrt(GAMMA * p_r / rho_r)
    s_l, s_r = min(u_l - c_l, u_r - c_r), max(u_l + c_l, u_r + c_r)
    q_l, q_r = rho_l * (s_l - u_l), rho_r * (s_r - u_r)
    s_m = (p_r - p_l + q_l * u_l - q_r * u_r) / (q_l - q_r)  # speed of the contact

    if s_m >= 0:
        rho, u, v, p, s, q = rho_l, u_l, v_l, p_l, s_l, q_l
    else:
        rho, u, v, p, s, q = rho_r, u_r, v_r, p_r, s_r, q_r
    energy = p / (GAMMA - 1) + 0.5 * rho * (u * u + v * v)
    f_rho, f_u, f_v, f_energy = rho * u, rho * u * u + p, rho * u * v, u * (energy + p)
    if s_l < 0 < s_r:  # inside the fan: from the outer state to the star state
        rho_m = q / (s - s_m)
        energy_m = rho_m * (energy / rho + (s_m - u) * (s_m + p / q))
        f_rho += s * (rho_m - rho)
        f_u += s * (rho_m * s_m - rho * u)
        f_v += s * (rho_m * v - rho * v)
        f_energy += s * (energy_m - energy)
    return f_rho, f_u, f_v, f_energy


@njit(cache=True)
def primitives(U, W):
    """Fill W with density, velocities and pressure."""
    for i in range(U.shape[1]):
        for j in range(U.shape[2]):
            rho, mx, my, energy = U[0, i, j], U[1, i, j], U[2, i, j], U[3, i, j]
            W[0, i, j], W[1, i, j], W[2, i, j] = rho, mx / rho, my / rho
            W[3, i, j] = (GAMMA - 1) * (energy - 0.5 * (mx * mx + my * my) / rho)


@njit(cache=True)
def face_fluxes(W, axis, theta, F):
    """Fill F with the fluxes along `axis`: F[:, i, j] is that of the lower face of cell i, j."""
    di, dj = (1, 0) if axis == 0 else (0, 1)
    normal, tangential = (1, 2) if axis == 0 else (2, 1)
    left, right = np.empty(4), np.empty(4)
    for i in range(F.shape[1]):
        for j in range(F.shape[2]):
            m, n = i + GHOST, j + GHOST
            for k in range(4):
                a, b = W[k, m - 2 * di, n - 2 * dj], W[k, m - di, n - dj]
                c, d = W[k, m, n], W[k, m + di, n + dj]
                left[k] = b + 0.5 * limited_slope(a, b, c, theta)
                right[k] = c - 0.5 * limited_slope(b, c, d, theta)
            fluxes = hllc(left, right, normal, tangential)
            F[0, i, j], F[normal, i, j], F[tangential, i, j], F[3, i, j] = fluxes


@njit(cache=True)
def largest_rate(W, dx, dy):
    """Return the largest rate (|u| + c)/dx + (|v| + c)/dy of the cells: the CFL limit is 1/it."""
    rate = 0.0
    for i in range(GHOST, W.shape[1] - GHOST):
        for j in range(GHOST, W.shape[2] - GHOST):
            c = np.sqrt(GAMMA * W[3, i, j] / W[0, i, j])
            rate = max(rate, (abs(W[1, i, j]) + c) / dx + (abs(W[2, i, j]) + c) / dy)
    return rate


class Domain:
    """This rank's box of an n x n periodic grid, cut as evenly as the number of ranks allows."""

    def __init__(self, n):
        self.dims, self.coords, self.comm = (1, 1), (0, 0), None
        if MPI is not None and MPI.COMM_WORLD.size > 1:
            self.dims = tuple(MPI.Compute_dims(MPI.COMM_WORLD.size, 2))
            self.comm = MPI.COMM_WORLD.Create_cart(self.dims, periods=[True, True])
            self.coords = tuple(self.comm.coords)
        if n < GHOST * max(self.dims):
            raise SystemExit(f"--n {n}: at least {GHOST * max(self.dims)} for {self.dims} ranks")
        self.root = self.comm is None or self.comm.rank == 0
        self.global_shape = (n, n)
        self.spacing = (1 / n, 1 / n)
        cuts = [(n * c // d, n * (c + 1) // d) for c, d in zip(self.coords, self.dims, strict=True)]
        self.start = tuple(lower for lower, _ in cuts)
        self.shape = tuple(upper - lower for lower, upper in cuts)

    def exchange(self, U):
        """Fill the ghost layers of U[:, nx + 2 GHOST, ny + 2 GHOST] from the neighbours."""
        for axis in (0, 1):
            A = np.moveaxis(U, axis + 1, 0)  # a view: the layers along `axis` first
            to_lower, to_upper = A[GHOST : 2 * GHOST], A[-2 * GHOST : -GHOST]
            if self.dims[axis] == 1:
                A[-GHOST:], A[:GHOST] = to_lower, to_upper
                continue
            lower, upper = self.comm.Shift(axis, 1)
            for layers, ghosts, to, source in (
                (to_lower, A[-GHOST:], lower, upper),
                (to_upper, A[:GHOST], upper, lower),
            ):
                received = np.empty(layers.shape)
                self.comm.Sendrecv(np.ascontiguousarray(layers), to, 0, received, source, 0)
                ghosts[...] = received

    def whole(self, array):
        """Return the array of all cells on the root rank, from this rank's cells; else None."""
        if self.comm is None:
            return array
        parts = self.comm.gather((self.start, array))
        if not self.root:
            return None
        everything = np.empty(self.global_shape)
        for (i, j), part in parts:
            everything[i : i + part.shape[0], j : j + part.shape[1]] = part
        return everything

    def maximum(self, value):
        return value if self.comm is None else self.comm.allreduce(value, MPI.MAX)


class Flow:
    """The conserved variables of this rank, U[4, nx + 2 GHOST, ny + 2 GHOST], and its clock."""

    def __init__(self, domain, W, limiter="mc"):
        """Start from the primitive variables W[4, nx, ny] of this rank's cells."""
        rho, u, v, p = W
        nx, ny = domain.shape
        self.domain, self.theta = domain, LIMITERS[limiter]
        self.t, self.step = 0.0, 0
        self.U = np.empty((4, nx + 2 * GHOST, ny + 2 * GHOST))
        energy = p / (GAMMA - 1) + 0.5 * rho * (u * u + v * v)
        self.U[:, GHOST:-GHOST, GHOST:-GHOST] = rho, rho * u, rho * v, energy
        self.rho, self.mx, self.my, self.E = self.U  # views
        self.W = np.empty_like(self.U)
        self.Fx, self.Fy = np.empty((4, nx + 1, ny)), np.empty((4, nx, ny + 1))
        domain.exchange(self.U)

    def stable_dt(self, cfl):
        primitives(self.U, self.W)
        return cfl / self.domain.maximum(largest_rate(self.W, *self.domain.spacing))

    def rate_of_change(self):
        dx, dy = self.domain.spacing
        primitives(self.U, self.W)
        face_fluxes(self.W, 0, self.theta, self.Fx)
        face_fluxes(self.W, 1, self.theta, self.Fy)
        return -(np.diff(self.Fx, axis=1) / dx + np.diff(self.Fy, axis=2) / dy)


def save(flow, path):
    """Write a restart file: beside the old one first, so that there is a whole one at any time."""
    whole = [flow.domain.whole(u[GHOST:-GHOST, GHOST:-GHOST]) for u in flow.U]
    if flow.domain.root:
        beside = Path(path).with_suffix(".new.npz")
        np.savez(beside, U=np.array(whole), t=flow.t, step=flow.step)
        beside.replace(path)


def load(flow, path):
    """Put `flow` into the state of a restart file, which may come from other numbers of ranks."""
    here = tuple(slice(a, a + m) for a, m in zip(flow.domain.start, flow.domain.shape, strict=True))
    with np.load(path) as saved:
        flow.U[:, GHOST:-GHOST, GHOST:-GHOST] = saved["U"][:, *here]
        flow.t, flow.step = float(saved["t"]), int(saved["step"])
    flow.domain.exchange(flow.U)


def kelvin_helmholtz(domain, seed=None):
    """Return the primitive variables W[4, nx, ny] of McNally et al.: a dense band in counterflow.

    A seed adds eight modes of random phase, each a tenth as strong as the benchmark's one.
    """
    n = domain.global_shape[0]
    x = (np.arange(n) + 0.5) / n  # whole axes, so that no rank's share can change a bit
    ramp = 0.5 * np.exp(-np.abs((x % 0.5) - 0.25) / 0.025)
    band = np.where(np.abs(x - 0.5) < 0.25, 1 - ramp, ramp)
    v = 0.01 * np.sin(4 * np.pi * x)
    if seed is not None:
        for mode, phase in enumerate(2 * np.pi * np.random.default_rng(seed).random(8), start=1):
            v += 0.001 * np.sin(2 * np.pi * mode * x + phase)
    here = [slice(a, a + m) for a, m in zip(domain.start, domain.shape, strict=True)]
    W = np.empty((4, *domain.shape))
    W[0], W[1] = 1 + band[here[1]], 0.5 - band[here[1]]
    W[2], W[3] = v[here[0], None], 2.5
    return W


class Output:
    """A netCDF file of density and momentum along y, written by the root rank.

    A run that goes on `again` from a restart keeps the file, and overwrites what it makes again.
    """

    def __init__(self, path, domain, again=False):
        self.path = path
        if path and domain.root and not (again and Path(path).exists()):
            from netCDF4 import Dataset  # only where output is asked for

            axis = (np.arange(domain.global_shape[0]) + 0.5) / domain.global_shape[0]
            with Dataset(path, "w") as file:
                file.createDimension("time", None)
                file.createVariable("time", "f8", ("time",)).long_name = "simulated time"
                for name in ("x", "y"):
                    file.createDimension(name, len(axis))
                    file.createVariable(name, "f8", (name,))[:] = axis
                for name, meaning in (("rho", "density"), ("my", "momentum density along y")):
                    file.createVariable(name, "f8", ("time", "x", "y")).long_name = meaning

    def write(self, flow):
        if not self.path:
            return
        inside = (slice(GHOST, -GHOST),) * 2
        fields = {name: flow.domain.whole(getattr(flow, name)[inside]) for name in ("rho", "my")}
        if flow.domain.root:
            from netCDF4 import Dataset

            with Dataset(self.path, "a") as file:
                at = np.searchsorted(file["time"][:], flow.t)
                file["time"][at] = flow.t
                for name, field in fields.items():
                    file[name][at] = field


def advance(flow, dt):
    """Advance `flow` by one step: three stages, each a convex sum of forward Euler steps."""
    inside = flow.U[:, GHOST:-GHOST, GHOST:-GHOST]
    U0 = inside.copy()
    for old, new in ((0.0, 1.0), (3 / 4, 1 / 4), (1 / 3, 2 / 3)):
        inside[...] = old * U0 + new * (inside + dt * flow.rate_of_change())
        flow.domain.exchange(flow.U)
    flow.t += dt
    flow.step += 1


def numerics(cfl, limiter):
    return {"solver": "HLLC", "order": 2, "cfl": cfl, "limiter": limiter}


intent = simckpt.Intent(goal="Kelvin-Helmholtz rolls", assumptions=["inviscid", "ideal gas"])


@simckpt.run("{bundle}", intent=intent, numerics=numerics, outputs=lambda output: output or [])
def main(
    bundle, n, t_end, cfl, limiter, seed, every, steps, output=None, restart=None, save_every=100
):
    """Run to `t_end`, or to step `steps` if that is sooner; go on from `restart` if it is there."""
    domain = Domain(n)
    flow = Flow(domain, kelvin_helmholtz(domain, seed), limiter)
    if restart and Path(restart).exists():
        load(flow, restart)
        simckpt.active_run().resume(flow.step)
    file = Output(output, domain, again=flow.step > 0)
    file.write(flow)
    step = simckpt.step(
        grid=simckpt.Grid(domain.global_shape, domain.spacing, domain.start, ghost=GHOST),
        fields={"rho": flow.rho, "mx": flow.mx, "my": flow.my, "E": flow.E},
        derived={"c": f"sqrt({GAMMA * (GAMMA - 1)} * (E - (mx*mx + my*my)/(2*rho)) / rho)"},
        conserved={"mass": "rho", "x_momentum": "mx", "y_momentum": "my", "energy": "E"},
        stability={"courant": simckpt.CFL("abs(mx/rho) + c", "abs(my/rho) + c")},
        every=every,
    )(advance)

    while flow.t < t_end and flow.step != steps and not simckpt.should_stop():
        dt = min(flow.stable_dt(cfl), t_end - flow.t)
        step(flow, dt)
        if flow.step % every == 0 or flow.t >= t_end:
            file.write(flow)
        if domain.root and flow.step % 20 == 0:
            print(f"step {flow.step:5d}  t = {flow.t:.4f} of {t_end:g}  dt = {dt:.3e}", flush=True)
        if restart and flow.step % save_every == 0:
            save(flow, restart)
            simckpt.checkpoint(f"restart file of step {flow.step}")
    if restart:
        save(flow, restart)
    if domain.root:
        print(f"{flow.step} steps to t = {flow.t:g}; see: simckpt show {simckpt.active_run().path}")


def arguments():
    parser = argparse.ArgumentParser(description="Kelvin-Helmholtz instability in two dimensions.")
    parser.add_argument("--bundle", default="kelvin_helmholtz", help="name of the record")
    parser.add_argument("--n", type=int, default=128, help="cells along each axis")
    parser.add_argument("--t-end", type=float, default=1.0)
    parser.add_argument("--cfl", type=float, default=0.4, help="Courant number of each step")
    parser.add_argument("--limiter", choices=LIMITERS, default="mc")
    parser.add_argument("--seed", type=int, help="adds eight modes of random phase")
    parser.add_argument("--every", type=int, default=10, help="steps from one sample to the next")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--output", help="netCDF file for the fields at each sample (netCDF4)")
    parser.add_argument("--restart", help="file to go on from, and to save the state in (.npz)")
    parser.add_argument("--save-every", type=int, default=100, help="steps between saved states")
    return parser.parse_args()


if __name__ == "__main__":
    main(**vars(arguments()))
