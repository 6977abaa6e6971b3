"""RANKL, OPG and the drugs that bind RANKL: made, bound, moved and lost.

What the models of bone and of other tissues share.

The equations, with every symbol and source, stand in docs/model.md; each function here names its part of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import jax.numpy as jnp
from jax import Array

from ...geometry.grid import Grid
from ...operators.multigrid import Block
from ...operators.reductions import total
from ..base import Field, Group, Series
from .binders import OPG, Binder
from .binding import binding, binding_rate, koff
from .cells import occupancy
from .static_fields import StaticFields, prepared

Fields = dict[str, Array]
Numbers = dict[str, Array]


class Setting(Protocol):
    """What of the tissue they see. w: where RANKL is made, the surface measure of bone; marrow: the share
    that vessels reach.
    """

    @property
    def w(self) -> Array: ...
    @property
    def marrow(self) -> Array: ...


@dataclass(frozen=True)
class Cytokines:
    """The part of a model that signals: free RANKL, binders and complexes, with any number of drugs.

    membrane   part of RANKL stays on the cells that make it until it is shed
    """

    agents: tuple[Binder, ...] = ()
    membrane: bool = False
    time_unit: str = field(default="d", init=False)
    first_step: float | None = field(default=0.02, init=False)

    @property
    def binders(self) -> tuple[Binder, ...]:
        return (OPG, *self.agents)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Numbers that drive the model from outside, in the order of the forcing."""
        return tuple(f"plasma_{b.name}" for b in self.binders if b.drug)

    def molecules(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """Their fields, but for what stays on membranes."""
        bound = values["rankl_scale"] * values["opg_scale"] / values["opg_K_eff"]
        return (
            Field("rankl", "nM", values["rankl_scale"], "free RANKL"),
            Field("opg", "nM", values["opg_scale"], "free OPG"),
            *(
                Field(b.name, "nM", values[f"{b.name}_K_eff"], f"free {b.label}")
                for b in self.binders
                if b is not OPG
            ),
            *(Field(b.complex, "nM", bound, f"RANKL bound to {b.label}") for b in self.binders),
        )

    def on_membranes(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        return (
            (Field("rankl_membrane", "nM", values["rankl_scale"], "RANKL on membranes"),)
            if self.membrane
            else ()
        )

    @property
    def signals(self) -> tuple[Group, ...]:
        """Their part of the cascade."""
        names = ("rankl", *(b.name for b in self.binders), *(b.complex for b in self.binders))
        kept = (Group("membrane", ("rankl_membrane",), "pointwise"),) if self.membrane else ()
        return (*kept, Group("molecules", names, "transport", 2, "marrow"))

    @property
    def drug_series(self) -> tuple[Series, ...]:
        return tuple(
            s
            for a in self.agents
            for s in (
                Series(f"plasma_{a.name}", "nM", f"{a.label} in plasma"),
                Series(f"tissue_{a.name}", "nM", f"free {a.label} in marrow"),
            )
        )

    def prepare(
        self, grid: Grid, active: Array, bone: Array, values: Mapping[str, float], reference: dict[str, Array]
    ) -> StaticFields:
        return prepared(grid, active, bone, values, reference)

    # --- rates ----------------------------------------------------------------------------------------------

    def signalling(self, u: Fields, p: Numbers, place: StaticFields, s: Setting, inputs: Numbers) -> Fields:
        """The pointwise part of du/dt of these fields."""
        net = {b.name: binding_rate(p, b, u["rankl"], u[b.name], u[b.complex]) for b in self.binders}
        out = {
            b.name: self._supply(b, u, p, place, s, inputs) - p[f"{b.name}_loss"] * u[b.name] - net[b.name]
            for b in self.binders
        }
        out |= {b.complex: net[b.name] - p["rankl_loss"] * u[b.complex] for b in self.binders}
        made = self.rankl_production(u, p, s)
        if self.membrane:
            kept, shed = p["membrane_share"] * made, p["membrane_shedding"] * u["rankl_membrane"]
            out["rankl_membrane"] = kept - shed - p["membrane_loss"] * u["rankl_membrane"]
            made = made - kept + shed
        out["rankl"] = made - p["rankl_loss"] * u["rankl"] - sum(net.values())
        return out

    def rankl_production(self, u: Fields, p: Numbers, s: Setting) -> Array:
        """S_L = S_L0 r_L w."""
        return p["rankl_production"] * p["rankl_production_factor"] * s.w

    def opg_production(self, u: Fields, p: Numbers, place: StaticFields, s: Setting) -> Array:
        """S_OPG = S_O0 r_O [f_s w + 1 - f_s]."""
        share = p["opg_surface_share"]
        return p["opg_production"] * p["opg_production_factor"] * (share * s.w + (1 - share) * place.active)

    def _supply(
        self, b: Binder, u: Fields, p: Numbers, place: StaticFields, s: Setting, inputs: Numbers
    ) -> Array:
        """S_OPG; of a drug kv (1-b) (φ A_plasma - A); what else is made in the tissue has its source in an
        extension.
        """
        if not b.drug:
            return self.opg_production(u, p, place, s) if b is OPG else jnp.zeros_like(place.active)
        return (
            p["vessel_exchange"]
            * s.marrow
            * (p["tissue_plasma_ratio"] * inputs[f"plasma_{b.name}"] - u[b.name])
        )

    def occupancy(self, u: Fields, p: Numbers) -> Array:
        """θ of free RANKL; with RANKL on membranes, of L + x M/(1 + Σ A_i/K_i): decoys cover what is on
        membranes as they bind L.
        """
        if not self.membrane:
            return occupancy(p, u["rankl"])
        covered = sum(jnp.maximum(u[b.name], 0) / p[f"{b.name}_K_eff"] for b in self.binders)
        return occupancy(
            p, u["rankl"] + p["membrane_access"] * jnp.maximum(u["rankl_membrane"], 0) / (1 + covered)
        )

    def relative_occupancy(self, u: Fields, p: Numbers, place: StaticFields) -> Array:
        """u = θ/θ0."""
        return self.occupancy(u, p) / place.reference["theta0"]

    def signalling_bound(self, u: Fields, p: Numbers) -> Array:
        """A bound on the eigenvalues of binding and loss, 1/d: the largest row sum of |J|."""
        rankl = jnp.maximum(u["rankl"], 0)
        bound = p["rankl_loss"] + p["vessel_exchange"]
        for b in self.binders:
            bound = (
                bound
                + p[f"{b.name}_kon"] * (rankl + jnp.maximum(u[b.name], 0))
                + koff(p, b)
                + p[f"{b.name}_loss"]
            )
        return 2 * jnp.max(bound)

    # --- transport and the implicit groups ------------------------------------------------------------------

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Array, str]]:
        """Of each moving field: its diffusivity, um²/d, and the medium it moves in."""
        free = {
            name: (p[f"{name}_diffusivity"], "marrow") for name in ("rankl", *(b.name for b in self.binders))
        }
        return free | {b.complex: (p["complex_diffusivity"], "marrow") for b in self.binders}

    def linearised_binding(
        self, u: Fields, p: Numbers, place: StaticFields, s: Setting
    ) -> tuple[Block, dict[str, Array]]:
        """The pointwise Jacobian of the molecules at u (concentrations clipped at 0, so that it stays an
        M-matrix).
        """
        local = {"active": place.active, "rankl": jnp.maximum(u["rankl"], 0), "marrow": s.marrow}
        local |= {f"free_{i}": jnp.maximum(u[b.name], 0) for i, b in enumerate(self.binders)}
        return binding(p, self.binders), local

    def kept_on_membranes(self, u: Fields, psi: Fields, sigma: Array, p: Numbers, s: Setting) -> Fields:
        """A stage of RANKL on membranes, in closed form."""
        kept = p["membrane_share"] * self.rankl_production(u, p, s)
        return {
            "rankl_membrane": (
                (sigma * psi["rankl_membrane"] + kept) / (sigma + p["membrane_shedding"] + p["membrane_loss"])
            )
        }

    # --- the healthy baseline, and what is watched ----------------------------------------------------------

    def healthy(self, p: Numbers) -> Numbers:
        """The same section without disease: r_L = r_O = 1."""
        one = jnp.ones_like(p["rankl_production_factor"])
        return p | {"rankl_production_factor": one, "opg_production_factor": one}

    def drugs_seen(self, u: Fields, s: Setting, inputs: Numbers) -> Numbers:
        """Each drug in plasma, and in marrow its mean."""
        marrow, out = total(s.marrow), {}
        for a in self.agents:
            out |= {
                f"plasma_{a.name}": inputs[f"plasma_{a.name}"],
                f"tissue_{a.name}": total(s.marrow * u[a.name]) / marrow,
            }
        return out

    @property
    def budgets(self) -> dict[str, tuple[str, ...]]:
        """What is conserved but for sources and losses: RANKL, free and bound, and each binder, free and
        bound.
        """
        rankl = ("rankl", *(b.complex for b in self.binders), *(("rankl_membrane",) if self.membrane else ()))
        return {"rankl": rankl} | {b.name: (b.name, b.complex) for b in self.binders}

    def flows(
        self, u: Fields, p: Numbers, place: StaticFields, s: Setting, inputs: Numbers
    ) -> dict[str, tuple[Array, Array]]:
        """For each budget what enters and what is lost, nM/d summed over cells; a drug enters from plasma and
        goes back into it.
        """
        lost = p["rankl_loss"] * total(u["rankl"])
        if self.membrane:
            lost = lost + p["membrane_loss"] * total(u["rankl_membrane"])
        found = {}
        for b in self.binders:
            back = p["vessel_exchange"] * total(s.marrow * u[b.name]) if b.drug else 0
            bound = p["rankl_loss"] * total(u[b.complex])
            found[b.name] = (
                total(self._supply(b, u, p, place, s, inputs)) + back,
                p[f"{b.name}_loss"] * total(u[b.name]) + bound + back,
            )
            lost = lost + bound
        return {"rankl": (total(self.rankl_production(u, p, s)), lost)} | found
