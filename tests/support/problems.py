"""Small problems for the tests, set up without a config."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.bone.binders import Binder, drug
from rdsolver.models.bone.component import Component
from rdsolver.models.bone.components import component
from rdsolver.models.bone.components.tumour import Tumour
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.pharmacokinetics import Dose
from rdsolver.parallel import device
from rdsolver.problem import Problem, Solver
from rdsolver.studies.verification import replay

SPACING = 30.0  # um
NEST = Nests(at=((240.0, 200.0),), radius=80.0)


def values(agents: tuple[Binder, ...] = (), preset: str = "human", **changed: float) -> dict[str, float]:
    return {p.name: p.default(preset) for p in parameters(agents)} | changed


def square(n: int = 16, h: float = SPACING, ndim: int = 2) -> Grid:
    return Grid((n,) * ndim, (h,) * ndim, thickness=10.0 if ndim == 2 else None)


def problem(
    grid: Grid | None = None,
    *,
    section: Section | None = None,
    agents: tuple[str, ...] = (),
    doses: tuple[Dose, ...] = (),
    end: float = 10.0,
    save: tuple[float, ...] | None = None,
    integrator: str = "tr-bdf2",
    tolerance: float = 1e-3,
    precision: str = "float64",
    preset: str = "human",
    changed: dict[str, float] | None = None,
    tumour: Nests | None = None,
    components: tuple[str, ...] = (),
    extension: Component | None = None,
    **rest,
) -> Problem:
    """A generated section (BV/TV 0.3, 120 um) unless one is given, with these drugs, doses and components."""
    binders = tuple(map(drug, agents))
    section = trabecular(grid or square(), 0.3, 120.0, 1) if section is None else section
    parts = tuple(component(name)() for name in components)
    parts += (() if tumour is None else (Tumour(tumour),)) + (() if extension is None else (extension,))
    rows = parameters(binders, parts)
    return Problem(
        section,
        {row.name: row.default(preset) for row in rows} | (changed or {}),
        end,
        (0.0, end) if save is None else save,
        agents=binders,
        components=parts,
        preset=preset,
        doses=doses,
        solver=Solver(integrator, tolerance, precision),
        **rest,
    )


def ill(end: float = 40.0, **rest) -> Problem:
    """A section with a tumour."""
    return problem(tumour=NEST, end=end, **rest)


def run(p: Problem):
    """(simulation after its end, all chunks)."""
    from rdsolver.simulation.time_loop import Simulation

    with device.on("cpu"):
        simulation = Simulation(p)
        chunks = list(simulation.steps())
    return simulation, chunks


def under_a_drug():
    """A simulation at the end of day 2, two days after a dose, in a state that a solver left smooth."""
    from rdsolver.simulation.time_loop import Simulation

    doses = (Dose("fc_opg", 1.0, "sc", 0.0),)
    simulation = Simulation(problem(agents=("fc_opg",), doses=doses, end=2.0, tolerance=1e-5))
    for _ in simulation.steps():
        pass
    return simulation


def series(chunks) -> dict[str, np.ndarray]:
    """The observables with their time."""
    return {"time": np.array([c.t for c in chunks])} | {
        k: np.array([c.observed[k] for c in chunks]) for k in chunks[0].observed
    }


def state(simulation) -> dict[str, np.ndarray]:
    return {k: np.asarray(v, float) for k, v in simulation.u.items()}


def errors(got: dict[str, np.ndarray], want: dict[str, np.ndarray], simulation) -> dict[str, float]:
    """Relative L2 distance of each field, floored at 1e-2 of its scale."""
    return replay.errors(got, want, {f.name: f.scale for f in simulation.fields})


def fixed_steps(integrator, system, begin: float, u, end: float, n: int) -> dict[str, np.ndarray]:
    """The state after n equal steps of an integrator from u, whatever their error."""
    ready, steps = integrator.prepared(system), [(end - begin) / n] * n
    return replay.arrays(replay.replay(ready, system, u, steps, 1e-3, begin)[-1].u)


__all__ = [
    "NEST",
    "Dose",
    "drug",
    "errors",
    "fixed_steps",
    "ill",
    "problem",
    "replace",
    "run",
    "series",
    "square",
    "state",
    "under_a_drug",
    "values",
]
