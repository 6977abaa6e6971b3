"""How a lesion and its tumour grow: rates and doubling time from the series of one run or several, and a
figure.

python examples/lesion_growth.py outputs/metastasis_osteolytic/run.h5 [more/run.h5 ...] --out
lesion_growth.png
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt
import numpy as np

from rdsolver import open_run


def growth_rate(time: np.ndarray, area: np.ndarray) -> float:
    """mm^2/d: the slope of a straight line through the days on which the lesion has 10 to 90 % of its largest
    area.
    """
    largest = area.max()
    if largest <= 0:
        return 0.0
    upto = slice(0, int(area.argmax()) + 1)
    growing = (area[upto] >= 0.1 * largest) & (area[upto] <= 0.9 * largest)
    if growing.sum() < 2:
        return 0.0
    return float(np.polyfit(time[upto][growing], area[upto][growing], 1)[0])


def doubling_time(time: np.ndarray, burden: np.ndarray) -> float:
    """Days in which the tumour doubles, from the first day on: when it reaches twice its start; infinite if
    it never does.
    """
    above = np.flatnonzero(burden >= 2 * burden[0])
    return (
        float(np.interp(2 * burden[0], burden[: above[0] + 1], time[: above[0] + 1]) - time[0])
        if len(above)
        else np.inf
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", default="lesion_growth.png")
    given = parser.parse_args()

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for path in given.runs:
        with open_run(path) as run:
            time, area, burden = (run.series[name] for name in ("time", "lesion_area", "tumour_burden"))
            left.plot(time, area, label=run.title)
            right.plot(time, 100 * burden)
            rate, doubling = growth_rate(time, area), doubling_time(time, burden)
            print(
                f"{run.title}: lesion {area.max():.3g} {run.series.unit('lesion_area')} at most, growing"
                f" {rate:.3g} mm^2/d;"
            )
            print(
                f"    tumour {100 * burden[0]:.2g} -> {100 * burden[-1]:.3g} %, first doubled in"
                f" {doubling:.1f} d"
            )
    left.set(xlabel="time (d)", ylabel="lesion (mm²)")
    fig.legend(loc="outside upper left", frameon=False)
    right.set(xlabel="time (d)", ylabel="tumour (% of the section)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    fig.savefig(given.out, dpi=150)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
