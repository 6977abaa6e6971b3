"""batch: many runs one after another, and together at a fixed width: members a second, and what fixed width costs in work not needed.

Members differ in parameters, doses and bone; that the first and the last are, bit for bit, what they are alone at that width is checked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from rdsolver.integrators.together import Company
from rdsolver.problem import Problem, Solver
from rdsolver.run import simulate
from rdsolver.sweep.children import in_flight

from .. import bone, measure

COLUMNS = ("how", "members", "seconds", "members/s", "over serial", "executed/needed", "as alone")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cells", type=int, default=64, help="along each axis")
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--end", type=float, default=10.0, help="d")
    parser.add_argument("--precision", default="float32", choices=("float32", "float64"))
    parser.add_argument("--integrator", default="tr-bdf2", choices=("tr-bdf2", "rkc2"))
    parser.add_argument("--device", default="cpu")


def main(a: argparse.Namespace) -> list[dict[str, Any]]:
    solver = Solver(a.integrator, 1e-3, a.precision, a.device)
    problems = [_member(bone.problem(a.cells, 2, solver, a.end, seed=1 + i % 7), i) for i in range(a.members)]
    simulate(problems[0]).close()  # compiles
    began = time.perf_counter()
    for p in problems:
        simulate(p).close()
    serial = time.perf_counter() - began
    rows = [{"how": "one after another", "members": a.members, "seconds": serial, "members/s": a.members / serial, "over serial": 1.0}]
    for width in a.widths:
        together(problems[:1], width)  # compiles
        began = time.perf_counter()
        found, company = together(problems, width)
        seconds = time.perf_counter() - began
        alone = [together([problems[i]], width)[0][0] for i in (0, a.members - 1)]
        equal = all(_same(x, y) for x, y in zip(alone, (found[0], found[-1]), strict=True))
        row = {"how": f"together, {width} wide", "members": a.members, "seconds": seconds, "members/s": a.members / seconds}
        rows.append(row | {"over serial": serial / seconds, "executed/needed": company.executed / company.needed, "as alone": equal})
    measure.show(f"{a.cells}^2, {a.end:g} d, {a.precision}, {a.integrator}, {a.device}", rows, COLUMNS)
    return [row | {"cells": a.cells, "end": a.end, "precision": a.precision, "integrator": a.integrator} for row in rows]


def _member(p: Problem, i: int) -> Problem:
    """Ten-fold in binding, three-fold in a diffusivity, another dose."""
    rng = np.random.default_rng(i)
    changed = {"opg_kon": 10 ** rng.uniform(-0.5, 0.5), "rankl_diffusivity": rng.uniform(0.6, 1.8), "rankl_production": rng.uniform(0.5, 2)}
    doses = tuple(replace(d, amount=d.amount * rng.uniform(0.3, 3)) for d in p.doses)
    return replace(p, parameters={k: v * changed.get(k, 1.0) for k, v in p.parameters.items()}, doses=doses)


def together(problems: Sequence[Problem], width: int) -> tuple[list[dict[str, np.ndarray]], Company]:
    company = Company(width)

    def go(p: Problem) -> dict[str, np.ndarray]:
        with company.member(), simulate(p) as run:
            return {k: run[k][:] for k in run} | {f"series/{k}": run.series[k] for k in run.series}

    with ThreadPoolExecutor(in_flight(width)) as pool:
        return list(pool.map(go, problems)), company


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
