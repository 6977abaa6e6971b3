"""What every model declares. No JAX in here: the command line and the output read it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mark = Literal["V", "C", "A", "U", "V/A", "C/A", "C/U", "U/A", "A/U"]
"""Provenance: V read in a published source or its code, C computed from V, A our assumption or calibration, U general knowledge."""


@dataclass(frozen=True)
class Field:
    """One spatial unknown.

    scale: its typical size, in `unit`; tolerances are relative to it.
    """

    name: str
    unit: str
    scale: float
    label: str


@dataclass(frozen=True)
class Series:
    """One observable: a number at every accepted step."""

    name: str
    unit: str
    label: str


@dataclass(frozen=True)
class Parameter:
    """One number of a model, with where it comes from.

    value is in `unit`; low and high are the plausible range (a value outside it earns a warning),
    minimum the physical bound (below it: an error). presets holds values that differ from `value`.
    """

    name: str
    value: float
    unit: str
    meaning: str
    source: str
    mark: Mark
    low: float
    high: float
    symbol: str = ""
    minimum: float = 0.0
    presets: tuple[tuple[str, float], ...] = ()

    def default(self, preset: str) -> float:
        return dict(self.presets).get(preset, self.value)


@dataclass(frozen=True)
class Group:
    """Fields that an implicit stage solves together; a stage goes through a model's groups in order.

    solve   "transport": Newton step with multigrid (one field or several, coupled by their pointwise reaction);
            "pointwise": closed form in each cell, given by the model
    cycles  V-cycles a solve
    medium  name of the cell-wise relative mobility all its fields move in
    """

    name: str
    fields: tuple[str, ...]
    solve: Literal["transport", "pointwise"]
    cycles: int = 0
    medium: str = ""
