"""All measurements on a GPU, in one process and in some five minutes; gpu.sh starts it. See README.md.

Sections run in order, the most important first, until the time is spent; those left out are reported. A
figure that misses its bound makes the exit status 1; bounds on speed hold on a GPU only. `--cpu --small`
tries the script anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from rdsolver.geometry.section import Section
from rdsolver.parallel import device
from rdsolver.problem import Solver
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.advance import GRAPHS
from rdsolver.timestepping.system import System

from . import bone, measure, prebuilt
from .gpu_targets import GRAPH, TARGETS
from .launches import smoothed
from .modes import batch as batches
from .modes import step as steps
from .modes.copy import copy_rate
from .peers import ours
from .problems import Case

BUDGET = 270.0  # s; no section starts after it
MEMBERS_LIMIT = 60.0  # s; no width starts after it
EQUAL = 1e-6  # most difference of two devices in float64: the same steps, and round-off
IN_A_GRAPH = 8.0  # us, most time of a trip of a loop: a wait of the host alone takes longer
# most ms of a step inside the program of a run, by grid (N, N-3d); least steps a second of runs together
STEPS = (("128", 1.0), ("64-3d", 1.6), ("256-3d", 25.0))
MEMBER_STEPS = {64: 20_000.0, 256: 25_000.0}
NO_GRAPHS = {"xla_gpu_enable_command_buffer": ""}
BUFFERS = {
    "default": "",
    "none": "--xla_gpu_enable_command_buffer=",
    "with loops": "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,WHILE",
}
COLUMNS = ("section", "what", "precision", "figure", "unit", "wanted", "missed", "more")
ERROR = "error"  # units of errors begin with it; bounds on them hold on every device
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument(
        "--section", action="append", choices=[s.__name__ for s in SECTIONS], help="repeatable (default: all)"
    )
    parser.add_argument(
        "--programs", type=Path, metavar="FOLDER", help="programs that gpu-programs --keep compiled"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    a = parser.parse_args()
    began, rows = time.perf_counter(), []
    a.rows = rows
    with device.on("cpu" if a.cpu else "gpu") as name:
        for section in (s for s in SECTIONS if not a.section or s.__name__ in a.section):
            spent = time.perf_counter() - began
            if spent > BUDGET:
                rows.append({"section": section.__name__, "more": f"left out: {spent:.0f} s spent"})
                continue
            try:
                for row in section(a):
                    rows.append({"section": section.__name__} | _judged(row, a))
                    said = f"{time.perf_counter() - began:6.0f} s  {_text(rows[-1])}"
                    print(said, file=sys.stderr, flush=True)
                    if a.json:  # so that a run that is cut off leaves what it has
                        measure.write("gpu", rows, a.json, name, seconds=time.perf_counter() - began)
            except Exception as e:  # a failure of one section must not stop the others
                rows.append(
                    {
                        "section": section.__name__,
                        "failed": True,
                        "more": f"failed: {type(e).__name__}: {str(e)[:200]}",
                    }
                )
        written = measure.write("gpu", rows, a.json, name, seconds=time.perf_counter() - began)
        failed = any(row.get("failed") or row.get("missed") for row in rows)
        measure.show(f"{name}, {time.perf_counter() - began:.0f} s; written to {written}", rows, COLUMNS)
    sys.exit(failed)


def _text(row: Row) -> str:
    return " ".join(str(row[k]) for k in COLUMNS if k in row)


def _row(
    what: str,
    precision: str,
    figure: float,
    unit: str,
    more: str = "",
    most: float | None = None,
    least: float | None = None,
    **rest: Any,
) -> Row:
    """most, least: bounds on the figure."""
    found = {"what": what, "precision": precision, "figure": float(figure), "unit": unit, "more": more} | rest
    if most is not None:
        return found | {"wanted": f"<= {most:g}", "missed": not figure <= most}
    if least is not None:
        return found | {"wanted": f">= {least:g}", "missed": not figure >= least}
    return found


def _judged(row: Row, a: Namespace) -> Row:
    """The row, without a bound that does not hold here."""
    speed = not str(row.get("unit", "")).startswith(ERROR)
    return {k: x for k, x in row.items() if not (speed and (a.cpu or a.small) and k in ("wanted", "missed"))}


def _programs(a: Namespace, grid: str, precision: str, wide: int = 1) -> Any:
    """Inside, runs are advanced by a program that was compiled beforehand, if there is one."""
    return prebuilt.used(a.programs, prebuilt.name(grid, precision, wide), jax.devices()[0])


# --- does it compute the same? ------------------------------------------------------------------------------


def checks(a: Namespace) -> Iterator[Row]:
    """W1, W2 and W3 against the same in float64 on the CPU, at the same tolerance."""
    n, tolerance = 16 if a.small else 64, 1e-4
    for kind in ("w1", "w2"):
        of = Case(kind, (n, n))
        for integrator in ("tr-bdf2", "rkc2"):
            with _on_cpu():
                want = _solve(of, integrator, tolerance, "float64")[0]
            for precision, most in (("float64", EQUAL), ("float32", tolerance)):
                states = _solve(of, integrator, tolerance, precision)[0]
                what = f"{kind} {n}^2 {integrator} at {tolerance:g}"
                yield _row(what, precision, of.error(states[1], want[1]), "error at 21,600 s", most=most)
    cells, end, tolerance = (16, 2.0, 1e-3) if a.small else (48, 30.0, 1e-3)
    with _on_cpu():
        want = bone.run(bone.problem(cells, 2, _solver("tr-bdf2", tolerance, "float64"), end))[1]
    for precision, most in (("float64", EQUAL), ("float32", tolerance)):
        with _programs(a, str(cells), precision) as loaded:
            found = bone.run(bone.problem(cells, 2, _solver("tr-bdf2", tolerance, precision), end))[1]
        errors, what = found.errors(want), f"w3 {cells}^2 tr-bdf2 at {tolerance:g}, {end:g} d"
        more = f"fields {errors['error_end']:.1e}; {loaded}"
        yield _row(what, precision, float(errors["error_ntx"]), "error in NTX", more, most=most)


def _on_cpu() -> Any:
    return jax.default_device(jax.devices("cpu")[0])


def _solver(integrator: str, tolerance: float, precision: str) -> Solver:
    return Solver(integrator, tolerance, precision)  # pyright: ignore[reportArgumentType]


def _solve(
    of: Case, integrator: str, tolerance: float, precision: str
) -> tuple[list[np.ndarray], Simulation, float]:
    simulation = Simulation(ours.problem(of, integrator, tolerance, precision))
    began = time.perf_counter()
    saved = dict(pair for step in simulation.steps() for pair in step.saved)
    seconds = time.perf_counter() - began
    return (
        [np.stack([np.asarray(u[k], float) for k in ours.NAMES]) for u in saved.values()],
        simulation,
        seconds,
    )


# --- a step as a run takes it -------------------------------------------------------------------------------


def calls(a: Namespace) -> Iterator[Row]:
    """A step inside the program that advances a run: the time of a call over its attempts, without the first
    call, which compiles or loads it.
    """
    for grid, most in (("16", None),) if a.small else STEPS:
        cells, solver = int(grid.removesuffix("-3d")), _solver("tr-bdf2", 1e-3, "float32")
        problem = refined(cells, solver, bone.END) if "3d" in grid else bone.problem(cells, 2, solver)
        with _programs(a, grid, "float32") as loaded:
            simulation = Simulation(problem, attempts=4 if a.small else 16)
            times, last, before = [], time.perf_counter(), 0
            for i, _ in enumerate(simulation.chunks()):
                now, done = time.perf_counter(), simulation.totals.steps + simulation.totals.rejected
                if i > 1:
                    times.append(1e3 * (now - last) / max(1, done - before))
                last, before = now, done
                if i == 6:
                    break
        more = f"{min(times):.3g} to {max(times):.3g} in {len(times)} calls; {loaded}"
        figure = float(np.median(times))
        yield _row(f"a step of a run, bone {grid}", "float32", figure, "ms", more, most=most, grid=grid)


def fitted(a: Namespace) -> Iterator[Row]:
    """What a launch in a graph takes, and the bandwidth, with which the steps measured here are what their
    launches and bytes take (results/gpu_programs_*.json); beside them the constants of the model.
    """
    steps = {row["grid"]: row["figure"] * 1e-3 for row in a.rows if row["section"] == "calls"}
    for path in sorted(measure.RESULTS.glob("gpu_programs_*.json")):
        made = json.loads(path.read_text())
        rows = [r for r in made["results"] if r["program"] == "run, one step" and r["grid"] in steps]
        if len(rows) < 2:
            continue
        seconds = np.array([steps[r["grid"]] for r in rows])
        counted = np.array([[r["launches"], r["bytes"]] for r in rows], float)
        (launch, byte), _ = nnls(counted / seconds[:, None], np.ones(len(rows)))
        of = made["device"]
        yield _row(f"a launch in a graph, as {of}", "float32", 1e6 * launch, "us", f"model {1e6 * GRAPH:g}")
        if byte:
            copy = f"model {TARGETS[of].copy / 1e9:.0f}"
            yield _row(f"bandwidth of a step, as {of}", "float32", 1e-9 / byte, "GB/s", copy)


def graphs(a: Namespace) -> Iterator[Row]:
    """A loop whose trips the device decides, with the options of the program of a run and without graphs; in
    a graph the host does not wait in every trip.
    """
    r = jnp.asarray(np.random.default_rng(0).normal(size=(5, 16, 16)), jnp.float32)
    trips = 20 if a.small else 2000

    def loop(v: jax.Array, n: jax.Array) -> jax.Array:
        step = partial(smoothed, r=r)
        return jax.lax.while_loop(lambda s: s[1] < n, lambda s: (step(s[0]), s[1] + 1), (v, 0 * n))[0]

    ways = (", in a graph", GRAPHS, IN_A_GRAPH), (", no graphs", NO_GRAPHS, None)
    for name, options, most in (("", None, None),) if a.cpu else ways:
        program = jax.jit(loop, compiler_options=options)
        jax.block_until_ready(program(r, 1))
        timing = measure.timed(lambda p=program: jax.block_until_ready(p(r, trips)), 5)[0]
        figure = 1e6 * float(np.median(timing.wall)) / trips
        yield _row(f"a trip of a loop{name}", "float32", figure, "us", most=most)


# --- speed of the parts -------------------------------------------------------------------------------------


def copies(a: Namespace) -> Iterator[Row]:
    for size in (1 << 20, 1 << 24) if a.small else (1 << 20, 1 << 24, 1 << 28, 1 << 31):
        rate = copy_rate((size // 4,), 1, "float32", 5)
        yield _row(f"copy of {size / 2**20:g} MiB", "float32", rate["bytes_per_s"] / 1e9, "GB/s")


def step(a: Namespace) -> Iterator[Row]:
    """The speed of the bone model and a two-field model.

    The target is 60 % of copy for a sweep, 40 % for a stage (256^3, float32).
    """
    options = Namespace(what=None, seconds=0.02 if a.small else 0.2, repeats=3)
    cases = (
        (("16", "float32"),)
        if a.small
        else (("256-3d", "float32"), ("128-3d", "float32"), ("128-3d", "float64"), ("1024", "float32"))
    )
    for grid, precision in cases:
        large = copy_rate((1 << (18 if a.small else 27),), 1, precision, 3)["bytes_per_s"]
        for model in ("bone", "two-field"):
            case = (
                _biggest(grid, precision)
                if model == "bone" and grid == "256-3d"
                else steps.system_of(model, grid, precision)
            )
            for found in steps.measured(case, large, options):
                more = (
                    f"{found['ms']:.3g} ms, {found['GB/s']:.0f} GB/s, {found['fusions']} fusions,"
                    f" {found['copies']} copies"
                )
                yield _row(
                    f"{model} {grid} {found['what']}",
                    precision,
                    100 * found["of large copy"],
                    "% of copy",
                    more,
                    figures=found,
                )


def _biggest(grid: str, precision: str) -> tuple[System, dict[str, jax.Array]]:
    simulation = Simulation(
        refined(int(grid.removesuffix("-3d")), _solver("tr-bdf2", 1e-3, precision), bone.END)
    )
    return simulation.system_at_start(), simulation.u


# --- whole runs ---------------------------------------------------------------------------------------------


def refined(cells: int, solver: Solver, end: float) -> Any:
    """W3 on cells^3, made by repeating the cells of the 64^3 section; generating it at 256^3 would take
    minutes.
    """
    coarse = min(cells, 64)
    times = cells // coarse
    problem = bone.problem(coarse, 3, solver, end)
    if times == 1:
        return problem
    fine, section = problem.section.bone, problem.section
    for axis in range(3):
        fine = np.repeat(fine, times, axis)
    grid = replace(section.grid, shape=fine.shape, spacing=tuple(h / times for h in section.grid.spacing))
    return replace(
        problem, section=Section(grid, fine, np.ones(fine.shape, bool), section.record | {"repeated": times})
    )


def binding(a: Namespace) -> Iterator[Row]:
    """W1 and W2, whole runs after one that compiles.

    W2's obstacles at 256^3 are those of 64^3, mirrored side by side.
    """
    n, ndim = (16, 2) if a.small else (256, 3)
    for kind in ("w1", "w2"):
        of = Case(kind, (n,) * ndim)
        if kind == "w2" and n > 64:
            tile = Case(kind, (64,) * 3).active
            of.__dict__["active"] = np.pad(tile, [(0, n - 64)] * 3, mode="symmetric")
        for integrator in ("auto", "tr-bdf2", "rkc2"):
            _solve(of, integrator, 1e-3, "float32")
            _, simulation, seconds = _solve(of, integrator, 1e-3, "float32")
            totals = simulation.totals
            more = f"{simulation.integrator.name}: {totals.steps} steps, {totals.solves} sweeps or stages"
            yield _row(f"{kind} {n}^{ndim} {integrator} at 1e-3", "float32", seconds, "s", more)


def bone_run(a: Namespace) -> Iterator[Row]:
    """W3 on the largest block that fits, as long as its share of the time allows; then the demo's 128^2."""
    for cells in (16,) if a.small else (256, 192, 128):
        try:
            yield _timed_bone(
                refined(cells, _solver("tr-bdf2", 1e-3, "float32"), 1.0 if a.small else bone.END),
                f"{cells}^3",
                90.0,
            )
            break
        except Exception as e:
            if "RESOURCE_EXHAUSTED" not in str(e):
                raise
            yield {"what": f"w3 {cells}^3", "more": "does not fit"}
    flat = bone.problem(
        16 if a.small else 128, 2, _solver("tr-bdf2", 1e-3, "float32"), 1.0 if a.small else bone.END
    )
    yield _timed_bone(flat, f"{flat.grid.shape[0]}^2", 60.0)


