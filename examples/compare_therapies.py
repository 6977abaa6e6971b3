"""Therapies compared: what each run kept and lost against the first, as a table (CSV) and as bars.

    python examples/compare_therapies.py outputs/metastasis_osteolytic outputs/treat_fc_opg
    outputs/treat_bisphosphonate \\
        --csv therapies.csv --out therapies.png

The first run is the one without treatment. Runs of different length are compared on the last day that all of
them reached.
"""

from __future__ import annotations

import argparse
import csv

import matplotlib

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt
import numpy as np

from rdsolver import open_run
from rdsolver.figures.compare import titles
from rdsolver.output.reader import Run

OUTCOMES = {
    "bone_volume_fraction": "BV/TV (%)",
    "tumour_burden": "tumour (%)",
    "lesion_area": "lesion (mm²)",
    "ntx": "NTX (relative)",
}
PER_CENT = ("bone_volume_fraction", "tumour_burden")


def outcomes(run: Run, day: float) -> dict[str, float]:
    """Each observable on a day, and the lowest NTX until then."""
    time = run.series["time"]
    found = {name: float(np.interp(day, time, run.series[name])) for name in OUTCOMES if name in run.series}
    upto = time <= day
    found["lowest NTX"] = float(run.series["ntx"][upto].min())
    return {name: 100 * value if name in PER_CENT else value for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="run.h5 or its folder; the untreated one first")
    parser.add_argument("--csv", default="therapies.csv")
    parser.add_argument("--out", default="therapies.png")
    given = parser.parse_args()

    runs = [open_run(path) for path in given.runs]
    day = min(float(run.series["time"][-1]) for run in runs)
    table = {title: outcomes(run, day) for title, run in zip(titles(runs), runs, strict=True)}
    for run in runs:
        run.close()
    names, columns = list(table), list(next(iter(table.values())))

    with open(given.csv, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([f"day {day:g}", *(OUTCOMES.get(c, c) for c in columns)])
        writer.writerows([title, *(f"{table[title][c]:.6g}" for c in columns)] for title in names)
    for title in names:
        against = ", ".join(
            f"{OUTCOMES.get(c, c)} {table[title][c]:.3g} ({table[title][c] - table[names[0]][c]:+.3g})"
            for c in columns
        )
        print(f"{title}, day {day:g}: {against}")

    shown = [c for c in OUTCOMES if c in columns]
    plt.rcParams["text.parse_math"] = False  # a $ in a title is a $
    fig, panels = plt.subplots(
        1, len(shown), figsize=(9, 0.9 + 0.34 * len(names)), layout="constrained", sharey=True, squeeze=False
    )
    for axes, name in zip(panels[0], shown, strict=True):
        axes.barh(
            names, [table[title][name] for title in names], color=["#767676"] + ["#2f6db3"] * (len(names) - 1)
        )
        axes.set_xlabel(OUTCOMES[name])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].invert_yaxis()
    fig.suptitle(f"day {day:g}", x=0.02, ha="left", fontsize="medium")
    fig.savefig(given.out, dpi=150)
    print(f"table: {given.csv}, figure: {given.out}")


if __name__ == "__main__":
    main()
