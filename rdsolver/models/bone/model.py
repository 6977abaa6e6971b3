"""The bone model: precursors and osteoclasts under RANKL, delayed formation, bone that moves, and what may
join them.

The equations, with every symbol and source, stand in docs/model.md; each function here names its part of
them. Concentrations nM, densities 1/mm3, lengths um, times d.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from ...operators.faces import difference
from ...operators.multigrid import Block
from ...operators.reductions import total
from ...operators.transport import Faces, between, face_diffusion
from ..base import Field, Group, Series
from . import tumour as tumours
from .binders import OPG, Binder
from .binding import Loss
from .calcium import GRADES
from .cells import activation, death, differentiation, drift_speed, poisoned, room
from .cytokines import Cytokines, Setting
from .extension import NOTHING, Extension
from .matrix import edge_factor, formation, moved_bone, surface_measure
from .static_fields import BoneGeometry, StaticFields

Fields = dict[str, Array]
Numbers = dict[str, Array]
LESION = 0.5  # loss of bone fraction that makes a cell part of a lesion


@dataclass(frozen=True)
class BoneModel(Cytokines):
    """The default model, with any number of drugs that bind RANKL.

    tumour, bisphosphonate   where there is one
    extension                what a user adds
    """

    tumour: bool = False
    bisphosphonate: bool = False
    extension: Extension = NOTHING
    name: str = field(default="bone", init=False)

    @property
    def slow(self) -> tuple[str, ...]:
        return ("bone", "tumour") if self.tumour else ("bone",)

    @property
    def fitted(self) -> tuple[str, ...]:
        """Drifting fields whose diffusion goes with their drift as it stands."""
        return ("tumour",)

    @property
    def binders(self) -> tuple[Binder, ...]:
        return (OPG, *self.extension.binders, *self.agents)

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
            *self.on_membranes(values),
            *(tumours.FIELDS if self.tumour else ()),
            *self.extension.unknowns,
        )

    @property
    def series(self) -> tuple[Series, ...]:
        return (
            Series("ntx", "1", "NTX, relative to baseline"),
            Series("bsap", "1", "BSAP, relative to baseline"),
            Series("osteoclast_number", "1/mm^3", "osteoclasts"),
            Series("bone_volume_fraction", "1", "BV/TV"),
            Series("mean_free_rankl", "nM", "free RANKL in marrow"),
            Series("mean_occupancy", "1", "RANK occupancy at the surface"),
            Series("lesion_area", "mm^2", "lesion"),
            *(
                (
                    Series("tumour_burden", "1", "tumour, share of the section"),
                    Series("mean_pthrp", "1", "PTHrP"),
                    Series("serum_calcium", "mmol/L", "serum calcium", GRADES),
                )
                if self.tumour
                else ()
            ),
            *(
                (Series("bisphosphonate", "1", "bisphosphonate on bone, standard doses"),)
                if self.bisphosphonate
                else ()
            ),
            *self.drug_series,
            *self.extension.series,
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*super().inputs, *(("bisphosphonate",) if self.bisphosphonate else ()))

    @property
    def groups(self) -> tuple[Group, ...]:
        before, after = (tumours.BEFORE, tumours.AFTER) if self.tumour else ((), ())
        return (
            *before,
            *self.extension.groups,
            *self.signals,
            Group("precursors", ("precursors",), "transport", 1, "cells"),
            Group("osteoclasts", ("osteoclasts",), "transport", 1, "cells"),
            *after,
            Group("formation", ("r1", "r2", "formation_signal"), "pointwise"),
            Group("bone", ("bone",), "pointwise"),
        )

    # --- what follows the bone ------------------------------------------------------------------------------

    def update_coefficients(self, u: Fields, p: Numbers, place: StaticFields) -> BoneGeometry:
        """b_s = G * b, w = max(|grad b_s|/S_ref - cutoff, 0), kap = w/(w+1), M = (1-b_s) + μ b_s, D(b)/D =
        (1-b) + h b.
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
        marrow = (1 - bone) * place.active
        if not self.tumour:
            return BoneGeometry(w, kap, marrow, media, mobilities, carrier)
        through = face_diffusion(marrow, place.openings, place.spacing, place.wrap)
        media["tumour"], push = tumours.invasion(marrow, place.active, through, place.wrap)
        coupling = tumours.suppression(p, place.smoothed(tumours.density(u)))
        return BoneGeometry(w, kap, marrow, media, mobilities | {"tumour": marrow}, carrier, push, coupling)

    def initial(self, bone: Array, active: Array, values: Mapping[str, float]) -> Fields:
        """A guess from which the baseline is found: typical concentrations everywhere, no drug."""
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
        """The pointwise part of du/dt, all fields."""
        out = self.signalling(u, p, place, s, inputs)
        relative = self.relative_occupancy(u, p, place)
        fusion = s.kap * differentiation(p, relative) * room(p, u["osteoclasts"]) * u["precursors"]
        out["precursors"] = self._precursor_supply(u, p, s) - p["precursor_loss"] * u["precursors"] - fusion
        out["osteoclasts"] = fusion - self._death(p, relative, inputs) * u["osteoclasts"]
        j = self._resorption(u, p, place, s)
        for name, before in (("r1", j), ("r2", u["r1"]), ("formation_signal", u["r2"])):
            out[name] = (before - u[name]) / p["formation_delay"]
        balance = self._balance(u, p, place, s)
        out["bone"] = balance * edge_factor(balance, u["bone"], self._taken(u))
        if self.tumour:
            release = tumours.released(place.reference["k_res"], s.w, j) / place.reference["release"]
            out["tumour"] = tumours.net_growth(p, u)
            out["pthrp"] = p["pthrp_turnover"] * (u["tumour"] - u["pthrp"])
            out["tgf_beta"] = p["tgf_beta_turnover"] * (release - u["tgf_beta"])
        added = self.extension.added(u, p, self.seen_by_extension(u, p, place, s, inputs))
        return out | {k: out[k] + x if k in out else x for k, x in added.items()}

    def seen_by_extension(
        self, u: Fields, p: Numbers, place: StaticFields, s: Setting, inputs: Numbers
    ) -> Numbers:
        at = {
            "surface": s.w,
            "marrow": s.marrow,
            "active": place.active,
            "occupancy": self.relative_occupancy(u, p, place),
        }
        return at | inputs

    def _taken(self, u: Fields) -> Array | float:
        """Room that the tumour takes from bone to be formed."""
        return tumours.density(u) if self.tumour else 0.0

    def rankl_production(self, u: Fields, p: Numbers, s: Setting) -> Array:
        """S_L = S_L0 {r_L w (1 + E_H h) + s_T T + s_M (1-b-T)+ h + s_C (1-b)}: surface lineage; tumour;
        stroma under PTHrP; T cells.
        """
        if not self.tumour:
            return super().rankl_production(u, p, s)
        host, h, t = p["rankl_production_factor"] * s.w, tumours.signal(p, u), tumours.density(u)
        stroma = p["stroma_rankl"] * jnp.maximum(s.marrow - t, 0) * h + p["t_cell_rankl"] * s.marrow
        return p["rankl_production"] * (host * (1 + p["pthrp_rankl"] * h) + p["tumour_rankl"] * t + stroma)

    def opg_production(self, u: Fields, p: Numbers, place: StaticFields, s: Setting) -> Array:
        """S_OPG = S_O0 {r_O [f_s w + 1 - f_s] (1 - q_O h) + s_O T}."""
        host = super().opg_production(u, p, place, s)
        if not self.tumour:
            return host
        left = 1 - p["opg_suppression"] * tumours.signal(p, u)
        return host * left + p["opg_production"] * p["tumour_opg"] * tumours.density(u)

    def _precursor_supply(self, u: Fields, p: Numbers, s: BoneGeometry) -> Array:
        """s_P w (1 + E_P h)."""
        supply = p["precursor_supply"] * s.w
        return supply * (1 + p["pthrp_precursors"] * tumours.signal(p, u)) if self.tumour else supply

    def _death(self, p: Numbers, relative: Array, inputs: Numbers) -> Array:
        return death(p, relative) * (poisoned(p, inputs["bisphosphonate"]) if self.bisphosphonate else 1)

    def _resorption(self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry) -> Array:
        """j = a(u) C / (w + 1): resorptive activity per unit of surface."""
        return activation(p, self.relative_occupancy(u, p, place)) * u["osteoclasts"] / (s.w + 1)

    def _formation(self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry) -> Array:
        """eta B^m j_ref^(1-m)."""
        formed = formation(p, u["formation_signal"], place.reference["j_ref"], place.reference["jbar"])
        return formed if s.coupling is None else s.coupling * formed

    def _balance(self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry) -> Array:
        """N = k_res w [-j + eta B^m j_ref^(1-m)], 1/d."""
        return (
            place.reference["k_res"]
            * s.w
            * (self._formation(u, p, place, s) - self._resorption(u, p, place, s))
        )

    def reaction_bound(
        self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> Array:
        """A bound on the eigenvalues of the reaction, 1/d: the largest row sum of |J|."""
        dying = (
            p["osteoclast_death"]
            * p["survival_most"]
            * (1 + p["bisphosphonate_effect"] if self.bisphosphonate else 1)
        )
        fastest = jnp.maximum(1 / p["formation_delay"], dying)
        bound = jnp.maximum(
            self.signalling_bound(u, p), 2 * (fastest + 2 * p["differentiation"] + p["precursor_loss"])
        )
        if self.tumour:
            own = jnp.maximum(
                p["tumour_growth"] + p["tumour_death"],
                jnp.maximum(p["pthrp_turnover"], p["tgf_beta_turnover"]),
            )
            bound = jnp.maximum(bound, 2 * own)
        scale = {f.name: f.scale for f in self.fields(p)}  # pyright: ignore[reportArgumentType]  (arrays serve as well)
        return bound + self.extension.bound(u, p, self.seen_by_extension(u, p, place, s, inputs), scale)

    # --- transport and the implicit groups ------------------------------------------------------------------

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Array, str]]:
        """Of each moving field: its diffusivity, um²/d, and the medium it moves in."""
        return (
            super().diffusivity(p)
            | {
                "precursors": (p["precursor_motility"], "cells"),
                "osteoclasts": (p["osteoclast_motility"], "cells"),
            }
            | ({n: (p[f"{n}_{d}"], m) for n, d, m in tumours.MOVES} if self.tumour else {})
            | self.extension.diffusivity(p)
        )

    def drift(self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry) -> dict[str, Faces]:
        """Of each drifting field: M kap v at the faces over the spacing, 1/d, v along grad u bounded by vmax;
        tumour out of bone.
        """
        relative = self.relative_occupancy(u, p, place)
        speeds = (
            drift_speed(p, difference(relative, a, place.wrap) / h) for a, h in enumerate(place.spacing)
        )
        found = {"osteoclasts": tuple(v * c for v, c in zip(speeds, s.carrier, strict=True))}
        return (
            found if s.push is None else found | {"tumour": tuple(p["tumour_motility"] * c for c in s.push)}
        )

    def linearise(
        self, group: str, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> tuple[Block, dict[str, Array]]:
        """The pointwise Jacobian of a transport group at u."""
        if group == "molecules":
            return self.linearised_binding(u, p, place, s)
        if group == "extension":
            return self.extension.linearise(u, p, self.seen_by_extension(u, p, place, s, inputs))
        local = {"active": place.active}
        if group in tumours.NAMES:
            return Loss(), local | {"loss": tumours.loss(group, p, u) * place.active}
        relative = self.relative_occupancy(u, p, place)
        if group == "precursors":
            loss = p["precursor_loss"] + s.kap * differentiation(p, relative) * room(p, u["osteoclasts"])
        else:
            loss = self._death(p, relative, inputs)
        return Loss(), local | {"loss": loss * place.active}

    def pointwise(
        self,
        group: str,
        u: Fields,
        psi: Fields,
        sigma: Array,
        p: Numbers,
        place: StaticFields,
        s: BoneGeometry,
    ) -> Fields:
        """σ (u - ψ) = reaction in closed form. σ = 0 asks for the steady state at frozen bone."""
        if group == "bone":
            step = jnp.where(sigma > 0, 1 / jnp.where(sigma > 0, sigma, 1), 0)
            return {"bone": moved_bone(self._balance(u, p, place, s), psi["bone"], step, self._taken(u))}
        if group == "membrane":
            return self.kept_on_membranes(u, psi, sigma, p, s)
        rate = 1 / p["formation_delay"]
        out, before = {}, self._resorption(u, p, place, s)
        for name in ("r1", "r2", "formation_signal"):
            before = out[name] = (sigma * psi[name] + rate * before) / (sigma + rate)
        return out

    # --- the healthy baseline -------------------------------------------------------------------------------

    def healthy(self, p: Numbers) -> Numbers:
        """The same section without disease: r_L = r_O = 1, no RANKL from T cells, nothing of an extension
        that is not healthy.
        """
        none = jnp.zeros_like(p["rankl_loss"])
        cells = {"t_cell_rankl": none} if self.tumour else {}
        added = {} if self.extension.healthy else {"extension": none}
        return super().healthy(p) | cells | added

    def blank_reference(self, bone: Array) -> dict[str, Array]:
        one = jnp.ones((), bone.dtype)
        return {
            "theta0": one,
            "jbar": one,
            "k_res": 0 * one,
            "release": one,
            "j_ref": jnp.ones_like(bone),
            "resorption": one,
            "formation": one,
        }

    def reference(self, u: Fields, p: Numbers, place: StaticFields) -> dict[str, Array]:
        """From the steady state at frozen bone: θ0 = Σ w θ/Σ w, jbar = Σ w j/Σ w, j_ref = j (jbar where w =
        0), k_res = V0 S_ref/jbar.
        """
        s = self.update_coefficients(u, p, place)
        dtype = u["bone"].dtype
        surface = total(s.w)
        theta = self.occupancy(u, p)
        theta0 = (total(s.w * theta) / surface).astype(dtype)
        j = activation(p, theta / theta0) * u["osteoclasts"] / (s.w + 1)
        jbar = (total(s.w * j) / surface).astype(dtype)
        j_ref = jnp.where(s.w > 0, j, jbar)
        k_res = p["turnover_speed"] * p["surface_reference"] / jbar
        return {
            "theta0": theta0,
            "jbar": jbar,
            "k_res": k_res,
            "release": k_res * jbar * jnp.max(s.w),
            "j_ref": j_ref,
            "resorption": total(s.w * j).astype(dtype),
            "formation": total(s.w * j_ref).astype(dtype),
        }

    @partial(jax.jit, static_argnums=0)
    def balanced(self, u: Fields, p: Numbers, place: StaticFields) -> Fields:
        """R1 = R2 = B = j: formation in step with resorption, so that nothing changes in any cell (j = j_ref
        wherever w > 0).
        """
        j = self._resorption(u, p, place, self.update_coefficients(u, p, place))
        return u | dict.fromkeys(("r1", "r2", "formation_signal"), j)

    # --- what is watched ------------------------------------------------------------------------------------

    def observe(
        self, u: Fields, p: Numbers, place: StaticFields, s: BoneGeometry, inputs: Numbers
    ) -> Numbers:
        """NTX, BSAP, osteoclasts, BV/TV, mean free RANKL and occupancy, lesion {b < b(0) - 0.5}; each drug in
        plasma and marrow.
        """
        cells, surface = total(place.active), total(s.w)
        background = p["ntx_background"]
        out = {
            "ntx": (
                background
                + (1 - background)
                * total(s.w * self._resorption(u, p, place, s))
                / place.reference["resorption"]
            ),
            "bsap": total(s.w * self._formation(u, p, place, s)) / place.reference["formation"],
            "osteoclast_number": total(u["osteoclasts"]) / cells,
            "bone_volume_fraction": total(u["bone"]) / cells,
            "mean_free_rankl": total(s.marrow * u["rankl"]) / total(s.marrow),
            "mean_occupancy": total(s.w * self.occupancy(u, p)) / surface,
            "lesion_area": (
                total((u["bone"] < place.bone - LESION).astype(place.active.dtype)) * self._cell_area(place)
            ),
        }
        if self.tumour:
            out |= {"tumour_burden": total(u["tumour"]) / cells, "mean_pthrp": total(u["pthrp"]) / cells}
        if self.bisphosphonate:
            out["bisphosphonate"] = inputs["bisphosphonate"]
        for name in self.extension.names:
            out[f"mean_{name}"] = total(u[name]) / cells
        return out | self.drugs_seen(u, s, inputs)

    @staticmethod
    def _cell_area(place: StaticFields) -> float:
        """mm² a cell: of a section, or of the mean slice of a block."""
        height, width = place.spacing[-2:]
        return height * width * 1e-6 / (1 if len(place.spacing) == 2 else place.active.shape[0])

    def flows(
        self, u: Fields, p: Numbers, place: StaticFields, s: Setting, inputs: Numbers
    ) -> dict[str, tuple[Array, Array]]:
        """For each budget what enters and what is lost, nM/d summed over cells; what an extension adds counts
        net, as a source.
        """
        found = super().flows(u, p, place, s, inputs)
        added = self.extension.added(u, p, self.seen_by_extension(u, p, place, s, inputs))
        more = {
            k: sum((total(added[n]) for n in names if n in added), jnp.zeros(()))
            for k, names in self.budgets.items()
        }
        return {k: (source + more[k], loss) for k, (source, loss) in found.items()}
