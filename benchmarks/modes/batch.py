"""batch: runs per second of many runs: one after another, in parallel processes, and in batches.

The batches have a fixed width; their padding waste is measured too. The runs (`members`) differ in
parameters, doses and bone. `--check` of them, including the first and the last, are compared bit for bit with
the same run alone in a batch of that width.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rdsolver.parallel.batching import Batch
from rdsolver.parallel.device import in_flight
from rdsolver.problem import Problem, Solver
from rdsolver.runs.run import simulate
from rdsolver.timestepping.registry import GENERAL

from .. import bone, measure

Results = dict[str, np.ndarray]
COLUMNS = ("how", "members", "seconds", "members/s", "over serial", "executed/needed", "as alone")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cells", type=int, default=64, help="along each axis")
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--check", type=int, default=2, help="members that are run alone too")
    parser.add_argument("--end", type=float, default=10.0, help="d")
    parser.add_argument("--precision", default="float32", choices=("float32", "float64"))
    parser.add_argument("--integrator", default="tr-bdf2", choices=GENERAL)
    parser.add_argument("--device", default="cpu")


def main(a: argparse.Namespace) -> list[dict[str, Any]]:
    all_of_them = problems(a.cells, a.members, Solver(a.integrator, 1e-3, a.precision, a.device), a.end)
    one = serial(all_of_them)
    count, apart = side_by_side(all_of_them, a.device)
    rows: list[dict[str, Any]] = [{"how": "one after another", "members/s": one, "over serial": 1.0}]
    rows.append({"how": f"{count} processes", "members/s": apart, "over serial": apart / one})
    for width in a.widths:
        found: list[Results] = []
        many, batch = rate(all_of_them, width, found)
        chosen = np.unique(np.linspace(0, a.members - 1, min(a.check, a.members)).astype(int))
        equal = sum(_same(together([all_of_them[i]], width)[0][0], found[i]) for i in chosen)
        row = {"how": f"together, {width} wide", "members/s": many, "over serial": many / one}
        rows.append(
            row | {"executed/needed": batch.executed / batch.needed, "as alone": f"{equal} of {len(chosen)}"}
        )
    rows = [row | {"members": a.members, "seconds": a.members / row["members/s"]} for row in rows]
    measure.show(f"{a.cells}^2, {a.end:g} d, {a.precision}, {a.integrator}, {a.device}", rows, COLUMNS)
    return [
        row | {"cells": a.cells, "end": a.end, "precision": a.precision, "integrator": a.integrator}
        for row in rows
    ]


def problems(cells: int, members: int, solver: Solver, end: float) -> list[Problem]:
    """Seven sections, a ten-fold range of a binding constant, a three-fold range of a diffusivity, other
    doses.
    """
    return [_member(bone.problem(cells, 2, solver, end, seed=1 + i % 7), i) for i in range(members)]


def serial(problems: Sequence[Problem]) -> float:
    """Runs per second, one after another."""
    simulate(problems[0]).close()  # compiles
    began = time.perf_counter()
    for p in problems:
        simulate(p).close()
    return len(problems) / (time.perf_counter() - began)


def side_by_side(problems: Sequence[Problem], device: str) -> tuple[int, float]:
    """The number of processes and runs per second in a sweep without --batch, each run with its own file."""
    from rdsolver.sweep import worker_pool  # with pydantic, which the rest does without
    from rdsolver.sweep.on_demand import on_demand

    slots = worker_pool.slots(None, device, 1, len(problems))
    tables = [as_config(p) for p in problems]
    with (
        TemporaryDirectory() as folder,
        on_demand(Path(folder), None, device) as compute,
        ThreadPoolExecutor(len(slots)) as pool,
    ):
        # compiles
        list(pool.map(compute, [t | {"title": f"{i}"} for i, t in enumerate(tables[:1] * 2 * len(slots))]))
        began = time.perf_counter()
        list(pool.map(compute, tables))
        return len(slots), len(problems) / (time.perf_counter() - began)


def as_config(p: Problem) -> dict[str, Any]:
    """The same run as the tables of a config."""
    record, grid, solver = p.section.record, p.grid, p.solver
    size = [n * h for n, h in zip(grid.shape, grid.spacing, strict=True)]
    made = {
        "bone_fraction": bone.FRACTION,
        "trabecular_thickness": record["trabecular_thickness"],
        "seed": record["seed"],
    }
    return {
        "section": (
            {"kind": "trabecular", "size": size, "spacing": grid.spacing[0], "thickness": grid.thickness}
            | made
        ),
        "model": {"preset": p.preset, "parameters": dict(p.parameters)},
        "dose": [{"agent": d.agent, "amount": d.amount, "route": d.route, "at": d.time} for d in p.doses],
        "time": {"end": p.end, "save": list(p.save)},
        "solver": {
            "integrator": solver.integrator,
            "tolerance": solver.tolerance,
            "precision": solver.precision,
        },
    }


def rate(problems: Sequence[Problem], width: int, found: list[Results] | None = None) -> tuple[float, Batch]:
    """Runs per second, together; found: a list that receives their results."""
    together(problems[:1], width)  # compiles
    began = time.perf_counter()
    results, batch = together(problems, width)
    seconds = time.perf_counter() - began
    if found is not None:
        found += results
    return len(problems) / seconds, batch


def _member(p: Problem, i: int) -> Problem:
    rng = np.random.default_rng(i)
    changed = {
        "opg_kon": 10 ** rng.uniform(-0.4, 0.6),
        "rankl_diffusivity": rng.uniform(0.6, 1.8),
        "rankl_production": rng.uniform(0.5, 2),
    }
    doses = tuple(replace(d, amount=d.amount * rng.uniform(0.3, 3)) for d in p.doses)
    return replace(p, parameters={k: v * changed.get(k, 1.0) for k, v in p.parameters.items()}, doses=doses)


def together(problems: Sequence[Problem], width: int) -> tuple[list[Results], Batch]:
    batch = Batch(width)

    def go(p: Problem) -> Results:
        with batch.join(), simulate(p) as run:
            return {k: run[k][:] for k in run} | {f"series/{k}": run.series[k] for k in run.series}

    with ThreadPoolExecutor(in_flight(width)) as pool:
        return list(pool.map(go, problems)), batch


def _same(a: Results, b: Results) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
