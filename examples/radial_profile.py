"""Radial profiles around a lesion: how fields fall off with the distance from the middle of a tumour, with
numpy alone.

    python examples/radial_profile.py outputs/metastasis_osteolytic/run.h5 osteoclasts rankl --out
    radial_profile.png

`rdsolver plot RUN --kind profile` draws the same; copy this to do more with the numbers.
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt
import numpy as np

from rdsolver import open_run


def middle(weight: np.ndarray, centres: list[np.ndarray]) -> list[float]:
    """The mean position of what is there, um."""
    weight = np.nan_to_num(weight)
    grids = np.meshgrid(*centres, indexing="ij")
    return [float((weight * grid).sum() / weight.sum()) for grid in grids]


def rings(field: np.ndarray, distance: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance (um) and mean of a field in rings (in 3D shells) of a width; cells outside the field of view
    (NaN) do not count.
    """
    seen = np.isfinite(field)
    ring = (distance[seen] / width).astype(int)
    count = np.bincount(ring)
    total = np.bincount(ring, field[seen].astype("f8"))
    there = count > 0
    return ((np.arange(len(count)) + 0.5) * width)[there], total[there] / count[there]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("fields", nargs="*", default=["osteoclasts"])
    parser.add_argument("--out", default="radial_profile.png")
    given = parser.parse_args()

    with open_run(given.run) as run:
        centres = [run.centres(axis) for axis in run.axes]
        around = middle(run["tumour"][0], centres)  # where it began
        steps = np.meshgrid(*((c - a) ** 2 for c, a in zip(centres, around, strict=True)), indexing="ij")
        distance = np.sqrt(np.sum(steps, axis=0))
        moments = sorted({0, len(run.times) // 2, len(run.times) - 1})
        print(f"around {', '.join(f'{axis} {a:.0f}' for axis, a in zip(run.axes, around, strict=True))} um")
        fig, panels = plt.subplots(
            1, len(given.fields), figsize=(4.5 * len(given.fields), 3.6), layout="constrained", squeeze=False
        )
        for axes, name in zip(panels[0], given.fields, strict=True):
            for k in moments:
                at, mean = rings(run[name][k], distance, 2 * max(run.spacing))
                axes.plot(at, mean, label=f"day {run.times[k]:g}")
                print(
                    f"{name}, day {run.times[k]:g}: highest at {at[mean.argmax()]:.0f} um ({mean.max():.3g}"
                    f" {run[name].unit})"
                )
            axes.set(
                xlabel="distance (µm)",
                ylabel=f"{run[name].label} ({run[name].unit})",
                xlim=(0, None),
                ylim=(0, None),
            )
            axes.spines[["top", "right"]].set_visible(False)
        panels[0, 0].legend(frameon=False)
        fig.savefig(given.out, dpi=150)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