def _timed_bone(problem: Any, name: str, limit: float) -> Row:
    """The seconds after the first step, not extrapolated: a run that is cut short reports how far it came."""
    simulation, began, first = Simulation(problem), time.perf_counter(), 0.0
    for chunk in simulation.chunks():
        if chunk and chunk[-1].dt and not first:
            first = time.perf_counter() - began
        if time.perf_counter() - began > limit:
            break
    seconds, totals = time.perf_counter() - began - first, simulation.totals
    more = (
        f"{simulation.t:.3g} of {problem.end:g} d, {totals.steps} steps, {totals.solves} stages; compiling"
        f" and first step {first:.1f} s"
    )
    return _row(f"w3 {name} tr-bdf2 at 1e-3", "float32", seconds, "s", more, days=simulation.t, first=first)


# --- small grids --------------------------------------------------------------------------------------------


def launches(a: Namespace) -> Iterator[Row]:
    """A coarsest level in several ways, with several settings of command buffers; V-cycles by size, in time
    per fusion.
    """
    for name, flags in list(BUFFERS.items())[: 1 if a.cpu else None]:
        environment = os.environ | {
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
            "XLA_CLIENT_MEM_FRACTION": ".05",
        }
        environment |= {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".05"} | ({"JAX_PLATFORMS": "cpu"} if a.cpu else {})
        command = [sys.executable, "-m", "benchmarks.launches", "--repeats", "20" if a.small else "500"]
        found = subprocess.run(command, capture_output=True, text=True, env=environment)
        if found.returncode:
            yield {"what": f"command buffers {name}", "more": f"failed: {found.stderr.strip()[-120:]}"}
        for line in found.stdout.splitlines():
            row = json.loads(line)
            yield _row(
                f"{row['way']}, command buffers {name}",
                "float32",
                row["us"],
                "us",
                f"{row['fusions']} fusions",
            )
    options = Namespace(what=["v-cycle"], seconds=0.01 if a.small else 0.1, repeats=3)
    for cells in (16,) if a.small else (16, 32, 64, 128, 256):
        for row in steps.measured(steps.system_of("bone", str(cells), "float32"), 1.0, options):
            more = f"{1e3 * row['ms'] / max(row['fusions'], 1):.3g} us a fusion, {row['fusions']} fusions"
            yield _row(f"V-cycle, bone {cells}^2", "float32", 1e3 * row["ms"], "us", more)


