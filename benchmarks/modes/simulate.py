"""simulate: a whole run of a config, from its baseline to its end, without compilation."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from rdsolver.parallel import device
from rdsolver.simulation.time_loop import Simulation

from .. import measure

COLUMNS = (
    "config",
    "integrator",
    "precision",
    "tolerance",
    "first s",
    "seconds",
    "low",
    "high",
    "cpu",
    "steps",
    "rejected",
    "solves",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="*", default=["configs/rank_fc_section_2d.toml"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", help="instead of the config's")
    parser.add_argument("--repeats", type=int, default=3)


def main(a: argparse.Namespace) -> list[dict[str, Any]]:
    from rdsolver import load_config

    rows = []
    for config in a.config:
        problem = load_config(config, a.set).problem()
        problem = replace(problem, solver=replace(problem.solver, device=a.device or problem.solver.device))

        def run(problem: Any = problem) -> Simulation:
            simulation = Simulation(problem)
            for _ in simulation.steps():
                pass
            return simulation

        with device.on(problem.solver.device):
            first, _ = measure.timed(run, 1)
            timing, simulation = measure.timed(run, a.repeats)
        solver, totals, found = problem.solver, simulation.totals, timing.figures()
        rows.append(
            {
                "config": config,
                "grid": list(problem.grid.shape),
                "fields": len(simulation.fields),
                "end": problem.end,
            }
            | {
                "integrator": simulation.integrator.name,
                "precision": solver.precision,
                "tolerance": solver.tolerance,
            }
            | {"first s": first.wall[0], "compile_seconds": first.wall[0] - found["seconds"]}
            | {"steps": totals.steps, "rejected": totals.rejected, "solves": totals.solves}
            | found
        )
    shown = [r | {"low": r["seconds_low"], "high": r["seconds_high"], "cpu": r["cpu_seconds"]} for r in rows]
    measure.show("whole runs; the first one compiles", shown, COLUMNS)
    return rows
