"""The grid: a box of equal rectangular cells in two or three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

Border = Literal["no-flux", "periodic"]


@dataclass(frozen=True)
class Grid:
    """Cell-centred grid; arrays on it are indexed (z, y, x) or (y, x), x contiguous.

    shape      cells along each axis
    spacing    edge of a cell along each axis, um
    origin     corner of the first cell, um; centres lie at origin + (i + 1/2) spacing
    borders    what happens at the two ends of each axis
    thickness  um; of a 2D section, so that a count per mm3 means something (None in 3D)
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...] = ()
    borders: tuple[Border, ...] = ()
    thickness: float | None = None

    def __post_init__(self) -> None:
        n = len(self.shape)
        if n not in (2, 3) or len(self.spacing) != n:
            raise ValueError(f"a grid has 2 or 3 axes, got shape {self.shape} and spacing {self.spacing}")
        if (n == 2) != (self.thickness is not None):
            raise ValueError("a 2D grid needs a thickness and a 3D grid has none")
        object.__setattr__(self, "origin", self.origin or (0.0,) * n)
        object.__setattr__(self, "borders", self.borders or ("no-flux",) * n)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def axes(self) -> tuple[str, ...]:
        return ("z", "y", "x")[3 - self.ndim :]

    @property
    def cells(self) -> int:
        return prod(self.shape)

    @property
    def cell_volume(self) -> float:
        """Volume of one cell, um3."""
        return float(np.prod(self.spacing)) * (self.thickness if self.thickness is not None else 1.0)

    def centres(self, axis: int) -> np.ndarray:
        """Coordinates of the cell centres along an axis, um."""
        return self.origin[axis] + (np.arange(self.shape[axis]) + 0.5) * self.spacing[axis]
