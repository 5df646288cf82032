"""A solver from PyPI, instrumented from outside: pyro-hydro's compressible gas.

    pip install pyro-hydro
    python pyro_compressible.py --n 64 --t-end 0.2

pyro (Zingale et al.) is used as it is, through its public interface: `Pyro.single_step` advances
the simulation, `Pyro.get_var` gives the arrays, which carry four ghost layers. Wrapping that one
method is all that recording needs.
"""

import argparse
import math

from pyro import Pyro

import simckpt


def sound_speed(gamma):
    """The expression of the speed of sound in the conserved variables."""
    return f"sqrt({gamma * (gamma - 1)} * (E - (mx*mx + my*my) / (2*rho)) / rho)"


def main(n=64, t_end=0.2, problem="kh", cfl=0.8, every=5, bundle="pyro.simckpt.h5"):
    pyro = Pyro("compressible")
    settings = {"mesh.nx": n, "mesh.ny": n, "driver.tmax": t_end, "driver.cfl": cfl}
    pyro.initialize_problem(problem, inputs_dict=settings)
    sim, mesh = pyro.get_sim(), pyro.get_grid()

    step = simckpt.step(
        grid=simckpt.Grid((mesh.nx, mesh.ny), spacing=(mesh.dx, mesh.dy), ghost=mesh.ng),
        fields=lambda: {
            "rho": pyro.get_var("density"),
            "mx": pyro.get_var("x-momentum"),
            "my": pyro.get_var("y-momentum"),
            "E": pyro.get_var("energy"),
        },
        derived={"c": sound_speed(sim.rp.get_param("eos.gamma"))},
        conserved={"mass": "rho", "x_momentum": "mx", "y_momentum": "my", "energy": "E"},
        stability={"courant": simckpt.CFL("abs(mx/rho) + c", "abs(my/rho) + c", convention="max")},
        time=lambda: sim.cc_data.t,
        dt=lambda: sim.dt if sim.n else math.nan,  # pyro has none before its first step
        step=lambda: sim.n,
        every=every,
    )
    advance = step(pyro.single_step)

    with simckpt.run(
        bundle,
        intent=simckpt.Intent(
            goal=f"pyro's problem {problem!r}, recorded without a change to pyro",
            assumptions=["pyro's own time step and boundaries"],
        ),
        numerics=simckpt.Numerics(
            solver=sim.rp.get_param("compressible.riemann"),
            limiter=str(sim.rp.get_param("compressible.limiter")),
            cfl=cfl,
            extra={"problem": problem, "gamma": sim.rp.get_param("eos.gamma")},
        ),
    ) as run:
        while not sim.finished():
            advance()
        print(f"{sim.n} steps to t = {sim.cc_data.t:g}")
        print(f"recorded in {run.path}; look at it with: simckpt show {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="pyro-hydro's compressible solver, recorded.")
    parser.add_argument("--n", type=int, default=64, help="cells along each axis")
    parser.add_argument("--t-end", type=float, default=0.2)
    parser.add_argument("--problem", default="kh", help="a problem of pyro's compressible solver")
    parser.add_argument("--cfl", type=float, default=0.8)
    parser.add_argument("--every", type=int, default=5, help="steps from one sample to the next")
    parser.add_argument("--bundle", default="pyro.simckpt.h5", help="where it is recorded")
    main(**vars(parser.parse_args()))
