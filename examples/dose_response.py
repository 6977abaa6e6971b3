"""NTX against dose: run a config at several doses of its drug, in memory, and draw how deep and how long resorption falls.

    python examples/dose_response.py configs/fc_opg_section_2d.toml 0.1 0.3 1 3 --out dose_response.png
    python examples/dose_response.py mine.toml 1 3 10 --set "section.spacing=20 um"

The doses are mg/kg, of the config's first [[dose]].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws to a file, needs no screen
import matplotlib.pyplot as plt
import numpy as np

from rdsolver import load_config, simulate


def respond(config: str, amount: float, overrides: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Time (d) and NTX (relative to baseline) under one dose (mg/kg)."""
    loaded = load_config(Path(config), [*overrides, f"dose.0.amount={amount:g} mg/kg"])
    with simulate(loaded) as run:
        return run.series["time"], run.series["ntx"]


def days_below(time: np.ndarray, ntx: np.ndarray, level: float) -> float:
    """How long NTX lies below a level, d, with straight lines between the steps."""
    fine = np.linspace(time[0], time[-1], 20_001)
    return float((np.interp(fine, time, ntx) < level).mean() * (time[-1] - time[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("doses", type=float, nargs="+", help="mg/kg")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--out", default="dose_response.png")
    given = parser.parse_args()

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(given.doses)))
    lowest = []
    for dose, shade in zip(given.doses, shades, strict=True):
        time, ntx = respond(given.config, dose, given.overrides)
        lowest.append(ntx.min())
        print(f"{dose:g} mg/kg: lowest NTX {ntx.min():.3f} on day {time[ntx.argmin()]:.1f}, {days_below(time, ntx, 0.5):.1f} d below half")
        left.plot(time, ntx, color=shade, label=f"{dose:g} mg/kg")
    left.set(xlabel="time (d)", ylabel="NTX, relative to baseline", ylim=(0, None))
    left.legend(frameon=False)
    right.semilogx(given.doses, lowest, "o-", color="black")
    right.set(xlabel="dose (mg/kg)", ylabel="lowest NTX, relative to baseline", ylim=(0, None))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(given.out, dpi=150)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
