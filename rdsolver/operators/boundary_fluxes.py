"""Open boundary conditions, computed as an exchange with the cells beside them.

At a face with the value g beyond a resistance ρ, the flux into the cell is (g - u)/(h/(2 D) + ρ): diffusion
through half a cell, then the border (ρ = 0: the value holds at the face; ρ = 1/exchange: Robin). Per volume
of the cell this is k (g - u), which is pointwise. So operators do not depend on borders: a cell beside a
border has a loss k and a source k g, and the multigrid has a larger diagonal. The scheme is of second order
for smooth fields, and conservative: substance that enters is counted in the budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..geometry.boundary_conditions import Border
from ..geometry.grid import Grid
from .array_types import Cells, Number


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["contact", "value", "resistance", "flux"],
    meta_fields=["field"],
)
@dataclass(frozen=True)
class Edge:
    """One boundary condition.

    contact     area of its faces per volume of a cell, 1/um, for each axis
    value       value beyond the border
    resistance  resistance of the border, time/um
    flux        given flux
    """

    field: str
    contact: tuple[Cells | None, ...]  # None: the condition has no face across that axis
    value: Number
    resistance: Number
    flux: Number


def edge(border: Border, grid: Grid, active: np.ndarray, dtype: np.dtype) -> Edge:
    """A boundary condition on a grid. Raises InputError as Border.contact does."""
    contact = tuple(jnp.asarray(c, dtype) if c.any() else None for c in border.contact(grid, active))
    shut = border.kind == "flux" or (border.kind == "exchange" and border.exchange == 0)
    resistance = np.inf if shut else 1 / border.exchange if border.kind == "exchange" else 0.0
    return Edge(
        border.field,
        contact,
        jnp.asarray(border.value, dtype),
        jnp.asarray(resistance, dtype),
        jnp.asarray(border.flux if border.kind == "flux" else 0.0, dtype),
    )


def exchange(
    edges: Sequence[Edge], diffusivity: Number, mobility: Cells, spacing: Sequence[float]
) -> tuple[Cells, Cells]:
    """The boundary exchange of one field: loss k (1/time) and source (unit/time) of every cell.

    diffusivity  D
    mobility     relative mobility of each cell
    """
    loss = source = jnp.zeros_like(mobility)
    for e in edges:
        for contact, h in zip(e.contact, spacing, strict=True):
            if contact is not None:
                # zero mobility makes the resistance infinite, and k zero
                k = contact / (h / (2 * diffusivity * mobility) + e.resistance)
                loss, source = loss + k, source + k * e.value + contact * e.flux
    return loss, source
