"""RANKL on the membranes of the cells that make it, until it is shed.

    dM/dt = f_m S_L - k_s M - d_M M           S_L: all RANKL that is made
    RANK sees L + x M_0,  M_0 = M/(1 + Σ A_i/K_i)     decoys bind RANKL on membranes as they bind free RANKL
    free RANKL is set free at (1 - f_m) S_L + k_s M_0
    what a decoy covers is shed with it: dQ_i/dt = ... + k_s M_0 A_i/K_i,  dA_i/dt = ... - k_s M_0 A_i/K_i

Most RANKL in bone is bound to membranes; the numbers are assumed (docs/model.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....utils.lazy import lazy
from ...base import Field, Group, Parameter
from ..component import Component, Conditions, Effect, Effects

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators.array_types import Cells, Number
    from ..binders import Binder
else:
    jnp = lazy("jax.numpy")

# fmt: off
ROWS = (
    Parameter("membrane_share", 0.9, "1", "share of RANKL that is made on the membrane", "assumed; mice without soluble RANKL have normal bone (Asano 2019, 10.1038/s42255-019-0104-1)", "A", 0.0, 1.0, "f_m", maximum=1.0),
    Parameter("membrane_shedding", 5.0, "1/d", "shedding of RANKL from membranes", "assumed", "A", 0.0, 500.0, "k_s"),
    Parameter("membrane_loss", 5.0, "1/d", "loss of RANKL on membranes that is not shed", "assumed", "A", 0.0, 500.0, "d_M", minimum=1e-6),
    Parameter("membrane_access", 1.0, "1", "how much RANK on a neighbour sees of RANKL on a membrane, relative to soluble", "assumed", "A", 0.0, 1e3, "x_M"),
)
# fmt: on


@dataclass(frozen=True)
class MembraneRankl(Component):
    name = "membrane_rankl"
    label = "RANKL on membranes"
    switch = "Turn it on: model.membrane_rankl = true."
    rows = ROWS
    beside = (Group("membrane", ("rankl_membrane",), "pointwise"),)
    healthy = True
    anywhere = True
    budgets = {"rankl": ("rankl_membrane",)}  # noqa: RUF012

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        return (Field("rankl_membrane", "nM", values["rankl_scale"], "RANKL on membranes"),)

    @property
    def names(self) -> tuple[str, ...]:
        return ("rankl_membrane",)

    @property
    def effects(self) -> Effects:
        return {"rankl_secretion": self._shed, "rankl_seen": self._seen}

    def _kept(self, c: Conditions) -> Cells:
        return c.p["membrane_share"] * c.rankl_production

    def _shed(self, c: Conditions) -> Effect:
        return Effect(1 - c.p["membrane_share"], c.p["membrane_shedding"] * self._bare(c))

    def _seen(self, c: Conditions) -> Effect:
        return Effect(plus=c.p["membrane_access"] * self._bare(c))

    def _covers(self, c: Conditions) -> dict[Binder, Cells]:
        """For each binder, RANKL on membranes that it covers over that which is bare, A/K."""
        return {b: jnp.maximum(c.u[b.name], 0) / c.p[f"{b.name}_K_eff"] for b in c.model.binders}

    def _bare(self, c: Conditions) -> Cells:
        """RANKL on membranes that no decoy covers, nM."""
        return jnp.maximum(c.u["rankl_membrane"], 0) / (1 + sum(self._covers(c).values()))

    def reaction(self, c: Conditions) -> dict[str, Cells]:
        gone = (c.p["membrane_shedding"] + c.p["membrane_loss"]) * c.u["rankl_membrane"]
        shed = c.p["membrane_shedding"] * self._bare(c)
        covered = {b: shed * share for b, share in self._covers(c).items()}
        return (
            {"rankl_membrane": self._kept(c) - gone}
            | {b.complex: x for b, x in covered.items()}
            | {b.name: -x for b, x in covered.items()}
        )

    def pointwise(self, group: str, psi: dict[str, Cells], sigma: Number, c: Conditions) -> dict[str, Cells]:
        loss = sigma + c.p["membrane_shedding"] + c.p["membrane_loss"]
        return {"rankl_membrane": (sigma * psi["rankl_membrane"] + self._kept(c)) / loss}

    def bound(self, rest: Number, c: Conditions) -> Number:
        gone = c.p["membrane_shedding"] + c.p["membrane_loss"]
        return jnp.maximum(rest, 2 * gone) + 2 * c.p["membrane_shedding"]

    def flows(self, c: Conditions) -> dict[str, tuple[Cells, Cells]]:
        lost = c.p["membrane_loss"] * c.u["rankl_membrane"]
        return {"rankl": (jnp.zeros_like(lost), lost)}


COMPONENT = MembraneRankl
