"""Dose against response, from a sweep: a Hill curve through the replicates of each drug, and the dose of half
the effect.

    rdsolver sweep configs/sweeps/dose_response.toml --out outputs/doses
    python examples/dose_response.py outputs/doses --out dose_response.png
    python examples/dose_response.py outputs/doses --of osteoclast_number.mean

E(d) = E0 + (Emax - E0) d^n / (ED50^n + d^n), fitted in log ED50 and log n; E0 is what was measured before the
first dose.
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit

from rdsolver import open_sweep

AMOUNT, AGENT = "dose.0.amount", "dose.0.agent"


def hill(dose: np.ndarray, none: float, most: float, log_half: float, log_n: float) -> np.ndarray:
    """The effect of a dose."""
    share = 1 / (1 + np.exp(np.exp(log_n) * (log_half - np.log(dose))))
    return none + (most - none) * share


def fit(dose: np.ndarray, effect: np.ndarray, none: float) -> tuple[float, float, float]:
    """(most, ED50, n): least squares, E0 given."""
    start = (effect[np.argmax(dose)], np.log(np.median(dose)), 0.0)
    found, _ = curve_fit(lambda d, *p: hill(d, none, *p), dose, effect, start, maxfev=20_000)
    return float(found[0]), float(np.exp(found[1])), float(np.exp(found[2]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", help="folder of a sweep over dose.0.amount")
    parser.add_argument("--of", default="ntx.min", help="column of its table")
    parser.add_argument("--out", default="dose_response.png")
    given = parser.parse_args()

    sweep = open_sweep(given.sweep)
    columns, done = sweep.columns, sweep.finished  # sweep.table is the same as a pandas DataFrame
    agents = columns.get(AGENT, np.full(len(sweep), "dose"))
    observable = given.of.partition(".")[0]
    unit = sweep.units[AMOUNT]
    before = sweep.curves(observable)[:, 0]  # of each run, at its start

    fig, axes = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
    for agent, colour in zip(
        dict.fromkeys(agents.tolist()), ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=False
    ):
        of = done & (agents == agent)
        dose, effect, none = columns[AMOUNT][of], columns[given.of][of], float(before[of].mean())
        axes.plot(dose, effect, "o", markersize=4, fillstyle="none", color=colour, label=agent)
        most, half, n = fit(dose, effect, none)
        fine = np.geomspace(dose.min(), dose.max(), 200)
        axes.plot(fine, hill(fine, none, most, np.log(half), np.log(n)), color=colour)
        beyond = "" if dose.min() <= half <= dose.max() else ", outside the doses given"
        print(
            f"{agent}: {of.sum()} runs, {given.of} from {none:.3g} to {most:.3g}, half of that at {half:.2g}"
            f" {unit}{beyond} (n = {n:.2g})"
        )
    measured = sweep.units[observable]
    axes.set_xscale("log")
    axes.set(
        xlabel=f"dose ({unit})",
        ylabel=given.of if measured == "1" else f"{given.of} ({measured})",
        ylim=(0, None),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    fig.savefig(given.out, dpi=150)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
