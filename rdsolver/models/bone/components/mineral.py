"""Mineral of bone, which matures for months after bone was formed.

    dmu/dt = mu_0 (t + n+) - mu (t + (-n)+)/b + (b - mu)/tau_mu
    t = k_res w min(f, j)                     bone that is replaced; f: formation
    n = N min(1, .../0.05)                    bone that is gained or lost, db/dt

Mineral is relative to that of old bone, whose level it approaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ....utils.lazy import lazy
from ...base import Field, Group, Observer, Parameter
from ..component import Component, Conditions
from ..observers import mean

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators.array_types import Cells, Fields, Number, Truth
    from .. import matrix
else:
    jnp = lazy("jax.numpy")
    matrix = lazy("rdsolver.models.bone.matrix")

FIELD = "mineral"
THIN = 1e-3  # bone fraction to which the loss of mineral is relative where there is less bone

_MINERAL = "Martinez-Reina & Pivonka 2019, 10.1016/j.bone.2019.04.022, as in bone_models"

# fmt: off
ROWS = (
    Parameter("mineral_at_first", 0.27, "1", "mineral of new bone, relative to old bone", f"{_MINERAL}: 0.121 of 0.442", "V", 0.0, 1.0, "mu_0", maximum=1.0),
    Parameter("mineral_maturation", 143.0, "d", "time constant of secondary mineralisation", f"{_MINERAL}: 0.007 /d", "V", 10.0, 5000.0, "tau_mu", minimum=1e-3),
)
# fmt: on


@dataclass(frozen=True)
class Mineral(Component):
    name = "mineral"
    label = "mineral that matures"
    rows = ROWS
    unknowns = (Field(FIELD, "1", 1.0, "mineral, relative to old bone"),)
    observers = (Observer("bone_mineral", "1", "mineral, relative to old bone", partial(mean, FIELD)),)
    downstream = (Group(FIELD, (FIELD,), "pointwise"),)
    healthy = True
    standard = True

    def _rates(self, c: Conditions, moving: Truth | bool = True) -> tuple[Cells, Cells]:
        """(Gain of mineral, loss rate of what is there), 1/d. moving: False where bone is frozen, as in a
        steady state: then bone is replaced alone.
        """
        p, bone = c.p, c.u["bone"]
        net = jnp.where(moving, c.balance * matrix.edge_factor(c.balance, bone, c.room_taken), 0)
        both = c.place.reference["k_res"] * c.geometry.w * jnp.minimum(c.formation, c.resorption)
        gain = p["mineral_at_first"] * (both + jnp.maximum(net, 0)) + bone / p["mineral_maturation"]
        loss = (both + jnp.maximum(-net, 0)) / jnp.maximum(bone, THIN) + 1 / p["mineral_maturation"]
        return gain, loss

    def reaction(self, c: Conditions) -> Fields:
        gain, loss = self._rates(c)
        return {FIELD: gain - loss * c.u[FIELD]}

    def pointwise(self, group: str, psi: Fields, sigma: Number, c: Conditions) -> Fields:
        gain, loss = self._rates(c, sigma > 0)
        return {FIELD: (sigma * psi[FIELD] + gain) / (sigma + loss)}

    def bound(self, rest: Number, c: Conditions) -> Number:
        return jnp.maximum(rest, 2 * jnp.max(self._rates(c)[1]))


COMPONENT = Mineral
