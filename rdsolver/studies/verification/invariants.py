"""Invariants of every run: budgets, positivity, symmetry, reproducible bits, float32 close to float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from ...geometry.boundary_conditions import Border
from ...geometry.grid import Grid
from ...geometry.section import Section
from ...models.verification import DECOY, DECOY_VALUES, decoy_sources
from ...problem import ModelProblem, Problem
from ...simulation.time_loop import Simulation
from ...timestepping.trbdf2 import TRBDF2
from .bone_problems import dosed, oblique, section, small
from .replay import arrays, distance, loaded, names, one_step, replay, tight
from .results import Curve, Row, at_least, at_most, lowest, worst

RAMP = [0.002 * 1.5**i for i in range(12)]  # d; steps as they grow after a dose


# --- budgets ------------------------------------------------------------------------------------------------


def imbalance(problem: Problem, cycles: int) -> float:
    """The imbalance of the budgets after a ramp of steps: the largest |change - passed| over the amount that
    passed.

    Scalar groups always take two cycles.
    """
    simulation = Simulation(problem)
    system = simulation.system_at_start()
    system = replace(system, cycles={k: np.int32(cycles if k == "molecules" else 2) for k in system.cycles})
    attempts = replay(TRBDF2(), system, simulation.u, RAMP, 1e-3)
    begin, end = arrays(simulation.u), arrays(attempts[-1].u)

    def off(name: str) -> float:
        came, lost = (sum(t.passed()[f"{name}.{side}"] for t in attempts) for side in ("source", "loss"))
        change = sum(end[k].sum() - begin[k].sum() for k in system.model.budgets[name])
        return abs(change - came + lost) / max(abs(came) + abs(lost), 1e-300)

    return worst(off(name) for name in system.model.budgets)


def budgets(quick: bool) -> Iterator[Row | Curve]:
    """The budgets of RANKL and each of its binders; two drugs, one to three V-cycles, closed and open
    borders.
    """
    agents = ("rank_fc",) if quick else ("rank_fc", "fc_opg")
    for cycles in (2,) if quick else (1, 2, 3):
        text = f"{cycles} V-cycle{'s' if cycles > 1 else ''} a solve"
        off = imbalance(dosed(small(quick), agents=agents), cycles)
        yield at_most(f"invariants: budgets of RANKL, OPG, {', '.join(agents)}, {text}", 1e-12, off)
    way_out = (
        Border("rankl", "value", axis="x", side="low", value=0.0),
        Border("rank_fc", "exchange", axis="y", side="high", value=0.0, exchange=1e4),
        Border("opg", "flux", axis="x", side="high", flux=5.0),
    )
    off = imbalance(dosed(small(quick), agents=agents, borders=way_out), 2)
    yield at_most("invariants: budgets with open borders (value, exchange, flux)", 1e-12, off)


# --- positivity ---------------------------------------------------------------------------------------------


def positivity(quick: bool) -> Iterator[Row | Curve]:
    """The lowest value of any density over its tolerance, under a strong dose, then with RANKL x 20.

    A step below -1 is not accepted.
    """
    for name in ("tr-bdf2",) if quick else names()[:2]:
        for surge in (1.0, 20.0):
            problem = dosed(small(quick), end=3.0 if quick else 30.0, surge=surge, integrator=name)
            simulation = Simulation(problem, attempts=1)
            scale = {f.name: f.scale for f in simulation.fields}
            least = lowest(
                float(np.asarray(simulation.u[k]).min()) / s
                for _ in simulation.steps()
                for k, s in scale.items()
            )
            label = "a dose" if surge == 1 else "a dose, RANKL production x 20"
            yield at_least(
                f"invariants: lowest density by {name}, {label}, over the tolerance",
                -1.0,
                least / problem.solver.tolerance,
            )


# --- symmetry -----------------------------------------------------------------------------------------------


def symmetry(quick: bool) -> Iterator[Row | Curve]:
    """A mirrored section, and one with its axes exchanged, must give the mirrored and exchanged result with
    the same steps.
    """
    place = small(quick)
    ways = {"mirrored": lambda b: b[:, ::-1], "axes exchanged": lambda b: b.T}
    for name in ("tr-bdf2",) if quick else ("tr-bdf2", "rkc2"):
        plain = _after(place, name)
        for text, turn in ways.items():
            turned = _after(replace(place, bone=turn(place.bone).copy()), name)
            off = worst(float(np.abs(turned[k] - turn(v)).max() / np.abs(v).max()) for k, v in plain.items())
            yield at_most(f"invariants: section {text}, {name}, largest relative difference", 1e-11, off)
    if not quick:
        block = section(12, 3)
        plain, turned = (
            _after(block, "tr-bdf2"),
            _after(replace(block, bone=np.transpose(block.bone, (2, 0, 1)).copy()), "tr-bdf2"),
        )
        off = worst(
            float(np.abs(turned[k] - np.transpose(v, (2, 0, 1))).max() / np.abs(v).max())
            for k, v in plain.items()
        )
        yield at_most(
            "invariants: block with its axes permuted, tr-bdf2, largest relative difference", 1e-11, off
        )
        yield _odd_mirrored()


def _odd_mirrored() -> Row:
    """A mirrored section of odd size, which agrees to the tolerance, but not to round-off.

    Odd sizes are padded at one end, so the error left by the V-cycles is not mirrored.
    """
    place = oblique(11)
    plain, turned = (
        _after(place, "tr-bdf2"),
        _after(replace(place, bone=place.bone[:, ::-1].copy()), "tr-bdf2"),
    )
    off = worst(float(np.abs(turned[k][:, ::-1] - v).max() / np.abs(v).max()) for k, v in plain.items())
    return at_most(
        "invariants: section of odd size mirrored, tr-bdf2 at tolerance 1e-3, largest relative difference",
        1e-3,
        off,
    )


def _after(place: Section, name: str) -> dict[str, np.ndarray]:
    simulation = Simulation(dosed(place, integrator=name))
    system = simulation.system_at_start()
    return arrays(replay(loaded(name, system), system, simulation.u, RAMP, 1e-3)[-1].u)


# --- the same bits ------------------------------------------------------------------------------------------


Run = list[tuple[float, float, dict[str, np.ndarray]]]
"""(time, step, fields) after each step."""


def pieces(quick: bool) -> Iterator[Row | Curve]:
    """The number of cells that differ in any bit with other saved times, with more attempts in a call of the
    program, or after continuing from the state that a step left.
    """
    for name in ("tr-bdf2", "rkc2"):
        problem = dosed(small(quick), end=1.0, integrator=name)
        straight = _one_by_one(problem)
        often = _one_by_one(replace(problem, save=tuple(np.linspace(0, 1, 23))))
        yield at_most(f"invariants: cells changed by 23 saved times, {name}", 0, _differing(straight, often))
        at_once = Simulation(problem, attempts=7)
        times = [step.t for step in at_once.steps()]
        same_times = times == [t for t, *_ in straight]
        off = _changed(arrays(at_once.u), straight[-1][2]) if same_times else np.inf
        yield at_most(f"invariants: cells changed by 7 attempts in a call instead of 1, {name}", 0, off)
        yield at_most(
            f"invariants: cells changed by going on, after every step, from a copy, {name}",
            0,
            _restarted(problem, straight),
        )


def _one_by_one(problem: Problem) -> Run:
    simulation = Simulation(problem, attempts=1)
    return [(step.t, step.dt, arrays(simulation.u)) for step in simulation.steps()]


def _changed(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return float(sum(np.count_nonzero(a[k] != b[k]) for k in a))


def _differing(a: Run, b: Run) -> float:
    if [t for t, *_ in a] != [t for t, *_ in b]:
        return float("inf")
    return sum(_changed(x, y) for (*_, x), (*_, y) in zip(a, b, strict=True))


def _restarted(problem: Problem, run: Run) -> float:
    """Do the run's steps at once, and each from a copy on the host of the state that the one before left.
    Return the number of cells that differ.
    """
    simulation = Simulation(problem)
    system, tol = simulation.system_at_start(), problem.solver.tolerance
    integrator = simulation.integrator
    attempts = replay(integrator, system, simulation.u, [dt for _, dt, _ in run[1:]], tol)
    differing = 0.0
    for before, after in pairwise(attempts):
        dt = after.row["dt"]
        left = before.t, _copied(before.u), _copied(before.step_state), dt
        differing += _changed(arrays(one_step(integrator, system, *left, tol).u), arrays(after.u))
    return differing


def _copied(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.numpy.asarray(np.array(x)), tree)


# --- float32 ------------------------------------------------------------------------------------------------


def precision(quick: bool) -> Iterator[Row | Curve]:
    """The error norm of the difference when the float64 run's own steps are repeated in float32, over a tenth
    of the tolerance.
    """
    if quick:
        yield _float32(small(quick), "tr-bdf2", 4.0)
        return
    for cells, end in ((32, 12.0), (128, 4.0), (512, 0.05)):
        yield _float32(section(cells), "tr-bdf2", end)
    yield _float32(section(64), "rkc2", 1.0)
    yield _many_stages()


def _float32(place: Section, name: str, end: float) -> Row:
    wide = dosed(place, end=end, integrator=name)
    simulation = Simulation(wide)
    steps = [step.dt for step in simulation.steps()][1:]
    off = _between(wide, simulation.u, steps, name)
    text = f"{place.grid.shape[0]}^2, {name}, {len(steps)} steps replayed"
    return at_most(
        f"invariants: float32 against float64, {text}, over tolerance/10",
        1.0,
        off / (wide.solver.tolerance / 10),
    )


def _between(
    wide: Problem | ModelProblem, want: Mapping[str, jax.Array], steps: list[float], name: str
) -> float:
    """The worst field's relative L2 distance of the float32 replay."""
    narrow = Simulation(replace(wide, solver=replace(wide.solver, precision="float32")))
    system = narrow.system_at_start()
    got = replay(loaded(name, system), system, narrow.u, steps, wide.solver.tolerance)[-1].u
    return distance(got, want, {f.name: f.scale for f in narrow.fields})


def _many_stages() -> Row:
    """Binding on cells of 2 um, without drift that limits the step: three steps of 1000 stages."""
    grid = Grid((64, 64), (2.0, 2.0), thickness=10.0)
    wide = ModelProblem(
        DECOY, grid, DECOY_VALUES, {}, 1e5, arrays=decoy_sources(grid), solver=tight("rkc2", 1e-3)
    )
    simulation = Simulation(wide)
    system = simulation.system_at_start()
    integrator = simulation.integrator
    dt = 0.999 * float(integrator.limits(system, jax.numpy.zeros(()), simulation.u).longest)
    attempts = replay(integrator, system, simulation.u, [dt] * 3, 1e-3)
    stages = int(max(t.row["stages"] for t in attempts))
    off = _between(wide, attempts[-1].u, [dt] * 3, "rkc2")
    return at_most(
        f"invariants: float32 against float64, rkc2, 3 steps of {stages} stages, over tolerance/10",
        1.0,
        off / 1e-4,
    )


STUDIES = (budgets, positivity, symmetry, pieces, precision)
