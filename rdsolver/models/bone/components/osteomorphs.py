"""Osteomorphs, dormant daughters of osteoclasts that fuse again when RANKL returns.

    dOm/dt = y_Om d_C (σ(u) - 1)+ C - k_Om r(uⁿ) (1 - C/Cmax)+ Om - d_Om Om       from osteoclasts that want of RANKL kills
    dC/dt  = ... + k_Om r(uⁿ) (1 - C/Cmax)+ Om

McDonald 2021, 10.1016/j.cell.2021.02.002, gives no rates: the numbers are assumed (docs/model.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....utils.lazy import lazy
from ...base import Field, Group, Parameter
from ..component import Component, Conditions

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators.array_types import Cells, Fields, Number
    from .. import cells
else:
    jnp = lazy("jax.numpy")
    cells = lazy("rdsolver.models.bone.cells")

FIELD = "osteomorphs"
_ASSUMED = "assumed; McDonald 2021, 10.1016/j.cell.2021.02.002, gives no rates"

# fmt: off
ROWS = (
    Parameter("osteomorph_yield", 0.5, "1", "osteomorphs from an osteoclast that dies for want of RANKL", _ASSUMED, "A", 0.0, 10.0, "y_Om"),
    Parameter("osteomorph_fusion", 0.02, "1/d", "their fusion at baseline occupancy", _ASSUMED, "A", 0.0, 10.0, "k_Om"),
    Parameter("osteomorph_loss", 0.005, "1/d", "their loss", _ASSUMED, "A", 0.0, 1.0, "d_Om", minimum=1e-6),
)
# fmt: on


@dataclass(frozen=True)
class Osteomorphs(Component):
    name = "osteomorphs"
    label = "osteomorphs"
    rows = ROWS
    beside = (Group(FIELD, (FIELD,), "pointwise"),)
    healthy = True

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        return (Field(FIELD, "1/mm^3", values["osteoclast_scale"], "osteomorphs"),)

    @property
    def names(self) -> tuple[str, ...]:
        return (FIELD,)

    def _made(self, c: Conditions) -> Cells:
        p = c.p
        starved = jnp.maximum(cells.death(p, c.relative_occupancy) - p["osteoclast_death"], 0)
        return p["osteomorph_yield"] * starved * jnp.maximum(c.u["osteoclasts"], 0)

    def _fusion(self, c: Conditions) -> Cells:
        p = c.p
        room = cells.room(p, c.u["osteoclasts"])
        h = cells.hill(c.relative_occupancy, p["differentiation_exponent"])
        return p["osteomorph_fusion"] * cells.rising(h, p["differentiation_most"]) * room

    def reaction(self, c: Conditions) -> Fields:
        back = self._fusion(c) * c.u[FIELD]
        return {FIELD: self._made(c) - back - c.p["osteomorph_loss"] * c.u[FIELD], "osteoclasts": back}

    def pointwise(self, group: str, psi: Fields, sigma: Number, c: Conditions) -> Fields:
        rate = self._fusion(c) + c.p["osteomorph_loss"]
        return {FIELD: (sigma * psi[FIELD] + self._made(c)) / (sigma + rate)}

    def bound(self, rest: Number, c: Conditions) -> Number:
        p = c.p
        made = p["osteomorph_yield"] * p["osteoclast_death"] * (p["survival_most"] - 1)
        fused = p["osteomorph_fusion"] * p["differentiation_most"]
        return rest + 2 * (made + fused + p["osteomorph_loss"])


COMPONENT = Osteomorphs
