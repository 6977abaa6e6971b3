"""step: effective throughput of a sweep, a V-cycle and an implicit stage, as a fraction of a copy.

The copy is in the same process. T_eff = bytes that must move / time (benchmarks/README.md). With F evolving
fields and S static arrays that the rates read, a forward Euler sweep moves 2F + S arrays; a V(2,2) on F
fields with K coefficient arrays [5 (3F + K) + 2F] x 4/3 (2D) or x 8/7 (3D); an implicit stage its V-cycles
and 2F + S.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Group
from rdsolver.models.verification import GRAY_SCOTT
from rdsolver.operators import multigrid
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Problem, Solver
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.system import System

from .. import bone, measure
from ..hlo import counts
from .copy import copy_rate

GRIDS = ("256", "1024", "64-3d", "128-3d")
COLUMNS = (
    "model",
    "grid",
    "precision",
    "what",
    "ms",
    "GB/s",
    "of copy",
    "of large copy",
    "fusions",
    "copies",
    "compile s",
)
LARGE = 1 << 28  # bytes; a copy that is larger than any cache
SIGMA = 100.0  # per time unit: 1/(γ dt) of a step of 0.03
GRAY_SCOTT_VALUES = {"u_diffusivity": 0.16, "v_diffusivity": 0.08, "feed": 0.035, "kill": 0.06}
Row = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grid", action="append", help="N or N-3d; repeatable (default: 256 1024 64-3d 128-3d)"
    )
    parser.add_argument("--model", action="append", choices=("bone", "two-field"))
    parser.add_argument("--precision", action="append", choices=("float32", "float64"))
    parser.add_argument("--what", action="append", choices=("sweep", "v-cycle", "stage"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="that one timing lasts at least")


def main(a: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    with device.on(a.device):
        for grid in a.grid or GRIDS:
            for precision in a.precision or ("float32", "float64"):
                large = copy_rate((LARGE // np.dtype(precision).itemsize,), 1, precision, 3)["bytes_per_s"]
                for model in a.model or ("bone", "two-field"):
                    head = {"model": model, "grid": grid, "precision": precision}
                    rows += [head | row for row in measured(system_of(model, grid, precision), large, a)]
    measure.show(
        "one step: T_eff as a fraction of a copy of the same fields, and of one too large for any cache",
        rows,
        COLUMNS,
    )
    return rows


def system_of(model: str, grid: str, precision: str) -> tuple[System, dict[str, jax.Array]]:
    """The system and a state of it: bone right after its dose, or Gray-Scott from a random state."""
    cells, ndim = int(grid.removesuffix("-3d")), 3 if grid.endswith("-3d") else 2
    solver: Any = Solver("tr-bdf2", 1e-3, precision)  # pyright: ignore[reportArgumentType]
    problem: Problem | ModelProblem
    if model == "bone":
        problem = bone.problem(cells, ndim, solver)
    else:
        place = Grid(
            (cells,) * ndim, (1.0,) * ndim, borders=("periodic",) * ndim, thickness=1.0 if ndim == 2 else None
        )
        v = 0.3 * np.random.default_rng(0).random(place.shape)
        problem = ModelProblem(GRAY_SCOTT, place, GRAY_SCOTT_VALUES, {"u": 1 - v, "v": v}, 1.0, solver=solver)
    simulation = Simulation(problem)
    return simulation.system_at_start(), simulation.u


def measured(case: tuple[System, dict[str, jax.Array]], large: float, a: argparse.Namespace) -> list[Row]:
    system, u = case
    dtype = next(iter(u.values())).dtype
    copy = copy_rate(next(iter(u.values())).shape, len(u), dtype)["bytes_per_s"]
    works = {"sweep": sweep, "v-cycle": v_cycle, "stage": stage}
    rows = []
    for what in a.what or works:
        arrays, loop, state = works[what](system, u)
        began = measure.timed(lambda loop=loop, state=state: loop.lower(*state, 1).compile(), 1)
        compiled, compile_seconds = began[1], began[0].wall[0]
        times = repeats_for(compiled, state, a.seconds)
        timing, _ = measure.timed(
            lambda n=times, run=compiled, s=state: jax.block_until_ready(run(*s, n)), a.repeats
        )
        seconds = [x / times for x in timing.wall]
        moved = arrays * u[next(iter(u))].nbytes
        rate, found = moved / float(np.median(seconds)), counts(str(compiled.as_text()))
        rows.append(
            {
                "what": what,
                "ms": 1e3 * float(np.median(seconds)),
                "ms_low": 1e3 * min(seconds),
                "ms_high": 1e3 * max(seconds),
            }
            | {
                "arrays": arrays,
                "bytes_per_s": rate,
                "copy_bytes_per_s": copy,
                "large_copy_bytes_per_s": large,
            }
            | {"GB/s": rate / 1e9, "of copy": rate / copy, "of large copy": rate / large}
            | {"fusions": found["fusion"], "copies": found["copy"], "compile s": compile_seconds}
        )
    return rows


def repeats_for(run: Callable[..., Any], state: tuple[Any, ...], seconds: float) -> int:
    jax.block_until_ready(run(*state, 1))
    once = min(measure.timed(lambda: jax.block_until_ready(run(*state, 1)), 3)[0].wall)
    return max(1, int(seconds / once))


def static_arrays(system: System, u: dict[str, jax.Array]) -> int:
    """The number of cell and face arrays that the rates read besides the fields, each counted once."""
    aux = system.update_coefficients(u)
    leaves, tree = jax.tree_util.tree_flatten((system, aux))

    def rates(*arrays: jax.Array) -> Any:
        again, fixed = jax.tree_util.tree_unflatten(tree, arrays)
        return again.rates(jnp.zeros(()), u, fixed)

    jaxpr = jax.make_jaxpr(rates)(*leaves).jaxpr
    read = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    least = next(iter(u.values())).size / 2
    return len(
        {id(x) for v, x in zip(jaxpr.invars, leaves, strict=True) if id(v) in read and np.size(x) > least}
    )


def sweep(system: System, u: dict[str, jax.Array]) -> tuple[float, Any, tuple[Any, ...]]:
    """A forward Euler step with the coefficients from the bone kept: 2F + S arrays."""
    aux = jax.block_until_ready(jax.jit(type(system).update_coefficients)(system, u))

    @jax.jit
    def loop(system: System, aux: Any, u: dict[str, jax.Array], times: int) -> dict[str, jax.Array]:
        def step(_: int, v: dict[str, jax.Array]) -> dict[str, jax.Array]:
            f = system.rates(jnp.zeros(()), v, aux)
            return {k: v[k] + np.asarray(1e-9, v[k].dtype) * f[k] for k in v}

        return jax.lax.fori_loop(0, times, step, u)

    return 2 * len(u) + static_arrays(system, u), loop, (system, aux, u)


def cycle_arrays(fields: int, coefficients: int, ndim: int) -> float:
    """The arrays that a V(2,2) moves at least."""
    return (5 * (3 * fields + coefficients) + 2 * fields) * (4 / 3 if ndim == 2 else 8 / 7)


@partial(jax.jit, static_argnums=2)
def _equations(system: System, u: dict[str, jax.Array], group: Group) -> Any:
    """Newton's equations of a group on all levels, at a step of a hundredth of the time unit."""
    sigma = jnp.asarray(SIGMA, next(iter(u.values())).dtype)
    return system._linear(group, jnp.zeros(()), u, u, sigma, system.update_coefficients(u))


