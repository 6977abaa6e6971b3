"""Analyse a run outside rdsolver: three ways to load it, what it says, one figure.

    python examples/analyse_run.py outputs/rank_fc_section_2d/run.h5 [figure.png]

Copy it and take the way that suits: a run file is plain HDF5 in the netCDF layout, so h5py and xarray need
nothing of rdsolver.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import xarray as xr

from rdsolver import open_run

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt


def load_h5py(path: str) -> dict[str, np.ndarray]:
    """h5py alone: every dataset is an array, its unit in .attrs["units"] for programs, in
    .attrs["units_readable"] for people.
    """
    with h5py.File(path, "r") as file:
        time, rankl = np.array(file["time"]), file["rankl"]
        # a field is read when it is sliced, so that a big file is no burden
        assert isinstance(rankl, h5py.Dataset)
        return {
            "time": time,
            "rankl": rankl[len(time) - 1],  # time counts the saved states, also in a run that was cut off
            "series_time": np.array(file["series/time"]),
            "ntx": np.array(file["series/ntx"]),
        }


def load_xarray(path: str) -> dict[str, np.ndarray]:
    """xarray: all of the file as a tree, read when needed; fields at its root, the series in a group with a
    time of their own.
    """
    with xr.open_datatree(path, engine="h5netcdf") as run:
        series = run["series"]
        return {
            "time": run.time.values,
            "rankl": run.rankl.isel(time=-1).values,
            "series_time": series.series_time.values,
            "ntx": series.ntx.values,
        }


def load_rdsolver(path: str) -> dict[str, np.ndarray]:
    """open_run: the same, with the configuration, the parameters and the provenance beside it."""
    with open_run(path) as run:
        return {
            "time": run.times,
            "rankl": run["rankl"][-1],
            "series_time": run.series["time"],
            "ntx": run.series["ntx"],
        }


def check_same(ways: list[dict[str, np.ndarray]]) -> None:
    """Bit for bit, NaN (outside the field of view) included."""
    for other in ways[1:]:
        for name, values in ways[0].items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def tell(path: str) -> None:
    """What happened, in a few lines: lowest bone resorption, bone gained, what the run was made with."""
    with open_run(path) as run:
        time, ntx, bone = run.series["time"], run.series["ntx"], run.series["bone_volume_fraction"]
        lowest = int(np.argmin(ntx))
        print(run)
        print(
            f"NTX      {ntx[0]:.3g} -> {ntx[lowest]:.3g} at its lowest (day {time[lowest]:.1f}),"
            f" {ntx[-1]:.3g} at the end"
        )
        print(f"BV/TV    {bone[0]:.4f} -> {bone[-1]:.4f}")
        rankl = run["rankl"]
        print(
            f"RANKL    {np.nanmean(rankl[0]):.3g} -> {np.nanmean(rankl[-1]):.3g} {rankl.unit}, mean of the"
            " field of view"
        )
        print(f"made by  {run.provenance.get('versions', {})}")


def draw(path: str, figure: str) -> None:
    """Free RANKL at the end (a 3D run: its middle plane) and NTX over time."""
    with open_run(path) as run:
        rankl, series = run["rankl"], run.series
        last = rankl[-1] if len(run.axes) == 2 else rankl[-1, run.shape[0] // 2]
        height, width = (n * h for n, h in zip(run.shape[-2:], run.spacing[-2:], strict=True))
        fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        image = left.imshow(last, origin="lower", extent=(0, width, 0, height), cmap="viridis")
        left.set(xlabel="x (µm)", ylabel="y (µm)")
        fig.colorbar(image, label=f"{rankl.label} ({rankl.unit}), day {run.times[-1]:g}")
        right.plot(series["time"], series["ntx"], color="black")
        right.set(xlabel="time (d)", ylabel="NTX, relative to baseline")
        right.spines[["top", "right"]].set_visible(False)
        fig.savefig(figure, dpi=150)
        plt.close(fig)


def main(path: str, figure: str = "analyse_run.png") -> None:
    check_same([load_h5py(path), load_xarray(path), load_rdsolver(path)])
    print("h5py, xarray and open_run agree.")
    tell(path)
    draw(path, figure)
    print(f"figure   {Path(figure).resolve()}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