def batch(a: Namespace) -> Iterator[Row]:
    """An implicit stage of one run, and of a batch of runs under vmap."""
    cells, members = (16, 2) if a.small else (128, 32)
    system, u = steps.system_of("bone", str(cells), "float32")
    sigma, tolerance = np.float32(100), np.float32(1e-3)

    one_stage: Any = System.stage

    def stage(u: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return one_stage(system, jnp.zeros(()), u, u, sigma, tolerance)[0]

    def looped(work: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        return jax.jit(lambda v, times: jax.lax.fori_loop(0, times, lambda _, x: work(x), v))

    single = _each(looped(stage), u, a)
    many = {k: jnp.stack([x * np.float32(1 + 1e-3 * i) for i in range(members)]) for k, x in u.items()}
    together = _each(looped(jax.vmap(stage)), many, a)
    yield _row(f"stage, one run of {cells}^2", "float32", 1e3 * single, "ms")
    yield _row(
        f"stage, {members} runs of {cells}^2",
        "float32",
        1e3 * together,
        "ms",
        f"{members * single / together:.3g} times one after another",
    )


def members(a: Namespace) -> Iterator[Row]:
    """Whole runs together, by width: their steps a second, and the runs."""
    cells, widths, end = (16, (2,), 0.5) if a.small else (128, (64, 256, 16, 4, 1), 5.0)
    began, solver = time.perf_counter(), Solver("tr-bdf2", 1e-3, "float32", "cpu" if a.cpu else "gpu")
    problems = batches.problems(cells, 2 * max(widths), solver, end)
    for width in widths:
        if time.perf_counter() - began > MEMBERS_LIMIT:
            yield {"what": f"{width} wide", "more": "left out: no time"}
            continue
        many = problems[: max(2 * width, 16)]
        with _programs(a, str(cells), "float32", width) as loaded:
            rate, company = batches.rate(many, width)
        more = f"{rate:.3g} runs/s; executed/needed {company.executed / company.needed:.3g}; {loaded}"
        figure, what = company.needed * rate / len(many), f"runs of {cells}^2, {end:g} d, {width} wide"
        least = MEMBER_STEPS.get(width)
        yield _row(what, "float32", figure, "steps/s", more, least=least, width=width, runs=rate)


def _each(run: Callable[[Any, Any], Any], v: Any, a: Namespace) -> float:
    jax.block_until_ready(run(v, 1))
    n = 2 if a.small else 20
    return float(np.median(measure.timed(lambda: jax.block_until_ready(run(v, n)), 3)[0].wall)) / n


SECTIONS = (checks, copies, calls, fitted, graphs, members, binding, step, bone_run, launches, batch)


if __name__ == "__main__":
    main()
