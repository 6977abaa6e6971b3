"""The bone model: precursors and osteoclasts under RANKL, bone with delayed formation, and any components.

The equations, with every symbol and source, are in docs/model.md; each function here names its term.
Concentrations are in nM, densities in 1/mm3, lengths in um and times in d.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ...operators.array_types import Cells, Fields, Number, Numbers, Pointwise
from ...operators.blocks import Block, Local
from ...operators.faces import difference
from ...operators.reductions import total
from ...operators.transport import Faces, between, face_diffusion
from ..base import Field, Group, Observer
from .binding import Loss
from .cells import activation, death, differentiation, drift_speed, room, supply
from .component import Conditions
from .cytokines import Cytokines
from .matrix import edge_factor, formed_after, moved_bone, surface_measure
from .observers import OBSERVERS
from .static_fields import BoneGeometry, Reference, StaticFields, refer


@dataclass(frozen=True)
class BoneModel(Cytokines):
    """The default model, with any number of drugs that bind RANKL and any components."""

    name: str = field(default="bone", init=False)

    @property
    def slow(self) -> tuple[str, ...]:
        return ("bone", *super().slow)

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns, in the order they are saved; `values` gives the scales."""
        osteoclasts = values["osteoclast_scale"]
        return (
            *self.molecules(values),
            Field("precursors", "1/mm^3", values["precursor_scale"], "osteoclast precursors"),
            Field("osteoclasts", "1/mm^3", osteoclasts, "osteoclasts"),
            Field("r1", "1/mm^3", osteoclasts, "first stage of formation"),
            Field("r2", "1/mm^3", osteoclasts, "second stage of formation"),
            Field("formation_signal", "1/mm^3", osteoclasts, "formation signal"),
            Field("bone", "1", 1.0, "bone fraction"),
            *self.of_components(values),
        )

    @property
    def core_observers(self) -> tuple[Observer, ...]:
        return OBSERVERS

    @property
    def groups(self) -> tuple[Group, ...]:
        return (
            *self.signals,
            Group("precursors", ("precursors",), "transport", 1, "cells"),
            Group("osteoclasts", ("osteoclasts",), "transport", 1, "cells"),
            Group("formation", ("r1", "r2", "formation_signal"), "pointwise"),
            Group("bone", ("bone",), "pointwise"),
            *self.downstream,
        )

    # --- what follows the bone ------------------------------------------------------------------------------

    def update_coefficients(self, u: Fields, p: Numbers, place: StaticFields) -> BoneGeometry:
        """The coefficients that depend on the bone.

        b_s = G * b, w = max(|grad b_s|/S_ref - cutoff, 0), kap = w/(w+1), M = (1-b_s) + μ b_s, D(b)/D = (1-b)
        + h b.
        """
        bone = u["bone"]
        smoothed = place.smoothed(bone)
        w = surface_measure(p, place.steepness(bone, smoothed)) * place.active
        kap = w / (w + 1)
        mobility = 1 - smoothed + p["bone_mobility"] * smoothed
        hindrance = 1 - bone + p["bone_hindrance"] * bone
        mobilities = {"marrow": hindrance, "cells": mobility}
        media = {
            name: face_diffusion(cells, place.openings, place.spacing, place.wrap)
            for name, cells in mobilities.items()
        }
        carrier = tuple(
            between(mobility * kap, a, place.wrap) * place.openings[a] * (1 / h)
            for a, h in enumerate(place.spacing)
        )
        geometry = BoneGeometry(w, kap, (1 - bone) * place.active, media, mobilities, carrier)
        for part in self.components:
            geometry = part.coefficients(u, p, place, geometry)
        return geometry

    def initial(self, bone: Cells, active: Cells, values: Mapping[str, float]) -> Fields:
        """A first guess for the search for the baseline: typical concentrations everywhere, and no drug."""
        typical = {
            "rankl": "rankl_scale",
            "opg": "opg_scale",
            "precursors": "precursor_scale",
            "osteoclasts": "osteoclast_scale",
        }
        start = {f.name: jnp.zeros_like(bone) for f in self.fields(values)}
        return start | {name: values[scale] * active for name, scale in typical.items()} | {"bone": bone}

    # --- rates ----------------------------------------------------------------------------------------------

    def reaction(
        self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> Fields:
        """The pointwise part of du/dt for all fields."""
        c = self.conditions(u, p, place, s, inputs)
        out = self.signalling(c)
        fusion = s.kap * self._differentiation(c) * room(p, u["osteoclasts"]) * u["precursors"]
        out["precursors"] = self._precursor_supply(c) - p["precursor_loss"] * u["precursors"] - fusion
        out["osteoclasts"] = fusion - self._death(c) * u["osteoclasts"]
        for name, before in (("r1", c.resorption), ("r2", u["r1"]), ("formation_signal", u["r2"])):
            out[name] = (before - u[name]) / p["formation_delay"]
        balance = c.balance
        out["bone"] = balance * edge_factor(balance, u["bone"], c.room_taken)
        return self.with_components(out, c)

    def _precursor_supply(self, c: Conditions) -> Cells:
        """Supply of precursors s_P w r(u)."""
        here = c.p["precursor_supply"] * c.geometry.w * supply(c.p, c.relative_occupancy)
        return c.process("precursor_supply", here)

    def rankl_sources(self, c: Conditions) -> Cells:
        """Where RANKL is made: (1 - f_Y) w r_S at the surface, f_Y ρ b r_Y inside bone, by osteocytes."""
        p, share = c.p, c.p["osteocyte_rankl_share"]
        bone = c.place.active - c.geometry.marrow
        inside = c.place.reference["surface_over_bone"] * bone * p["osteocyte_rankl_factor"]
        return (1 - share) * c.geometry.w * p["surface_rankl_factor"] + share * inside

    def _differentiation(self, c: Conditions) -> Cells:
        return c.process("differentiation", differentiation(c.p, c.relative_occupancy))

    def _death(self, c: Conditions) -> Cells:
        return c.process("osteoclast_death", death(c.p, c.relative_occupancy))

    def resorption(self, c: Conditions) -> Cells:
        """Resorption j = a(u) C / (w + 1): resorptive activity per unit of surface."""
        active = activation(c.p, c.relative_occupancy) * c.u["osteoclasts"] / (c.geometry.w + 1)
        return c.process("resorption", active)

    def formation(self, c: Conditions) -> Cells:
        """Formation β j_ref + (1-β) B^m j_ref^(1-m)."""
        reference = c.place.reference
        formed = formed_after(c.p, c.u["formation_signal"], reference["j_ref"], reference["jbar"])
        return c.process("formation", formed)

    def room_taken(self, c: Conditions) -> Pointwise:
        """The share of the volume that is closed to new bone."""
        return c.process("room_taken", jnp.zeros((), c.place.active.dtype))

    def balance(self, c: Conditions) -> Cells:
        """Balance N = k_res w (formation - j), 1/d."""
        return c.place.reference["k_res"] * c.geometry.w * (c.formation - c.resorption)

    def reaction_bound(
        self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> Number:
        """A bound on the eigenvalues of the reaction, 1/d: the largest row sum of |J|."""
        fastest = jnp.maximum(1 / p["formation_delay"], p["osteoclast_death"] * p["survival_most"])
        fusing = p["differentiation_most"] * p["differentiation"]
        own = jnp.maximum(self.signalling_bound(u, p), 2 * (fastest + fusing + p["precursor_loss"]))
        return self.bound_with_components(own, self.conditions(u, p, place, s, inputs))

    # --- transport and the implicit groups ------------------------------------------------------------------

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        """The diffusivity (um²/d) of each moving field, and the medium that it moves in."""
        return super().diffusivity(p) | {
            "precursors": (p["precursor_motility"], "cells"),
            "osteoclasts": (p["osteoclast_motility"], "cells"),
        }

    def drift(self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry) -> dict[str, Faces]:
        """The drift of each drifting field: M kap v at the faces divided by the spacing, 1/d, with v along
        grad u and bounded by vmax.
        """
        c = self.conditions(u, p, place, s)
        relative = c.relative_occupancy
        speeds = (
            drift_speed(p, difference(relative, a, place.wrap) / h) for a, h in enumerate(place.spacing)
        )
        found = {"osteoclasts": tuple(v * k for v, k in zip(speeds, s.carrier, strict=True))}
        return found | self.component_drift(c)

    def linearise(
        self, group: str, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> tuple[Block, Local]:
        """The pointwise Jacobian of a transport group at u."""
        c = self.conditions(u, p, place, s, inputs)
        if group == "molecules":
            return self.linearised_binding(c)
        if (owner := self.owner(group)) is not None:
            return owner.linearise(group, c)
        if group == "precursors":
            loss = p["precursor_loss"] + s.kap * self._differentiation(c) * room(p, u["osteoclasts"])
        else:
            loss = self._death(c)
        return Loss(), {"active": place.active, "loss": loss * place.active}

    def pointwise(
        self,
        group: str,
        u: Fields,
        psi: Fields,
        sigma: Number,
        p: Numbers,
        place: StaticFields,
        s: BoneGeometry,
        inputs: Numbers,
    ) -> Fields:
        """The solution of σ (u - ψ) = reaction in closed form. σ = 0 gives the steady state at frozen
        bone.
        """
        c = self.conditions(u, p, place, s, inputs)
        if (owner := self.owner(group)) is not None:
            return owner.pointwise(group, psi, sigma, c)
        if group == "bone":
            step = jnp.where(sigma > 0, 1 / jnp.where(sigma > 0, sigma, 1), 0)
            return {"bone": moved_bone(c.balance, psi["bone"], step, c.room_taken)}
        rate = 1 / p["formation_delay"]
        out, before = {}, c.resorption
        for name in ("r1", "r2", "formation_signal"):
            before = out[name] = (sigma * psi[name] + rate * before) / (sigma + rate)
        return out

    # --- the healthy baseline -------------------------------------------------------------------------------

    def blank_reference(self, bone: Cells) -> Reference:
        one = jnp.ones((), bone.dtype)
        return {
            "theta0": one,
            "jbar": one,
            "k_res": 0 * one,
            "surface_over_bone": one,
            "settled": 0 * one,
            "release": one,
            "j_ref": jnp.ones_like(bone),
            "resorption": one,
            "formation": one,
        }

    def reference(self, u: Fields, p: Numbers, place: StaticFields) -> Reference:
        """The reference values from the steady state at frozen bone.

        θ0 = Σ w θ/Σ w, jbar = Σ w j/Σ w, j_ref = j (jbar where w = 0), k_res = V0 S_ref/jbar.
        """
        s = self.update_coefficients(u, p, place)
        dtype = u["bone"].dtype
        surface = total(s.w)
        theta = self.occupancy(self.conditions(u, p, place, s))
        theta0 = (total(s.w * theta) / surface).astype(dtype)
        j = self.resorption(
            self.conditions(u, p, replace(place, reference=place.reference | {"theta0": theta0}), s)
        )
        jbar = (total(s.w * j) / surface).astype(dtype)
        j_ref = jnp.where(s.w > 0, j, jbar)
        k_res = p["turnover_speed"] * p["surface_reference"] / jbar
        return {
            "theta0": theta0,
            "jbar": jbar,
            "k_res": k_res,
            "surface_over_bone": (surface / total(u["bone"])).astype(dtype),
            "settled": jnp.zeros((), dtype),
            "release": k_res * jbar * jnp.max(s.w),
            "j_ref": j_ref,
            "resorption": total(s.w * j).astype(dtype),
            "formation": total(s.w * j_ref).astype(dtype),
        }

    def at_rest(self, u: Fields, p: Numbers, place: StaticFields) -> StaticFields:
        return refer(place, self.reference(u, p, place))

    @partial(jax.jit, static_argnums=0)
    def balanced(self, u: Fields, p: Numbers, place: StaticFields) -> Fields:
        """The fields with R1 = R2 = B = j: formation balances resorption, so nothing changes in any cell (j =
        j_ref wherever w > 0).
        """
        j = self.conditions(u, p, place, self.update_coefficients(u, p, place)).resorption
        return u | dict.fromkeys(("r1", "r2", "formation_signal"), j)

    # --- what is watched ------------------------------------------------------------------------------------

    def seen(self, c: Conditions) -> dict[str, Any]:
        """The values that observers see, with those that models/bone/observers.py names."""
        return super().seen(c) | {
            "resorption": c.resorption,
            "formation": c.formation,
            "bone_at_start": c.place.bone,
            "cell_area": self._cell_area(c.place),
            "reference": c.place.reference,
        }

    @staticmethod
    def _cell_area(place: StaticFields) -> float:
        """The area of a cell in mm²: in a section, or in the mean slice of a block."""
        height, width = place.spacing[-2:]
        return height * width * 1e-6 / (1 if len(place.spacing) == 2 else place.active.shape[0])
