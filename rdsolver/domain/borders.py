"""What lies beyond the cells that are solved: values, exchange or fluxes at a side or around a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from .grid import Grid

Kind = Literal["value", "exchange", "flux"]


@dataclass(frozen=True, eq=False)
class Border:
    """A condition on one field at one place. Faces without a condition are closed.

    field     its name
    kind      "value": u = value at the face; "exchange" (Robin): what enters is exchange (value - u); "flux": flux enters
    side      "low" or "high" end of `axis` ("z", "y", "x"); or
    mask      cells that are not solved (outside `active`): the condition holds on the faces between them and solved cells
    value     in the field's unit; a number, or an array on the grid, read at the solved cell next to the face
    exchange  um/time, >= 0
    flux      unit um/time, positive inwards; a number or an array like value
    """

    field: str
    kind: Kind
    axis: str = ""
    side: Literal["low", "high", ""] = ""
    mask: np.ndarray | None = None
    value: float | np.ndarray = 0.0
    exchange: float = 0.0
    flux: float | np.ndarray = 0.0

    def contact(self, grid: Grid, active: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each axis, the area of faces under the condition per volume of the solved cell beside them, 1/um.

        Raises InputError for a side that is periodic or unknown, a mask of another shape or with solved cells in it, and
        a condition that touches no solved cell.
        """
        found = tuple(np.zeros(grid.shape) for _ in grid.shape)
        where = f'border of "{self.field}"'
        if self.mask is None:
            if self.axis not in grid.axes or self.side not in ("low", "high"):
                raise InputError(f"{where}: axis {self.axis!r}, side {self.side!r}. Allowed: axis {', '.join(grid.axes)}; side low, high.")
            a = grid.axes.index(self.axis)
            if grid.borders[a] == "periodic":
                raise InputError(f"{where}: axis {self.axis} is periodic, so it has no ends. Make it no-flux, or leave the condition out.")
            end: list[slice | int] = [slice(None)] * grid.ndim
            end[a] = 0 if self.side == "low" else -1
            found[a][tuple(end)] = 1 / grid.spacing[a]
        else:
            if self.mask.shape != grid.shape or np.any(self.mask & active):
                raise InputError(f"{where}: the mask must have the grid's shape {grid.shape} and hold only cells that are not solved.")
            for a, h in enumerate(grid.spacing):
                for step in (1, -1):
                    beside = np.roll(self.mask, step, a)
                    if grid.borders[a] != "periodic":
                        edge: list[slice | int] = [slice(None)] * grid.ndim
                        edge[a] = 0 if step == 1 else -1
                        beside[tuple(edge)] = False
                    found[a][beside] += 1 / h
        found = tuple(f * active for f in found)
        if not any(f.any() for f in found):
            raise InputError(f"{where}: the condition touches no cell that is solved.")
        return found
