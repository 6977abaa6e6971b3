"""Error and time of both integrators on one config, against a tight float64 run of rkc2.

    python -m benchmarks.integrators configs/rank_fc_section_2d.toml [--reference 5e-5] [--set KEY=VALUE ...]

Prints for each integrator and tolerance: accepted steps, stage solves or sweeps, seconds after the first step (compilation
apart), the worst difference in NTX(t), and the worst field at the end (relative L2, floored at 1e-2 of its scale).
The reference of the demo takes some six minutes on two cores.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from rdsolver import device, load_config
from rdsolver.problem import Problem, Solver
from rdsolver.simulation import Simulation

CASES = (
    Solver("tr-bdf2", 1e-2, "float64"),
    Solver("tr-bdf2", 1e-3, "float64"),
    Solver("tr-bdf2", 1e-4, "float64"),
    Solver("tr-bdf2", 1e-3, "float32"),
    Solver("rkc2", 4e-3, "float32"),
    Solver("rkc2", 1e-3, "float32"),
)


def solve(problem: Problem, solver: Solver) -> tuple[Simulation, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The simulation after its end, the times, NTX, and the fields."""
    simulation = Simulation(replace(problem, solver=solver, save=(0.0, problem.end)))
    rows = np.array([(c.t, c.observed["ntx"]) for c in simulation.chunks()])
    return simulation, rows[:, 0], rows[:, 1], {k: np.asarray(v, float) for k, v in simulation.u.items()}


def size(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--reference", type=float, default=5e-5, help="tolerance of the reference")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    problem = load_config(arguments.config, arguments.set).problem()
    with device.on("cpu"):
        _, times, ntx, want = solve(problem, Solver("rkc2", arguments.reference, "float64"))
        print(f"{'integrator':12}{'tolerance':>10}{'precision':>11}{'steps':>7}{'solves':>9}{'s':>8}{'NTX':>10}{'fields':>10}  worst field")
        for case in CASES:
            simulation, t, values, got = solve(problem, case)
            floor = {f.name: 1e-2 * f.scale for f in simulation.fields}
            errors = {k: size(got[k] - want[k]) / max(size(want[k]), floor[k]) for k in want}
            worst = max(errors, key=lambda k: errors[k])
            off = np.abs(np.interp(t, times, ntx) - values).max()
            totals = simulation.totals
            print(
                f"{case.integrator:12}{case.tolerance:10.0e}{case.precision:>11}{totals.steps:7}{totals.solves:9}"
                f"{totals.seconds - totals.first:8.2f}{off:10.1e}{errors[worst]:10.1e}  {worst}",
                flush=True,
            )


if __name__ == "__main__":
    main()
