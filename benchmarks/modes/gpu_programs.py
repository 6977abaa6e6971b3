"""gpu-programs: what XLA compiles of the bone model for a GPU that need not be there.

Every program is compiled with the options of a run (timestepping/advance.py). Launches, those of them in CUDA
graphs, waits of the host, bytes against the fewest possible, and scatters are facts of the compiled programs.
model_ms is a model of time (`model`): use it to compare, not as a promise.

The fewest bytes are those of `step`: with F fields, S static arrays that the rates read and K coefficient
arrays of the finest level, a sweep moves 2F + S arrays, a V-cycle [5 (3F + K) + 2F] x 4/3 in 2D and x 8/7 in
3D, an implicit stage its V-cycles and 2F + S, a TR-BDF2 step two stages. A stage of RKC2, as its formula
stands, reads the state, two older stages, the slope at the start and its turn, and writes one: 6F + S.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdsolver.errors import InputError
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.base import Group
from rdsolver.models.bone.static_fields import of_section
from rdsolver.operators import multigrid
from rdsolver.problem import Solver
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.simulation.program import buffer_size
from rdsolver.timestepping import advance, rkc
from rdsolver.timestepping.attempt import Leg
from rdsolver.timestepping.base import Lane, StepAttempt, StepState
from rdsolver.timestepping.system import Fields, System
from rdsolver.timestepping.trbdf2 import TRBDF2

from .. import bone, measure, prebuilt
from ..gpu_targets import GRAPH, TARGETS, Target, sharding
from ..gpu_thunks import Program, read
from . import step as steps

Row = dict[str, Any]
GRIDS = ("128", "64-3d")
SMALL = {2: 24, 3: 14}  # cells along an axis of the section whose shapes are enlarged
COLUMNS = (
    "program", "grid", "launches", "once", "graph_launches", "host_waits", "graphs", "copies", "of_one_warp",
    "MB", "MB_needed", "scatters", "temporary_MB", "model_ms", "compile_s",
)  # fmt: skip

# s, of the model of time: a kernel in a stream; a graph's launch; a wait of the host; a call of a program
# from Python, and for each of its arguments
STREAM, GRAPHS, WAIT, CALL, ARGUMENT = 2.5e-6, 8e-6, 12e-6, 20e-6, 0.25e-6
L2_RATE = 10e12  # bytes/s of arrays that stay in the cache: an assumption


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", choices=tuple(TARGETS), default="h200", help="the GPU (default: h200)")
    parser.add_argument("--grid", action="append", help=f"N or N-3d; repeatable (default: {' '.join(GRIDS)})")
    parser.add_argument(
        "--program", action="append", choices=tuple(PROGRAMS), help="repeatable (default: all but batch)"
    )
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32")
    parser.add_argument("--wide", type=int, default=64, help="width of the batch (default: 64)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the programs run and batch, for gpu.sh --programs"
    )


def main(a: argparse.Namespace) -> list[Row]:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)
    target = TARGETS[a.target]
    where, rows = sharding(target), []
    for grid in a.grid or GRIDS:
        case = case_of(grid, a.precision, where)
        for name in a.program or [name for name in PROGRAMS if name != "batch"]:
            for work in PROGRAMS[name](case, a.wide):
                keep = None if a.keep is None else partial(kept, a.keep, grid, a.precision, work)
                rows.append({"grid": grid, "precision": a.precision} | row(work, case, target, keep))
                told = ", ".join(f"{k} {rows[-1][k]}" for k in ("launches", "host_waits", "scatters"))
                print(f"{grid} {work.name}: {told}", file=sys.stderr, flush=True)
    title = f"compiled for one {target.name}, {a.precision}"
    measure.show(title, rows, COLUMNS)
    return rows


# --- systems as shapes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A system and a state of it, as shapes on the target.

    read   number of static arrays that the rates read
    """

    system: System
    u: Fields
    where: Any
    read: int

    def number(self, shape: tuple[int, ...] = (), dtype: Any = "float64") -> Any:
        return jax.ShapeDtypeStruct(shape, np.dtype(dtype), sharding=self.where)

    @property
    def real(self) -> Any:
        return self.number((), self.dtype)

    @property
    def dtype(self) -> np.dtype:
        return next(iter(self.u.values())).dtype

    @property
    def array(self) -> int:
        """The bytes of one field."""
        return prod(next(iter(self.u.values())).shape) * self.dtype.itemsize

    @property
    def transport(self) -> list[Group]:
        return [g for g in self.system.model.groups if g.solve == "transport"]

    @property
    def trips(self) -> dict[str, int]:
        """The V-cycles of a stage, group by group, which the compiler does not know."""
        return {f"cycles_{g.name}": g.cycles for g in self.transport}

    def shapes(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The shapes of what a function gives."""
        return structs(jax.eval_shape(function, *arguments), self.where)


def structs(tree: Any, where: Any, grown: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda x: x) -> Any:
    def one(x: Any) -> jax.ShapeDtypeStruct:
        kind = x.dtype if hasattr(x, "dtype") else jnp.asarray(x).dtype
        return jax.ShapeDtypeStruct(grown(tuple(np.shape(x))), kind, sharding=where)

    return jax.tree.map(one, tree)


def case_of(text: str, precision: str, where: Any) -> Case:
    """The bone model of W3 on a grid, made on a small section of the same cells, whose shapes are enlarged.

    No baseline is computed, and a block of 256^3 takes no memory.
    """
    cells, ndim = int(text.removesuffix("-3d")), 3 if text.endswith("-3d") else 2
    n = SMALL[ndim]
    if cells < n:
        raise InputError(f"--grid {text}: {n} cells along an axis are the fewest.")
    spacing = max(bone.SIZE / cells, 5.0) if cells >= 48 else 20.0
    grid = Grid((n,) * ndim, (spacing,) * ndim, thickness=10.0 if ndim == 2 else None)
    section = trabecular(grid, bone.FRACTION, min(bone.THICKNESS, n * spacing / 4), bone.SEED)
    solver: Any = Solver("tr-bdf2", 1e-3, precision)  # pyright: ignore[reportArgumentType]
    problem = replace(bone.problem(16, ndim, solver), section=section)
    scenario = BoneScenario(problem, begin=False)
    system, place = scenario.system, of_section(scenario.system.place)
    u = scenario.model.initial(place.bone, place.active, problem.parameters)
    read = steps.static_arrays(system, u)

    def grown(shape: tuple[int, ...]) -> tuple[int, ...]:
        field = len(shape) == ndim and all(abs(k - n) <= 1 for k in shape)
        return tuple(k - n + cells for k in shape) if field else shape

    shape = multigrid.Shape.of((cells,) * ndim, (spacing,) * ndim, place.wrap)
    large = replace(structs(system, where, grown), shape=shape)
    return Case(large, structs(u, where, grown), where, read)


# --- the programs -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A program to compile.

    arrays   the fewest it must move
    trips    of its loops that the compiler cannot know (gpu_thunks.read); of a run's "attempts" there is one,
             whose figures are told; `once` is what a call does without any
    wide     number of runs that it advances together
    space    states that the buffer of saved states holds, if it advances runs
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    arrays: float | None = None
    trips: dict[str, int] = field(default_factory=dict)
    wide: int = 1
    space: int = 0


def _sweep(system: System, aux: Any, u: Fields) -> Fields:
    f = system.rates(jnp.zeros(()), u, aux)
    return {k: u[k] + np.asarray(1e-9, u[k].dtype) * f[k] for k in u}


def sweep(case: Case, _: int) -> Iterator[Work]:
    aux = case.shapes(System.update_coefficients, case.system, case.u)
    yield Work("Euler sweep", _sweep, (case.system, aux, case.u), 2 * len(case.u) + case.read)


def rkc2(case: Case, _: int) -> Iterator[Work]:
    """A pair of stages, and 32 pairs in one call; their difference over 62 is a sweep inside the loop."""
    s, u, number = case.system, case.u, case.number
    kept = case.shapes(rkc._begin, s, number(), u, u, number(), number())[0]
    whole = number((), "int64")
    given = s, number(), u, kept, u, u, number(), number((rkc.ROWS, 5)), whole, whole
    arrays = 6 * len(u) + case.read
    for pairs in (1, 32):
        yield Work(f"RKC2, {2 * pairs} stages", rkc.sweeps, given, 2 * pairs * arrays, {"pairs": pairs})


def _equations(system: System, u: Fields, sigma: Any, group: Group) -> Any:
    return system._linear(group, jnp.zeros(()), u, u, sigma, system.update_coefficients(u))


def _cycle_arrays(case: Case, group: Group) -> float:
    levels = jax.eval_shape(partial(_equations, group=group), case.system, case.u, case.real)[1]
    return steps.cycle_arrays(len(group.fields), steps.coefficients_of(levels), len(case.system.shape.wrap))


def v_cycle(case: Case, _: int) -> Iterator[Work]:
    group = case.transport[0]
    given = case.shapes(partial(_equations, group=group), case.system, case.u, case.real)
    shape = case.system.shape

    def cycle(op: Any, levels: Any, r: Any, sums: Any) -> Any:
        return multigrid.solve(op, levels, r, sums, shape, 1, lambda e: jnp.max(jnp.abs(e[0])).astype(float))[
            0
        ]

    yield Work(f"V-cycle of {group.name}, with its set-up", cycle, given, _cycle_arrays(case, group))


def _stage_arrays(case: Case) -> float:
    return sum(g.cycles * _cycle_arrays(case, g) for g in case.transport) + 2 * len(case.u) + case.read


def stage(case: Case, _: int) -> Iterator[Work]:
    given = case.system, case.number(), case.u, case.u, case.real, case.real
    yield Work("stage", System.stage, given, _stage_arrays(case), case.trips)


def _run(case: Case) -> tuple[Leg, Lane]:
    """The conditions and the state of a run."""
    s, u, number = case.system, case.u, case.number
    flows = case.shapes(System.flows, s, number(), u)
    leg = Leg(s, number(), number(), number(), {}, case.real, number((), bool))
    whole = partial(number, (), "int32")
    cycles = {g.name: whole() for g in case.transport}
    step_state = StepState(u, flows, u, number())
    lane = Lane(number(), number(), u, step_state, cycles, number(), whole(), number(), whole())
    return leg, lane


def step(case: Case, _: int) -> Iterator[Work]:
    """A TR-BDF2 step by itself."""
    leg, lane = _run(case)

    def one(leg: Leg, lane: Lane) -> StepAttempt:
        system = replace(leg.system, cycles=lane.cycles)
        return TRBDF2().step(system, lane, lane.dt, leg.tol, TRBDF2().limits(system, lane.t, lane.u))

    yield Work("step", one, (leg, lane), 2 * _stage_arrays(case), case.trips)


def _call(case: Case, name: str, wide: int) -> Work:
    """The program of a run, in which one attempt is done and no saved time is passed."""
    leg, lane = _run(case)
    space = buffer_size(wide * len(case.u) * case.array, wide)
    if wide > 1:
        leg, lane = jax.tree.map(lambda x: case.number((wide, *x.shape), x.dtype), (leg, lane))
    on, saves = case.number((wide,), bool), case.number((wide, space + 1))
    program = partial(advance._advance, space=space, many=wide > 1)
    given = TRBDF2(), leg, lane, on, saves, case.number((), "int32")
    trips = case.trips | {"attempts": 1, "saves": 0}
    return Work(name, program, given, wide * 2 * _stage_arrays(case), trips, wide, space)


def run(case: Case, _: int) -> Iterator[Work]:
    """One step inside the program that advances a run, with what the program does once."""
    yield _call(case, "run, one step", 1)


def batch(case: Case, wide: int) -> Iterator[Work]:
    yield _call(case, f"run, one step, {wide} wide", wide)


PROGRAMS: dict[str, Callable[[Case, int], Iterator[Work]]] = {
    "sweep": sweep,
    "rkc2": rkc2,
    "v-cycle": v_cycle,
    "stage": stage,
    "step": step,
    "run": run,
    "batch": batch,
}


# --- rows ---------------------------------------------------------------------------------------------------


def kept(folder: Path, grid: str, precision: str, work: Work, compiled: Any) -> None:
    """Keep a program that advances runs."""
    if work.space:
        prebuilt.keep(folder, prebuilt.name(grid, precision, work.wide), compiled, work.arguments, work.space)


def row(work: Work, case: Case, target: Target, keep: Callable[[Any], None] | None = None) -> Row:
    """The figures of a program. keep: what else is done with it, compiled."""
    began, cpu = perf_counter(), process_time()
    traced: Any = work.function if hasattr(work.function, "trace") else jax.jit(work.function)
    with tempfile.TemporaryDirectory() as folder, jax.default_device("gpu"):
        lowered = traced.trace(*work.arguments).lower()
        compiled = lowered.compile(compiler_options={"xla_dump_to": folder, **advance.GRAPHS})
        found, once = read(Path(folder), work.trips), None
        if "attempts" in work.trips:
            once = read(Path(folder), work.trips | {"attempts": 0})
            found = found.without(once)
    if keep is not None:
        keep(compiled)
    needed = None if work.arrays is None else work.arrays * case.array
    memory: Any = compiled.memory_analysis()
    return {
        "program": work.name,
        "target": target.name,
        "launches": found.count(),
        "once": None if once is None else once.count(),
        "bytes_once": None if once is None else once.bytes,
        "graph_launches": found.count(graph=True),
        "host_waits": found.waits,
        "graphs": found.graphs,
        "copies": found.count(kind="kCopy"),
        "of_one_warp": found.of_one_warp,
        "bytes": found.bytes,
        "bytes_needed": needed,
        "MB": found.bytes / 1e6,
        "MB_needed": None if needed is None else needed / 1e6,
        "scatters": found.scatters,
        "temporary_MB": memory.temp_size_in_bytes / 1e6,
        "model_ms": 1e3 * model(found, work, case, target, in_a_call=once is not None),
        "compile_s": perf_counter() - began,
        "compile_cpu_s": process_time() - cpu,
        "kinds": found.kinds,
        "loops_unknown": len(found.unknown),
    }


def model(found: Program, work: Work, case: Case, target: Target, in_a_call: bool) -> float:
    """The time of one call, or of a part of one, s: the larger of what the device and what Python takes.

    A launch takes the time of its bytes, at the rate of a copy or, where all of the program's fields stay in
    the cache, of the cache; at least the time of an empty launch.
    """
    array = case.array * work.wide
    rate = target.copy if found.bytes > target.l2 and array > target.l2 / 25 else L2_RATE
    busy = sum(x.times * max(x.bytes / rate, GRAPH if x.graph else STREAM) for x in found.launches)
    if in_a_call:
        return busy + found.waits * WAIT
    leaves = len(jax.tree.leaves(work.arguments))
    return max(busy + found.graphs * GRAPHS + found.waits * WAIT, CALL + leaves * ARGUMENT)
