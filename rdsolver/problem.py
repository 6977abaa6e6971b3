"""One run, described in plain objects: what a config is turned into and what the simulation takes.

Nothing in here needs pydantic or pint, so a run can be set up in Python on a machine that has neither.
All numbers are in internal units (um, d, nM, cells/mm3, mg/kg).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .domain.section import Section
from .models.bone.binders import Binder
from .models.bone.pharmacokinetics import Dose


@dataclass(frozen=True)
class Change:
    """A parameter multiplied by `factor` from `start` (d) until `end` (d; inf: for good).

    It acts in the run alone, never on the healthy baseline.
    """

    parameter: str
    factor: float
    start: float
    end: float = float("inf")


@dataclass(frozen=True)
class Solver:
    integrator: Literal["auto", "tr-bdf2", "rkc2"] = "auto"
    tolerance: float = 1e-3
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"  # cpu | gpu | gpu:N


@dataclass(frozen=True)
class Output:
    """What is saved: fields (None: all), every stride-th cell of the crop (index ranges, one (start, stop) an axis)."""

    fields: tuple[str, ...] | None = None
    stride: int = 1
    crop: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Problem:
    """Everything that one run needs.

    agents      the drugs whose fields the run carries
    parameters  a value for every row of models.bone.parameters.parameters(agents)
    end         d
    save        times of saved states, d, increasing, within [0, end]
    initial     run.h5 of the run that this one goes on from
    config      the resolved input as JSON, kept in the output
    """

    section: Section
    parameters: dict[str, float]
    end: float
    save: tuple[float, ...]
    preset: str = "human"
    agents: tuple[Binder, ...] = ()
    doses: tuple[Dose, ...] = ()
    changes: tuple[Change, ...] = ()
    solver: Solver = field(default_factory=Solver)
    output: Output = field(default_factory=Output)
    initial: Path | None = None
    title: str = ""
    config: str = "{}"
