"""The grid: a box of equal rectangular cells in two or three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

import numpy as np

from ..errors import InputError, shown
from ..utils import checks

Border = Literal["no-flux", "periodic"]
BORDERS = Border.__args__
AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Grid:
    """A cell-centred grid; arrays on it are indexed (z, y, x) or (y, x), with x contiguous.

    shape      cells along each axis
    spacing    edge of a cell along each axis, um
    origin     corner of the first cell, um; centres lie at origin + (i + 1/2) spacing
    borders    conditions at the two ends of each axis
    thickness  thickness of a 2D section, um, so that a count per mm3 has a meaning (None in 3D)
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...] = ()
    borders: tuple[Border, ...] = ()
    thickness: float | None = None

    def __post_init__(self) -> None:
        shape = checks.several(
            "grid.shape",
            self.shape,
            partial(checks.whole, least=1),
            "the cells along each axis, such as (64, 64)",
        )
        n = len(shape)
        if n not in (2, 3):
            raise InputError(
                f"grid.shape = {shown(self.shape)} has {n} axes, and a grid has 2 or 3. A line is (1,"
                f" {n and shape[0]})."
            )
        length = partial(checks.number, unit="um", above=0)
        spacing = checks.several(
            "grid.spacing", self.spacing, length, "an edge for each axis, in um, such as (10.0, 10.0)"
        )
        origin = (
            checks.several(
                "grid.origin", self.origin, partial(checks.number, unit="um"), "a place for each axis, in um"
            )
            or (0.0,) * n
        )
        ends = partial(checks.word, allowed=BORDERS)
        borders = checks.several(
            "grid.borders", self.borders, ends, 'a word for each axis, such as ("periodic", "periodic")'
        )
        borders = borders or ("no-flux",) * n
        for name, values in {"spacing": spacing, "origin": origin, "borders": borders}.items():
            if len(values) != n:
                raise InputError(
                    f"grid.{name} has {len(values)} entries, and the grid {n} axes. Give one for each:"
                    f" {', '.join(AXES[-n:])}."
                )
        if (n == 2) != (self.thickness is not None):
            found = (
                "missing: a 2D grid needs one, in um"
                if n == 2
                else f"{self.thickness!r}, and a 3D grid has none. Leave it out"
            )
            raise InputError(f"grid.thickness is {found}.")
        thickness = None if self.thickness is None else length("grid.thickness", self.thickness)
        checks.settle(self, shape=shape, spacing=spacing, origin=origin, borders=borders, thickness=thickness)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def axes(self) -> tuple[str, ...]:
        return AXES[3 - self.ndim :]

    @property
    def cells(self) -> int:
        return prod(self.shape)

    @property
    def cell_volume(self) -> float:
        """The volume of one cell, um3."""
        return float(np.prod(self.spacing)) * (self.thickness if self.thickness is not None else 1.0)

    def centres(self, axis: int) -> np.ndarray:
        """The coordinates of the cell centres along an axis, um."""
        return self.origin[axis] + (np.arange(self.shape[axis]) + 0.5) * self.spacing[axis]
