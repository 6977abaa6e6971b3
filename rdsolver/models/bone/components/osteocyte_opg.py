"""OPG of the cells that remodelling makes: osteoblasts that became osteocytes and lining cells.

    dY/dt = (w f/j_ref - Y)/tau_Y                   f: formation
    sources of OPG = (1 - f_O) [f_s w + 1 - f_s] + f_O Y

That denosumab lowers OPG in bone, because without remodelling no new osteocytes are made: Fu 2023,
10.1172/jci.insight.167790. The numbers are tuned (docs/model.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....utils.lazy import lazy
from ...base import Field, Group, Parameter
from ..component import Component, Conditions, Effect, Effects

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators.array_types import Cells, Fields, Number
else:
    jnp = lazy("jax.numpy")

FIELD = "young_osteocytes"

# fmt: off
ROWS = (
    Parameter("young_osteocyte_opg_share", 0.45, "1", "share of OPG made by cells that remodelling made", "tuned on T17 and T19; mechanism: Fu 2023, 10.1172/jci.insight.167790", "A", 0.0, 1.0, "f_O", maximum=1.0),
    Parameter("young_osteocyte_life", 900.0, "d", "time for which they make OPG", "tuned on T17 and T19; mechanism: Fu 2023, 10.1172/jci.insight.167790", "A", 10.0, 10000.0, "tau_Y", minimum=1e-3),
)
# fmt: on


@dataclass(frozen=True)
class OsteocyteOpg(Component):
    name = "osteocyte_opg"
    label = "OPG of the cells that remodelling makes"
    switch = ""
    rows = ROWS
    unknowns = (Field(FIELD, "1", 1.0, "cells made by remodelling, relative"),)
    beside = (Group(FIELD, (FIELD,), "pointwise"),)
    healthy = True
    standard = True

    @property
    def effects(self) -> Effects:
        return {"opg_sources": self._made}

    def _made(self, c: Conditions) -> Effect:
        share = c.p["young_osteocyte_opg_share"]
        return Effect(1 - share, share * jnp.maximum(c.u[FIELD], 0))

    def _formed(self, c: Conditions) -> Cells:
        return c.geometry.w * c.formation / c.place.reference["j_ref"]

    def reaction(self, c: Conditions) -> Fields:
        return {FIELD: (self._formed(c) - c.u[FIELD]) / c.p["young_osteocyte_life"]}

    def pointwise(self, group: str, psi: Fields, sigma: Number, c: Conditions) -> Fields:
        rate = 1 / c.p["young_osteocyte_life"]
        found = (sigma * psi[FIELD] + rate * self._formed(c)) / (sigma + rate)
        # while the healthy baseline is sought, formation is what will be normal
        known = (sigma > 0) | (c.place.reference["settled"] > 0)
        return {FIELD: jnp.where(known, found, c.geometry.w)}


COMPONENT = OsteocyteOpg