def coefficients_of(levels: Any) -> int:
    """The number of coefficient arrays of the finest level."""
    finest = levels[0]
    least = finest.local["active"].size / 2
    return len({id(x) for x in jax.tree_util.tree_leaves(finest) if np.size(x) > least})


def v_cycle(system: System, u: dict[str, jax.Array]) -> tuple[float, Any, tuple[Any, ...]]:
    """One V(2,2) of the first group of fields that move together, with its constant correction, as in a
    stage.
    """
    group = next(g for g in system.model.groups if g.solve == "transport")
    equations: Any = _equations(system, u, group)
    levels, r, shape = equations[1], equations[2], system.shape

    @jax.jit
    def loop(equations: Any, times: int) -> Any:
        op, levels, r, sums = equations
        return multigrid.solve(
            op, levels, r, sums, shape, times, lambda e: jnp.max(jnp.abs(e[0])).astype(jnp.float64)
        )[0]

    return cycle_arrays(len(group.fields), coefficients_of(levels), r[0].ndim), loop, (equations,)


def stage(system: System, u: dict[str, jax.Array]) -> tuple[float, Any, tuple[Any, ...]]:
    """One whole implicit stage: the V-cycles of all its groups, and 2F + S arrays."""
    arrays = 2 * len(u) + static_arrays(system, u)
    for group in system.model.groups:
        if group.solve == "transport":
            levels: Any = _equations(system, u, group)[1]
            arrays += int(system.cycles.get(group.name, group.cycles)) * cycle_arrays(
                len(group.fields), coefficients_of(levels), next(iter(u.values())).ndim
            )
    sigma, tolerance = (np.asarray(x, next(iter(u.values())).dtype) for x in (SIGMA, 1e-3))
    one_stage: Any = System.stage

    @jax.jit
    def loop(system: System, u: dict[str, jax.Array], times: int) -> dict[str, jax.Array]:
        return jax.lax.fori_loop(
            0, times, lambda _, v: one_stage(system, jnp.zeros(()), v, v, sigma, tolerance)[0], u
        )

    return arrays, loop, (system, u)
