"""Invariants of every run: budgets, positivity, symmetry, reproducible bits, float32 close to float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from ...simulation.time_loop import Chunk, Simulation
from ...timestepping import rkc
from ...timestepping.registry import INTEGRATORS
from ...timestepping.rkc import RKC2
from ...timestepping.trbdf2 import TRBDF2
from .bone_problems import dosed, oblique, section, small
from .replay import arrays, distance, names, one_step, replay, tight
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
    attempts = replay(TRBDF2(), system, 0.0, simulation.u, RAMP, 1e-3)
    begin, end = arrays(simulation.u), arrays(attempts[-1].u)

    def off(name: str) -> float:
        came, lost = (sum(float(t.passed[f"{name}.{side}"]) for t in attempts) for side in ("source", "loss"))
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
            simulation = Simulation(problem)
            scale = {f.name: f.scale for f in simulation.fields}
            least = lowest(
                float(np.asarray(c.u[k]).min()) / s for c in simulation.chunks() for k, s in scale.items()
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
    return arrays(
        replay(INTEGRATORS[name].load(), simulation.system_at_start(), 0.0, simulation.u, RAMP, 1e-3)[-1].u
    )


# --- the same bits ------------------------------------------------------------------------------------------


def pieces(quick: bool) -> Iterator[Row | Curve]:
    """The number of cells that differ in any bit with other saved times, after continuing from the state that
    a step left, or with other pieces of a step.
    """
    for name in ("tr-bdf2", "rkc2"):
        problem = dosed(small(quick), end=1.0, integrator=name)
        straight = list(Simulation(problem).chunks())
        often = list(Simulation(replace(problem, save=tuple(np.linspace(0, 1, 23)))).chunks())
        yield at_most(f"invariants: cells changed by 23 saved times, {name}", 0, _differing(straight, often))
        yield at_most(
            f"invariants: cells changed by going on, after every step, from a copy, {name}",
            0,
            _restarted(problem, straight),
        )
    with _stages_a_piece(5):
        short = list(Simulation(dosed(small(quick), end=1.0, integrator="rkc2")).chunks())
    yield at_most(
        "invariants: cells changed by pieces of 5 stages instead of 64, rkc2", 0, _differing(straight, short)
    )


def _differing(a: list[Chunk], b: list[Chunk]) -> float:
    if [c.t for c in a] != [c.t for c in b]:
        return float("inf")
    return float(
        sum(
            np.count_nonzero(np.asarray(x.u[k]) != np.asarray(y.u[k]))
            for x, y in zip(a, b, strict=True)
            for k in x.u
        )
    )


def _restarted(problem: Problem, chunks: list[Chunk]) -> float:
    """Do the run's steps at once, and each from a copy on the host of the state that the one before left.
    Return the number of cells that differ.
    """
    simulation, integrator = Simulation(problem), INTEGRATORS[problem.solver.integrator].load()
    system, tol = simulation.system_at_start(), problem.solver.tolerance
    attempts = replay(integrator, system, 0.0, simulation.u, [c.dt for c in chunks[1:]], tol)
    differing = 0
    for before, after in pairwise(attempts):
        again = one_step(
            integrator, system, before.t, _copied(before.u), _copied(before.step_state), after.dt, tol
        )
        differing += sum(np.count_nonzero(np.asarray(again.u[k]) != np.asarray(after.u[k])) for k in after.u)
    return float(differing)


def _copied(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.numpy.asarray(np.array(x)), tree)


@contextmanager
def _stages_a_piece(stages: int) -> Iterator[None]:
    usual = rkc.PIECE
    rkc.PIECE = stages
    try:
        yield
    finally:
        rkc.PIECE = usual


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
    steps = [c.dt for c in simulation.chunks()][1:]
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
    got = replay(
        INTEGRATORS[name].load(), narrow.system_at_start(), 0.0, narrow.u, steps, wide.solver.tolerance
    )[-1].u
    return distance(got, want, {f.name: f.scale for f in narrow.fields})


def _many_stages() -> Row:
    """Binding on cells of 2 um, without drift that limits the step: three steps of 1000 stages."""
    grid = Grid((64, 64), (2.0, 2.0), thickness=10.0)
    wide = ModelProblem(
        DECOY, grid, DECOY_VALUES, {}, 1e5, arrays=decoy_sources(grid), solver=tight("rkc2", 1e-3)
    )
    simulation = Simulation(wide)
    system = simulation.system_at_start()
    dt = 0.999 * RKC2().largest_dt(system, 0.0, simulation.u)
    attempts = replay(RKC2(), system, 0.0, simulation.u, [dt] * 3, 1e-3)
    stages = int(np.max([t.stats["stages"] for t in attempts]))
    off = _between(wide, attempts[-1].u, [dt] * 3, "rkc2")
    return at_most(
        f"invariants: float32 against float64, rkc2, 3 steps of {stages} stages, over tolerance/10",
        1.0,
        off / 1e-4,
    )


STUDIES = (budgets, positivity, symmetry, pieces, precision)
