"""The runs that the targets of the model look at: sections of bone, healthy or with a tumour, with and without drugs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from ..domain.grid import Grid
from ..domain.nests import Nests
from ..domain.resampling import average
from ..domain.section import Section, slab
from ..domain.trabeculae import trabecular
from ..models.bone.binders import drug
from ..models.bone.parameters import parameters
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose
from ..problem import Change, Problem, Solver
from ..simulation import Simulation
from .runs import State, arrays

Where = Literal["section", "block", "slab"]
SIZE = 1280.0  # um
FINEST = 5.0  # um; where grids are compared, the bone of this one is averaged down
SLAB, SLAB_WIDTH, SLAB_LENGTH = 300.0, 80.0, 1600.0  # um: a flat piece of bone, and the box that it lies at the low end of
BLOCK, BLOCK_SPACING = 24, 25.0  # cells an edge, um
FRACTION, THICKNESS = 0.25, 120.0  # human; a mouse's trabeculae are half as thick


@dataclass(frozen=True)
class Scene:
    """One run, by what a target changes in it. Hashable, so that targets share runs.

    kind: of the tumour; changed: parameters; changes: of parameters in time; thickness: of the trabeculae, um
    membrane: part of RANKL on membranes
    place: trabeculae as a section or a block, or a flat slab; spacing: of the bone at FINEST averaged down, um (None: the stage's own)
    """

    end: float
    preset: str = "human"
    doses: tuple[Dose, ...] = ()
    tumour: Nests | None = None
    kind: str = "metastasis"
    changed: tuple[tuple[str, float], ...] = ()
    changes: tuple[Change, ...] = ()
    thickness: float = THICKNESS
    membrane: bool = False
    place: Where = "section"
    spacing: float | None = None


@dataclass(frozen=True)
class Outcome:
    """Series over time, and the state at the end."""

    series: dict[str, np.ndarray]
    state: State

    def at(self, name: str, day: float) -> float:
        return float(np.interp(day, self.series["time"], self.series[name]))

    def end(self, name: str) -> float:
        return float(self.series[name][-1])

    def relative(self, name: str) -> np.ndarray:
        """Over its start."""
        return self.series[name] / self.series[name][0]

    def lost(self) -> float:
        """Bone lost since the start, of all of it."""
        return 1 - float(self.relative("bone_volume_fraction")[-1])

    def mean(self, name: str) -> float:
        """Over time."""
        return float(np.trapezoid(self.series[name], self.series["time"]) / (self.series["time"][-1] - self.series["time"][0]))

    def near_tumour(self, name: str) -> float:
        """Mean of a field where there is tumour, at the end."""
        weight = np.maximum(self.state["tumour"], 0)
        return float((weight * self.state[name]).sum() / max(weight.sum(), 1e-30))


class Stage:
    """Where scenes are run: the spacing of the section and its seed."""

    def __init__(self, quick: bool, seed: int, spacing: float | None = None, size: float = SIZE) -> None:
        """spacing: um (default: 20 quick, else 10); size: of a section, um."""
        self.quick, self.seed, self.size = quick, seed, size
        self.spacing = spacing or (20.0 if quick else 10.0)
        self._found: dict[Scene, Outcome] = {}

    def __call__(self, scene: Scene) -> Outcome:
        if scene not in self._found:
            self._found[scene] = self._run(scene)
        return self._found[scene]

    def _run(self, scene: Scene) -> Outcome:
        agents = tuple(drug(name) for name in dict.fromkeys(d.agent for d in scene.doses) if name != BISPHOSPHONATE)
        bisphosphonate = any(d.agent == BISPHOSPHONATE for d in scene.doses)
        rows = parameters(agents, tumour=scene.tumour is not None, bisphosphonate=bisphosphonate, membrane=scene.membrane)
        values = {p.name: p.default(scene.preset, scene.kind) for p in rows} | dict(scene.changed)
        problem = Problem(
            self._place(scene),
            values,
            scene.end,
            (),
            preset=scene.preset,
            agents=agents,
            doses=scene.doses,
            changes=scene.changes,
            bisphosphonate=bisphosphonate,
            membrane=scene.membrane,
            tumour=scene.tumour,
            solver=Solver("tr-bdf2"),
        )
        simulation = Simulation(problem)
        found = [{"time": chunk.t} | chunk.observed for chunk in simulation.chunks()]
        return Outcome({k: np.array([r[k] for r in found]) for k in found[0]}, arrays(simulation.u))

    def _place(self, scene: Scene) -> Section:
        if scene.place == "slab":
            h = scene.spacing or self.spacing
            return slab(Grid((round(SLAB_WIDTH / h), round(SLAB_LENGTH / h)), (h, h), thickness=10.0), thickness=SLAB)
        if scene.place == "block":
            return trabecular(Grid((BLOCK,) * 3, (BLOCK_SPACING,) * 3), FRACTION, scene.thickness, self.seed)
        if scene.spacing is None:
            return _section(self.size, self.spacing, scene.thickness, self.seed)
        fine = _section(self.size, FINEST, scene.thickness, self.seed)
        n, h = round(self.size / scene.spacing), scene.spacing
        grid = Grid((n, n), (h, h), thickness=10.0)
        return Section(grid, average(fine.bone, fine.grid.spacing, grid.shape, grid.spacing), np.ones(grid.shape, bool), fine.record)


@lru_cache(maxsize=8)
def _section(size: float, spacing: float, thickness: float, seed: int) -> Section:
    n = round(size / spacing)
    return trabecular(Grid((n, n), (spacing, spacing), thickness=10.0), FRACTION, thickness, seed)


def every(agent: str, amount: float, days: float, end: float, begin: float = 0.0) -> tuple[Dose, ...]:
    """Doses under the skin at an interval."""
    return tuple(Dose(agent, amount, "sc", float(t)) for t in np.arange(begin, end - 1e-9, days))
