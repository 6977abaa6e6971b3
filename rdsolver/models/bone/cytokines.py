"""RANKL, OPG and the drugs that bind RANKL: production, binding, transport and loss.

This part is common to the models of bone and of other tissues, with the components that act on it. The
equations, with every symbol and source, are in docs/model.md; each function here names its term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax.numpy as jnp

from ...geometry.grid import Grid
from ...operators.array_types import Cells, Fields, Number, Numbers, Pointwise
from ...operators.blocks import Block, Local
from ...operators.transport import Faces
from ..base import Field, Group, Observer, Series
from .binders import OPG, Binder
from .binding import binding, binding_rate, koff
from .cells import occupancy
from .component import Component, Conditions
from .observers import mean_in_marrow
from .parameters import AT_HEALTH
from .static_fields import Reference, StaticFields, prepared


def _input(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    return at[name]


@dataclass(frozen=True)
class Cytokines:
    """The signalling part of a model: free RANKL, binders and complexes, with any number of drugs.

    agents      the drugs that bind RANKL
    components  the components of the model (models/bone/component.py)
    """

    agents: tuple[Binder, ...] = ()
    components: tuple[Component, ...] = ()
    time_unit: str = field(default="d", init=False)
    first_step: float | None = field(default=0.02, init=False)

    @property
    def binders(self) -> tuple[Binder, ...]:
        return (OPG, *(b for part in self.components for b in part.binders), *self.agents)

    @property
    def slow(self) -> tuple[str, ...]:
        return tuple(name for part in self.components for name in part.slow)

    @property
    def fitted(self) -> tuple[str, ...]:
        """The drifting fields whose diffusion already matches upwind drift and is used unchanged."""
        return tuple(name for part in self.components for name in part.fitted)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The numbers that drive the model from outside, in the order of the forcing."""
        plasma = (f"plasma_{b.name}" for b in self.binders if b.drug)
        return (*plasma, *(name for part in self.components for name in part.drugs))

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns of the whole model; `values` gives their scales."""
        raise NotImplementedError("a model of some tissue has fields")

    def molecules(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The fields of free RANKL, binders and complexes."""
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

    def of_components(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The fields of the components."""
        return tuple(f for part in self.components for f in part.fields(values))

    @property
    def signals(self) -> tuple[Group, ...]:
        """The groups of the cascade for RANKL, binders and complexes, after those that components solve
        before them.
        """
        names = ("rankl", *(b.name for b in self.binders), *(b.complex for b in self.binders))
        return (
            *(g for part in self.components for g in part.upstream),
            *(g for part in self.components for g in part.beside),
            Group("molecules", names, "transport", 2, "marrow"),
        )

    @property
    def downstream(self) -> tuple[Group, ...]:
        """The groups that components solve after the cells."""
        return tuple(g for part in self.components for g in part.downstream)

    def owner(self, group: str) -> Component | None:
        """The component that a group of the cascade belongs to, or None."""
        return next((part for part in self.components if group in (g.name for g in part.groups)), None)

    @property
    def core_observers(self) -> tuple[Observer, ...]:
        """The observers of the tissue itself."""
        return ()

    @property
    def observers(self) -> tuple[Observer, ...]:
        """The observers of the tissue and of components, and those of each drug: its level in plasma and its
        mean in marrow.
        """
        drugs = (
            found
            for a in self.agents
            for found in (
                Observer(
                    f"plasma_{a.name}", "nM", f"{a.label} in plasma", partial(_input, f"plasma_{a.name}")
                ),
                Observer(
                    f"tissue_{a.name}", "nM", f"free {a.label} in marrow", partial(mean_in_marrow, a.name)
                ),
            )
        )
        return (*self.core_observers, *(o for part in self.components for o in part.watched), *drugs)

    @property
    def series(self) -> tuple[Series, ...]:
        """The series of every accepted step: those of the observers on the device, and those that components
        follow on the host.
        """
        device = (o.series for o in self.observers if o.where == "device")
        return (*device, *(s for part in self.components for s in part.followed))

    def prepare(
        self, grid: Grid, active: Cells, bone: Cells, values: Mapping[str, float], reference: Reference
    ) -> StaticFields:
        return prepared(grid, active, bone, values, reference)

    def conditions(
        self, u: Fields, p: Numbers, place: StaticFields, geometry: Any, inputs: Numbers | None = None
    ) -> Conditions:
        """The conditions that rates see."""
        return Conditions(self, u, p, place, geometry, inputs or {})

    # --- rates ----------------------------------------------------------------------------------------------

    def process(self, name: str, base: Pointwise, c: Conditions) -> Pointwise:
        """The process base · Π times + Σ plus, over the components that act on it (component.PROCESSES)."""
        effects = [part.effects[name](c) for part in self.components if name in part.effects]
        for effect in effects:
            base = base * effect.times
        for effect in effects:
            base = base + effect.plus
        return base

    def signalling(self, c: Conditions) -> Fields:
        """The pointwise part of du/dt of RANKL, binders and complexes, without the terms that components
        add.
        """
        u, p = c.u, c.p
        net = {b.name: binding_rate(p, b, u["rankl"], u[b.name], u[b.complex]) for b in self.binders}
        out = {b.name: self._supply(b, c) - self._loss(b, c) * u[b.name] - net[b.name] for b in self.binders}
        out |= {b.complex: net[b.name] - p["rankl_loss"] * u[b.complex] for b in self.binders}
        free = c.process("rankl_secretion", c.rankl_production)
        out["rankl"] = free - p["rankl_loss"] * u["rankl"] - sum(net.values())
        return out

    def with_components(self, out: Fields, c: Conditions) -> Fields:
        """The rates with those of the components' own fields and the terms that components add."""
        for part in self.components:
            out = out | {k: out[k] + x if k in out else x for k, x in part.reaction(c).items()}
        return out

    def rankl_production(self, c: Conditions) -> Cells:
        """Production of RANKL: S_L = S_L0 r_L times its sources, with the effects of components."""
        base = c.p["rankl_production"] * c.p["rankl_production_factor"] * self.rankl_sources(c)
        return c.process("rankl_production", base)

    def rankl_sources(self, c: Conditions) -> Cells:
        """Where RANKL is made: at the surface, w."""
        return c.geometry.w

    def opg_production(self, c: Conditions) -> Cells:
        """Production of OPG: S_OPG = S_O0 r_O times its sources f_s w + 1 - f_s, with the effects of
        components.
        """
        p, share = c.p, c.p["opg_surface_share"]
        where = c.process("opg_sources", share * c.geometry.w + (1 - share) * c.place.active)
        return c.process("opg_production", p["opg_production"] * p["opg_production_factor"] * where)

    def _supply(self, b: Binder, c: Conditions) -> Cells:
        """The source of a binder: S_OPG for OPG, kv (1-b) (φ A_plasma - A) for a drug.

        The source of any other binder that is made in the tissue is in a component.
        """
        if not b.drug:
            return self.opg_production(c) if b is OPG else jnp.zeros_like(c.place.active)
        plasma = c.p["tissue_plasma_ratio"] * c.inputs[f"plasma_{b.name}"]
        return c.p["vessel_exchange"] * c.geometry.marrow * (plasma - c.u[b.name])

    @staticmethod
    def _loss(b: Binder, c: Conditions) -> Pointwise:
        """The loss of a free binder in tissue, 1/d."""
        own = c.p[f"{b.name}_loss"]
        return c.process("opg_loss", own) if b is OPG else own

    def occupancy(self, c: Conditions) -> Cells:
        """The occupancy θ from the RANKL that RANK sees: free RANKL, and RANKL that components add."""
        return occupancy(c.p, c.process("rankl_seen", c.u["rankl"]))

    def relative_occupancy(self, c: Conditions) -> Cells:
        """The relative occupancy u = θ/θ0."""
        return self.occupancy(c) / c.place.reference["theta0"]

    def resorption(self, c: Conditions) -> Cells:
        raise NotImplementedError("there is no bone to resorb in this tissue")

    def formation(self, c: Conditions) -> Cells:
        raise NotImplementedError("there is no bone to form in this tissue")

    def balance(self, c: Conditions) -> Cells:
        raise NotImplementedError("there is no bone in this tissue")

    def room_taken(self, c: Conditions) -> Pointwise:
        raise NotImplementedError("there is no bone in this tissue")

    def signalling_bound(self, u: Fields, p: Numbers) -> Number:
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

    def bound_with_components(self, rest: Number, c: Conditions) -> Number:
        for part in self.components:
            rest = part.bound(rest, c)
        return rest

    # --- transport and the implicit groups ------------------------------------------------------------------

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        """The diffusivity (um²/d) of each moving field, and the medium that it moves in."""
        free = {
            name: (p[f"{name}_diffusivity"], "marrow") for name in ("rankl", *(b.name for b in self.binders))
        }
        found = free | {b.complex: (p["complex_diffusivity"], "marrow") for b in self.binders}
        for part in self.components:
            found |= part.diffusivity(p)
        return found

    def component_drift(self, c: Conditions) -> dict[str, Faces]:
        """The drift of those fields of components that drift."""
        return {name: v for part in self.components for name, v in part.drift(c).items()}

    def linearised_binding(self, c: Conditions) -> tuple[Block, Local]:
        """The pointwise Jacobian of the molecules at u, with concentrations clipped at 0 so that it stays an
        M-matrix.
        """
        local = {
            "active": c.place.active,
            "rankl": jnp.maximum(c.u["rankl"], 0),
            "marrow": c.geometry.marrow,
        }
        local |= {f"free_{i}": jnp.maximum(c.u[b.name], 0) for i, b in enumerate(self.binders)}
        if any("opg_loss" in part.effects for part in self.components):
            local["uptake"] = (self._loss(OPG, c) - c.p["opg_loss"]) * c.place.active
        return binding(c.p, self.binders), local

    # --- the healthy baseline, and what is watched ----------------------------------------------------------

    def healthy(self, p: Numbers) -> Numbers:
        """The parameters of the same section without disease: its factors are 1, and components may have
        values of their own.
        """
        one = jnp.ones_like(p["rankl_production_factor"])
        found = p | {k: one for k in AT_HEALTH if k in p}
        for part in self.components:
            found |= part.at_baseline(p)
        return found

    def seen(self, c: Conditions) -> dict[str, Any]:
        """The values that observers see beside fields and parameters."""
        return {**c.at, "rank_occupied": self.occupancy(c)}

    def observe(self, u: Fields, p: Numbers, place: StaticFields, s: Any, inputs: Numbers) -> Numbers:
        """The values of the observables on the device."""
        c = self.conditions(u, p, place, s, inputs)
        at = self.seen(c)
        return {o.name: o.value(u, p, at) for o in self.observers if o.where == "device"}

    @property
    def budgets(self) -> dict[str, tuple[str, ...]]:
        """The fields of each budget, conserved apart from sources and losses: RANKL, free and bound, and each
        binder, free and bound.
        """
        found = {"rankl": ("rankl", *(b.complex for b in self.binders))}
        found |= {b.name: (b.name, b.complex) for b in self.binders}
        for part in self.components:
            found |= {k: (*found.get(k, ()), *names) for k, names in part.budgets.items()}
        return found

    def flows(
        self, u: Fields, p: Numbers, place: StaticFields, s: Any, inputs: Numbers
    ) -> dict[str, tuple[Cells, Cells]]:
        """The source and the loss of each budget, nM/d. A drug enters from plasma and returns to it."""
        c = self.conditions(u, p, place, s, inputs)
        lost, found = p["rankl_loss"] * u["rankl"], {}
        for b in self.binders:
            back = p["vessel_exchange"] * s.marrow * u[b.name] if b.drug else 0
            bound = p["rankl_loss"] * u[b.complex]
            found[b.name] = self._supply(b, c) + back, self._loss(b, c) * u[b.name] + bound + back
            lost = lost + bound
        found = {"rankl": (c.rankl_production, lost)} | found
        for part in self.components:
            for name, (source, loss) in part.flows(c).items():
                entered, left = found[name]
                found[name] = entered + source, left + loss
        return found
