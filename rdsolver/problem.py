"""One run, described in plain objects: what a config is turned into and what the simulation takes.

Nothing in here needs pydantic or pint, so a run can be set up in Python on a machine that has neither.
All numbers are in internal units (um, d, nM, cells/mm3, mg/kg).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .domain.borders import Border
from .domain.grid import Grid
from .domain.nests import Nests
from .domain.section import Section
from .errors import InputError
from .models.base import Parameter
from .models.bone.binders import Binder
from .models.bone.parameters import parameters
from .models.bone.pharmacokinetics import BISPHOSPHONATE, Dose, Treatment

if TYPE_CHECKING:
    from .models.bone.extension import Extension
    from .models.pointwise import ReactionDiffusion


@dataclass(frozen=True)
class Change:
    """A parameter multiplied by `factor` from `start` (d) until `end` (d; inf: for good).

    It acts in the run alone, never on the healthy baseline.
    """

    parameter: str
    factor: float
    start: float
    end: float = float("inf")


LEAST_TOLERANCE = {"float32": 1e-6, "float64": 1e-12}  # round-off of a step, relative to the scales, with a digit to spare
MOST_TOLERANCE = 0.1


@dataclass(frozen=True)
class Solver:
    integrator: Literal["auto", "tr-bdf2", "rkc2", "etdrk4"] = "auto"
    tolerance: float = 1e-3
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"  # cpu | gpu | gpu:N

    def __post_init__(self) -> None:
        if not LEAST_TOLERANCE[self.precision] <= self.tolerance <= MOST_TOLERANCE:
            least = LEAST_TOLERANCE[self.precision]
            more = f' (down to {LEAST_TOLERANCE["float64"]:g} with precision = "float64").' if self.precision == "float32" else "."
            raise InputError(
                f"solver.tolerance = {self.tolerance:g} in {self.precision} is out of reach. Allowed: {least:g} to {MOST_TOLERANCE:g}{more}"
            )


@dataclass(frozen=True)
class Output:
    """What is saved: fields (None: all), every stride-th cell of the crop (index ranges, one (start, stop) an axis)."""

    fields: tuple[str, ...] | None = None
    stride: int = 1
    crop: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Problem:
    """Everything that one run needs.

    tissue      "bone", or one of models.bone.tissue.TISSUES: then the section's bone is the share of target tissue
    extension   what is added to the bone model
    agents      the drugs whose fields the run carries
    treatments  doses that wait for a lesion
    parameters  a value for each of `rows`
    end         d
    save        times of saved states, d, increasing, within [0, end]
    bisphosphonate  whether one may be given; membrane: whether part of RANKL stays on cells
    tumour      where it begins, on day 0; None: there is none, and the run carries no field of it
    borders     conditions where something passes; all else is closed
    initial     run.h5 of the run that this one goes on from
    config      the resolved input as JSON, kept in the output
    """

    section: Section
    parameters: dict[str, float]
    end: float
    save: tuple[float, ...]
    preset: str = "human"
    tissue: str = "bone"
    extension: Extension | None = None
    agents: tuple[Binder, ...] = ()
    doses: tuple[Dose, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    changes: tuple[Change, ...] = ()
    bisphosphonate: bool = False
    membrane: bool = False
    tumour: Nests | None = None
    borders: tuple[Border, ...] = ()
    solver: Solver = field(default_factory=Solver)
    output: Output = field(default_factory=Output)
    initial: Path | None = None
    title: str = ""
    config: str = "{}"

    @property
    def grid(self) -> Grid:
        return self.section.grid

    @property
    def rows(self) -> tuple[Parameter, ...]:
        """What the run's parameters are."""
        added = self.extension.rows if self.extension else ()
        return parameters(self.agents, self.tumour is not None, self.bisphosphonate, self.membrane, self.tissue, added)


@dataclass(frozen=True, eq=False)
class ModelProblem:
    """Any model on a box, from a given state; times and lengths in the model's own units.

    parameters  a value for each of the model's
    initial     of each field a number or an array on the grid (a field left out starts at 0)
    active      True in the cells that are solved (None: all); nothing passes into the others, except through borders
    medium      relative mobility of each cell, in (0, 1] or any positive scale (None: 1)
    arrays      further cell arrays that the model's rates read by name
    """

    model: ReactionDiffusion
    grid: Grid
    parameters: Mapping[str, float]
    initial: Mapping[str, float | np.ndarray]
    end: float
    save: tuple[float, ...] = ()
    active: np.ndarray | None = None
    medium: np.ndarray | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    borders: tuple[Border, ...] = ()
    solver: Solver = field(default_factory=Solver)


ARRAYS_PER_FIELD, ARRAYS_MORE = 16, 60
"""Whole-grid arrays alive in an implicit stage, per field and besides; measured as peak memory of whole runs (docs/numerics.md)."""


def host_memory() -> int | None:
    """Bytes free on this machine, None where it does not say."""
    try:
        with open("/proc/meminfo") as f:
            rows = dict(line.split(":", 1) for line in f)
        return int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def memory_needed(cells: int, fields: int, precision: str) -> int:
    """Estimate of the bytes a run takes at most."""
    return cells * (ARRAYS_PER_FIELD * fields + ARRAYS_MORE) * (8 if precision == "float64" else 4)


def check_memory(cells: int, fields: int, precision: str, free: int | None) -> None:
    """Raises InputError when a run would not fit into `free` bytes (None: unknown, not checked)."""
    need = memory_needed(cells, fields, precision)
    if free is not None and need > free:
        raise InputError(
            f"section: {cells:,} cells with {fields} fields in {precision} need about {need / 2**30:.1f} GiB of memory, "
            f"and {free / 2**30:.1f} GiB are free. Use a coarser section.spacing, a smaller section.size or crop, or float32."
        )


def describe_doses(problem: Problem) -> str:
    """The doses in words, e.g. "RANK-Fc 3 mg/kg sc at 20 d"."""
    labels = {a.name: a.label for a in problem.agents} | {BISPHOSPHONATE: BISPHOSPHONATE}
    groups: dict[tuple[str, float, str, str], list[float]] = {}
    for since, doses in (("", problem.doses), *((f" after a lesion of {t.lesion:g} mm2", t.doses) for t in problem.treatments)):
        for d in doses:
            groups.setdefault((d.agent, d.amount, d.route, since), []).append(d.time)
    return "; ".join(
        f"{labels[agent]} {amount:g} mg/kg {route} at {', '.join(f'{t:g}' for t in times[:4])}{' ...' if len(times) > 4 else ''} d{since}"
        for (agent, amount, route, since), times in groups.items()
    )
