"""Boundary conditions: values, exchange or fluxes at a side of the section or around a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from ..utils import checks
from .grid import Grid

Kind = Literal["value", "exchange", "flux"]


@dataclass(frozen=True, eq=False)
class Border:
    """A condition on one field at one place. Faces without a condition are closed.

    field     name of the field
    kind      "value": u = value at the face; "exchange" (Robin): the inward flux is exchange (value - u);
              "flux": the inward flux is flux
    side      "low" or "high" end of `axis` ("z", "y", "x"); or
    mask      cells that are not solved (outside `active`): the condition holds on the faces between them and
              solved cells
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

    def __post_init__(self) -> None:
        where = f'boundary condition of "{checks.text("border: field", self.field)}":'
        checks.word(f"{where} kind", self.kind, Kind.__args__)
        checks.number(f"{where} exchange", self.exchange, least=0)
        if self.mask is not None and (self.axis or self.side):
            raise InputError(
                f"{where} a side and a mask are given, and it holds at one of them. Leave one out."
            )
        idle = {"value": ("flux", "exchange"), "exchange": ("flux",), "flux": ("value", "exchange")}[
            self.kind
        ]
        for name in idle:
            if np.any(np.asarray(getattr(self, name)) != 0):
                raise InputError(
                    f'{where} {name} has no effect where kind = "{self.kind}". Leave it out, or give another'
                    " kind."
                )
        for name in ("value", "flux"):
            given = getattr(self, name)
            if not np.ndim(given):
                checks.settle(self, **{name: checks.number(f"{where} {name}", given)})

    def contact(self, grid: Grid, active: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each axis, the area of faces with the condition per volume of the solved cell beside them,
        1/um.

        Raises InputError for a side that is periodic or unknown, a mask of another shape or with solved cells
        in it, and a condition that touches no solved cell.
        """
        found = tuple(np.zeros(grid.shape) for _ in grid.shape)
        where = f'boundary condition of "{self.field}"'
        for name in ("value", "flux"):
            checks.either(f"{where}: {name}", getattr(self, name), grid.shape, active)
        if self.mask is None:
            if self.axis not in grid.axes or self.side not in ("low", "high"):
                raise InputError(
                    f"{where}: axis {self.axis!r}, side {self.side!r}. Allowed: axis {', '.join(grid.axes)};"
                    " side low, high."
                )
            a = grid.axes.index(self.axis)
            if grid.borders[a] == "periodic":
                raise InputError(
                    f"{where}: axis {self.axis} is periodic, so it has no ends. Make it no-flux, or leave the"
                    " condition out."
                )
            end: list[slice | int] = [slice(None)] * grid.ndim
            end[a] = 0 if self.side == "low" else -1
            found[a][tuple(end)] = 1 / grid.spacing[a]
        else:
            checks.mask(f"{where}: the mask", self.mask, grid.shape)
            if np.any(self.mask & active):
                raise InputError(f"{where}: the mask must hold only cells that are not solved.")
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
