"""From the fields of a Kelvin-Helmholtz run to a figure that leads back to the run.

Needs netCDF4, xarray and matplotlib.

    python kelvin_helmholtz.py --n 128 --t-end 2 --output kh.nc
    python analysis_figure.py kh.nc --run kelvin_helmholtz

The growth of the rolls: the amplitude of the seeded mode of the velocity along y (McNally, Lyra &
Passy 2012, ApJS 201:18, equations 10 to 13, here as the plain Fourier amplitude of mode 2 along x,
averaged over y), with an exponential fitted to the linear phase, beside a map of the density.
Each step from the file to the figure is a transform in the record of this stage.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import simckpt
from simckpt.analysis import stage, transform

MODE = 2


@transform("select", selection="{t_min} <= t <= {t_max}", why="before, the sheet settles")
def linear_phase(amplitude, t_min, t_max):
    return amplitude.where((amplitude.time >= t_min) & (amplitude.time <= t_max), drop=True)


@transform("regrid", selection="means of {factor} x {factor} cells")
def coarsened(field, factor):
    return field.coarsen(x=factor, y=factor, boundary="trim").mean()


@transform("reduce", selection=f"amplitude of mode {MODE} along x, mean over y")
def amplitude_of_mode(velocity):
    modes = np.fft.rfft(velocity.values, axis=velocity.dims.index("x"))
    amplitude = 2 * np.abs(modes[:, MODE]).mean(axis=-1) / velocity.sizes["x"]
    return xr.DataArray(amplitude, {"time": velocity.time}, name="amplitude")


@stage(
    bundle="{figure}",
    name="growth of the rolls",
    cohort="mode 2 of one run",
    intent=simckpt.Intent(goal="growth rate of mode 2", conclusion="rate of the linear phase"),
    upstream=lambda run: [run],
    inputs=lambda fields: [fields],
    outputs=lambda figure: [figure],
)
def main(fields, run, figure, t_min, t_max, factor):
    """Draw `figure` from the netCDF file `fields` of the recorded `run`."""
    with xr.open_dataset(fields) as data:
        velocity = transform("derive", data, selection="v = my / rho").into(
            (data.my / data.rho).rename("v")
        )
        amplitude = amplitude_of_mode(velocity)
        late = linear_phase(amplitude, t_min, t_max)
        if late.size < 2:
            raise SystemExit(f"{fields}: fewer than two samples from t = {t_min:g} to {t_max:g}")
        rate, start = np.polyfit(late.time, np.log(late), 1)
        last = transform("select", data, selection="rho, last time").into(data.rho.isel(time=-1))
        density = coarsened(last, factor)

        canvas = Figure(figsize=(9, 4), layout="constrained")
        left, right = canvas.subplots(1, 2)
        left.semilogy(amplitude.time, amplitude, "o", label="mode 2 of v")
        left.semilogy(late.time, np.exp(start + rate * late.time), label=f"rate {rate:.2f}")
        left.set(xlabel="t", ylabel="amplitude")
        left.legend()
        right.pcolormesh(density.x, density.y, density.T, shading="nearest")
        right.set(title=f"density at t = {float(last.time):.2f}", xlabel="x", ylabel="y")
        canvas.savefig(figure)
    path = simckpt.active_run().path
    print(f"growth rate {rate:.2f}; {figure}, made as recorded in {path}")
    print(f"it leads back to the run: simckpt log {path} {run}")


def arguments():
    parser = argparse.ArgumentParser(description="Growth rate of the Kelvin-Helmholtz rolls.")
    parser.add_argument("fields", help="netCDF file of kelvin_helmholtz.py --output")
    parser.add_argument("--run", default="kelvin_helmholtz", help="the record of that run")
    parser.add_argument("--figure", type=Path, default=Path("growth.png"))
    parser.add_argument("--t-min", type=float, default=0.4, help="begin of the linear phase")
    parser.add_argument("--t-max", type=float, default=1.0, help="end of the linear phase")
    parser.add_argument("--factor", type=int, default=2, help="cells to average for the map")
    return parser.parse_args()


if __name__ == "__main__":
    main(**vars(arguments()))
