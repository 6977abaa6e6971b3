"""The bone model: RANKL, its binders and complexes, precursors, osteoclasts, delayed formation, and bone that moves.

The equations, with every symbol and source, stand in docs/model.md; each function here names its part of them.
Concentrations nM, densities 1/mm3, lengths um, times d.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from ...domain.grid import Grid
from ...operators.boundaries import Wrap, difference
from ...operators.multigrid import Block
from ...operators.reductions import total
from ...operators.transport import Faces, Taps, between, face_diffusion, gaussian_taps, length, open_faces, smooth, smooth_slopes
from ..base import Field, Group, Series
from . import tumour as tumours
from .binders import OPG, Binder
from .binding import Loss, binding, binding_rate, koff
from .cells import activation, death, differentiation, drift_speed, occupancy, poisoned, room
from .matrix import EDGE, edge_factor, formation, moved_bone, surface_measure

Fields = dict[str, Array]
Numbers = dict[str, Array]
LESION = 0.5  # loss of bone fraction that makes a cell part of a lesion


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["active", "openings", "norm", "edge", "bone", "reference"],
    meta_fields=["spacing", "wrap", "taps"],
)
@dataclass(frozen=True)
class Place:
    """What is fixed in a run.

    active     1 inside the field of view, else 0
    openings   1 at faces that anything may pass
    norm       1 / (G * active): makes smoothing a mean over the field of view, so that its edge is no bone surface
    edge       grad (G * active), for the same reason, 1/um
    bone       at the start, against which lesions are seen
    uniform    no box of constant diffusion: bone hinders it
    reference  of the healthy baseline: theta0, jbar, k_res, release (numbers), j_ref (a field), resorption and formation (sums)
    """

    active: Array
    openings: Faces
    norm: Array
    edge: tuple[Array, ...]
    bone: Array
    reference: dict[str, Array]
    spacing: tuple[float, ...]
    wrap: Wrap
    taps: Taps
    uniform: ClassVar[bool] = False


@partial(
    jax.tree_util.register_dataclass, data_fields=["w", "kap", "marrow", "media", "mobility", "carrier", "push", "coupling"], meta_fields=[]
)
@dataclass(frozen=True)
class Surface:
    """What follows the bone (and the tumour): surface measure w, kap = w/(w+1), marrow 1 - b, and what moves cells and molecules.

    media    face coefficients, 1/um²: "marrow" for molecules, hindered in bone; "cells" for cells; "tumour" for its cells
    mobility the same of each cell, relative
    carrier  M kap at each face over the spacing, 1/um: what drift velocities are multiplied by
    push     drift of the tumour out of bone over its motility, 1/um²; coupling: eta, formation beside a tumour (None: no tumour)
    """

    w: Array
    kap: Array
    marrow: Array
    media: dict[str, Faces]
    mobility: dict[str, Array]
    carrier: Faces
    push: Faces | None = None
    coupling: Array | None = None


@partial(jax.jit, static_argnums=(1, 2))
def _fixed(active: Array, taps: Taps, wrap: Wrap) -> tuple[Faces, Array, tuple[Array, ...]]:
    """openings, norm and edge of a Place."""
    covered = smooth(active, taps, wrap)
    norm = jnp.where(active > 0, 1 / jnp.where(active > 0, covered, 1), 0)
    return open_faces(active, wrap), norm, smooth_slopes(active, taps, wrap)


@dataclass(frozen=True)
class BoneModel:
    """The default model, with any number of drugs that bind RANKL.

    tumour, bisphosphonate   where there is one
    membrane                 part of RANKL stays on the cells that make it until it is shed
    """

    agents: tuple[Binder, ...] = ()
    tumour: bool = False
    bisphosphonate: bool = False
    membrane: bool = False
    name: str = field(default="bone", init=False)
    time_unit: str = field(default="d", init=False)
    first_step: float | None = field(default=0.02, init=False)

    @property
    def slow(self) -> tuple[str, ...]:
        return ("bone", "tumour") if self.tumour else ("bone",)

    @property
    def fitted(self) -> tuple[str, ...]:
        """Drifting fields whose diffusion goes with their drift as it stands."""
        return ("tumour",)

    @property
    def binders(self) -> tuple[Binder, ...]:
        return (OPG, *self.agents)

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns, in the order they are saved; `values` gives the scales."""
        osteoclasts = values["osteoclast_scale"]
        bound = values["rankl_scale"] * values["opg_scale"] / values["opg_K_eff"]
        return (
            Field("rankl", "nM", values["rankl_scale"], "free RANKL"),
            Field("opg", "nM", values["opg_scale"], "free OPG"),
            *(Field(a.name, "nM", values[f"{a.name}_K_eff"], f"free {a.label}") for a in self.agents),
            *(Field(b.complex, "nM", bound, f"RANKL bound to {b.label}") for b in self.binders),
            Field("precursors", "1/mm^3", values["precursor_scale"], "osteoclast precursors"),
            Field("osteoclasts", "1/mm^3", osteoclasts, "osteoclasts"),
            Field("r1", "1/mm^3", osteoclasts, "first stage of formation"),
            Field("r2", "1/mm^3", osteoclasts, "second stage of formation"),
            Field("formation_signal", "1/mm^3", osteoclasts, "formation signal"),
            Field("bone", "1", 1.0, "bone fraction"),
            *((Field("rankl_membrane", "nM", values["rankl_scale"], "RANKL on membranes"),) if self.membrane else ()),
            *(tumours.FIELDS if self.tumour else ()),
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
                    Series("serum_calcium", "mmol/L", "serum calcium"),
                )
                if self.tumour
                else ()
            ),
            *((Series("bisphosphonate", "1", "bisphosphonate on bone, standard doses"),) if self.bisphosphonate else ()),
            *(
                s
                for a in self.agents
                for s in (
                    Series(f"plasma_{a.name}", "nM", f"{a.label} in plasma"),
                    Series(f"tissue_{a.name}", "nM", f"free {a.label} in marrow"),
                )
            ),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Numbers that drive the model from outside, in the order of the forcing."""
        return (*(f"plasma_{a.name}" for a in self.agents), *(("bisphosphonate",) if self.bisphosphonate else ()))

    @property
    def groups(self) -> tuple[Group, ...]:
        molecules = ("rankl", *(b.name for b in self.binders), *(b.complex for b in self.binders))
        before, after = (tumours.BEFORE, tumours.AFTER) if self.tumour else ((), ())
        return (
            *before,
            *((Group("membrane", ("rankl_membrane",), "pointwise"),) if self.membrane else ()),
            Group("molecules", molecules, "transport", 2, "marrow"),
            Group("precursors", ("precursors",), "transport", 1, "cells"),
            Group("osteoclasts", ("osteoclasts",), "transport", 1, "cells"),
            *after,
            Group("formation", ("r1", "r2", "formation_signal"), "pointwise"),
            Group("bone", ("bone",), "pointwise"),
        )

    # --- what is fixed, and what follows the bone -----------------------------------------------------------------

    def prepare(self, grid: Grid, active: Array, bone: Array, values: Mapping[str, float], reference: dict[str, Array]) -> Place:
        wrap = tuple(b == "periodic" for b in grid.borders)
        taps = gaussian_taps(values["smoothing_length"], grid.spacing)
        openings, norm, edge = _fixed(active, taps, wrap)
        return Place(active, openings, norm, edge, bone, reference, grid.spacing, wrap, taps)

    def refresh(self, u: Fields, p: Numbers, place: Place) -> Surface:
        """b_s = G * b, w = max(|grad b_s|/S_ref - cutoff, 0), kap = w/(w+1), M = (1-b_s) + μ b_s, D(b)/D = (1-b) + h b."""
        bone = u["bone"]
        smoothed = smooth(bone, place.taps, place.wrap) * place.norm
        slopes = smooth_slopes(bone, place.taps, place.wrap)
        # quotient rule: the slope of a mean over the field of view alone
        gradient = length([(x - smoothed * e) * place.norm for x, e in zip(slopes, place.edge, strict=True)])
        w = surface_measure(p, gradient) * place.active
        kap = w / (w + 1)
        mobility = 1 - smoothed + p["bone_mobility"] * smoothed
        hindrance = 1 - bone + p["bone_hindrance"] * bone
        mobilities = {"marrow": hindrance, "cells": mobility}
        media = {name: face_diffusion(cells, place.openings, place.spacing, place.wrap) for name, cells in mobilities.items()}
        carrier = tuple(between(mobility * kap, a, place.wrap) * place.openings[a] * (1 / h) for a, h in enumerate(place.spacing))
        marrow = (1 - bone) * place.active
        if not self.tumour:
            return Surface(w, kap, marrow, media, mobilities, carrier)
        through = face_diffusion(marrow, place.openings, place.spacing, place.wrap)
        media["tumour"], push = tumours.invasion(marrow, place.active, through, place.wrap)
        coupling = tumours.suppression(p, smooth(tumours.density(u), place.taps, place.wrap) * place.norm)
        return Surface(w, kap, marrow, media, mobilities | {"tumour": marrow}, carrier, push, coupling)

    def initial(self, bone: Array, active: Array, values: Mapping[str, float]) -> Fields:
        """A guess from which the baseline is found: typical concentrations everywhere, no drug."""
        typical = {"rankl": "rankl_scale", "opg": "opg_scale", "precursors": "precursor_scale", "osteoclasts": "osteoclast_scale"}
        start = {f.name: jnp.zeros_like(bone) for f in self.fields(values)}
        return start | {name: values[scale] * active for name, scale in typical.items()} | {"bone": bone}

    # --- rates ------------------------------------------------------------------------------------------------------

    def reaction(self, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> Fields:
        """The pointwise part of du/dt, all fields."""
        net = {b.name: binding_rate(p, b, u["rankl"], u[b.name], u[b.complex]) for b in self.binders}
        out = {b.name: self._supply(b, u, p, place, s, inputs) - p[f"{b.name}_loss"] * u[b.name] - net[b.name] for b in self.binders}
        out |= {b.complex: net[b.name] - p["rankl_loss"] * u[b.complex] for b in self.binders}
        made = self._rankl_production(u, p, s)
        if self.membrane:
            kept, shed = p["membrane_share"] * made, p["membrane_shedding"] * u["rankl_membrane"]
            out["rankl_membrane"] = kept - shed - p["membrane_loss"] * u["rankl_membrane"]
            made = made - kept + shed
        out["rankl"] = made - p["rankl_loss"] * u["rankl"] - sum(net.values())
        relative = self._relative_occupancy(u, p, place)
        fusion = s.kap * differentiation(p, relative) * room(p, u["osteoclasts"]) * u["precursors"]
        out["precursors"] = self._precursor_supply(u, p, s) - p["precursor_loss"] * u["precursors"] - fusion
        out["osteoclasts"] = fusion - self._death(p, relative, inputs) * u["osteoclasts"]
        j = self._resorption(u, p, place, s)
        for name, before in (("r1", j), ("r2", u["r1"]), ("formation_signal", u["r2"])):
            out[name] = (before - u[name]) / p["formation_delay"]
        balance = self._balance(u, p, place, s)
        out["bone"] = balance * edge_factor(balance, u["bone"], self._taken(u))
        if self.tumour:
            release = tumours.released(place.reference["k_res"], s.w, j, u["bone"], EDGE) / place.reference["release"]
            out["tumour"] = tumours.net_growth(p, u)
            out["pthrp"] = p["pthrp_turnover"] * (u["tumour"] - u["pthrp"])
            out["tgf_beta"] = p["tgf_beta_turnover"] * (release - u["tgf_beta"])
        return out

    def _taken(self, u: Fields) -> Array | float:
        """Room that the tumour takes from bone to be formed."""
        return tumours.density(u) if self.tumour else 0.0

    def _rankl_production(self, u: Fields, p: Numbers, s: Surface) -> Array:
        """S_L = S_L0 {r_L w (1 + E_H h) + s_T T + s_M (1-b-T)+ h + s_C (1-b)}: surface lineage; tumour; stroma under PTHrP; T cells."""
        host = p["rankl_production_factor"] * s.w
        if not self.tumour:
            return p["rankl_production"] * host
        h, t = tumours.signal(p, u), tumours.density(u)
        stroma = p["stroma_rankl"] * jnp.maximum(s.marrow - t, 0) * h + p["t_cell_rankl"] * s.marrow
        return p["rankl_production"] * (host * (1 + p["pthrp_rankl"] * h) + p["tumour_rankl"] * t + stroma)

    def _precursor_supply(self, u: Fields, p: Numbers, s: Surface) -> Array:
        """s_P w (1 + E_P h)."""
        supply = p["precursor_supply"] * s.w
        return supply * (1 + p["pthrp_precursors"] * tumours.signal(p, u)) if self.tumour else supply

    def _supply(self, b: Binder, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> Array:
        """S_OPG = S_O0 {r_O [f_s w + 1 - f_s] (1 - q_O h) + s_O T}; S_drug = kv (1-b) (φ A_plasma - A)."""
        if b.drug:
            return p["vessel_exchange"] * s.marrow * (p["tissue_plasma_ratio"] * inputs[f"plasma_{b.name}"] - u[b.name])
        share = p["opg_surface_share"]
        host = p["opg_production_factor"] * (share * s.w + (1 - share) * place.active)
        if self.tumour:
            host = host * (1 - p["opg_suppression"] * tumours.signal(p, u)) + p["tumour_opg"] * tumours.density(u)
        return p["opg_production"] * host

    def _death(self, p: Numbers, relative: Array, inputs: Numbers) -> Array:
        return death(p, relative) * (poisoned(p, inputs["bisphosphonate"]) if self.bisphosphonate else 1)

    def _relative_occupancy(self, u: Fields, p: Numbers, place: Place) -> Array:
        """u = θ/θ0."""
        return self._occupancy(u, p) / place.reference["theta0"]

    def _occupancy(self, u: Fields, p: Numbers) -> Array:
        """θ of free RANKL; with RANKL on membranes, of L + x M/(1 + Σ A_i/K_i): decoys cover what is on membranes as they bind L."""
        if not self.membrane:
            return occupancy(p, u["rankl"])
        covered = sum(jnp.maximum(u[b.name], 0) / p[f"{b.name}_K_eff"] for b in self.binders)
        return occupancy(p, u["rankl"] + p["membrane_access"] * jnp.maximum(u["rankl_membrane"], 0) / (1 + covered))

    def _resorption(self, u: Fields, p: Numbers, place: Place, s: Surface) -> Array:
        """j = a(u) C / (w + 1): resorptive activity per unit of surface."""
        return activation(p, self._relative_occupancy(u, p, place)) * u["osteoclasts"] / (s.w + 1)

    def _formation(self, u: Fields, p: Numbers, place: Place, s: Surface) -> Array:
        """eta B^m j_ref^(1-m)."""
        formed = formation(p, u["formation_signal"], place.reference["j_ref"], place.reference["jbar"])
        return formed if s.coupling is None else s.coupling * formed

    def _balance(self, u: Fields, p: Numbers, place: Place, s: Surface) -> Array:
        """N = k_res w [-j + eta B^m j_ref^(1-m)], 1/d."""
        return place.reference["k_res"] * s.w * (self._formation(u, p, place, s) - self._resorption(u, p, place, s))

    def reaction_bound(self, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> Array:
        """A bound on the eigenvalues of the reaction, 1/d: the largest row sum of |J|."""
        rankl = jnp.maximum(u["rankl"], 0)
        bound = p["rankl_loss"] + p["vessel_exchange"]
        for b in self.binders:
            bound = bound + p[f"{b.name}_kon"] * (rankl + jnp.maximum(u[b.name], 0)) + koff(p, b) + p[f"{b.name}_loss"]
        dying = p["osteoclast_death"] * p["survival_most"] * (1 + p["bisphosphonate_effect"] if self.bisphosphonate else 1)
        fastest = jnp.maximum(1 / p["formation_delay"], dying)
        bound = jnp.maximum(2 * jnp.max(bound), 2 * (fastest + 2 * p["differentiation"] + p["precursor_loss"]))
        if not self.tumour:
            return bound
        own = jnp.maximum(p["tumour_growth"] + p["tumour_death"], jnp.maximum(p["pthrp_turnover"], p["tgf_beta_turnover"]))
        return jnp.maximum(bound, 2 * own)

    # --- transport and the implicit groups ------------------------------------------------------------------------

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Array, str]]:
        """Of each moving field: its diffusivity, um²/d, and the medium it moves in."""
        return (
            {name: (p[f"{name}_diffusivity"], "marrow") for name in ("rankl", *(b.name for b in self.binders))}
            | {b.complex: (p["complex_diffusivity"], "marrow") for b in self.binders}
            | {"precursors": (p["precursor_motility"], "cells"), "osteoclasts": (p["osteoclast_motility"], "cells")}
            | ({n: (p[f"{n}_{d}"], m) for n, d, m in tumours.MOVES} if self.tumour else {})
        )

    def drift(self, u: Fields, p: Numbers, place: Place, s: Surface) -> dict[str, Faces]:
        """Of each drifting field: M kap v at the faces over the spacing, 1/d, v along grad u bounded by vmax; tumour out of bone."""
        relative = self._relative_occupancy(u, p, place)
        speeds = (drift_speed(p, difference(relative, a, place.wrap) / h) for a, h in enumerate(place.spacing))
        found = {"osteoclasts": tuple(v * c for v, c in zip(speeds, s.carrier, strict=True))}
        return found if s.push is None else found | {"tumour": tuple(p["tumour_motility"] * c for c in s.push)}

    def linearise(self, group: str, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> tuple[Block, dict[str, Array]]:
        """The pointwise Jacobian of a transport group at u (concentrations clipped at 0, so that it stays an M-matrix)."""
        local = {"active": place.active}
        if group == "molecules":
            local |= {"rankl": jnp.maximum(u["rankl"], 0), "marrow": s.marrow}
            local |= {f"free_{i}": jnp.maximum(u[b.name], 0) for i, b in enumerate(self.binders)}
            return binding(p, self.binders), local
        if group in tumours.NAMES:
            return Loss(), local | {"loss": tumours.loss(group, p, u) * place.active}
        relative = self._relative_occupancy(u, p, place)
        if group == "precursors":
            loss = p["precursor_loss"] + s.kap * differentiation(p, relative) * room(p, u["osteoclasts"])
        else:
            loss = self._death(p, relative, inputs)
        return Loss(), local | {"loss": loss * place.active}

    def pointwise(self, group: str, u: Fields, psi: Fields, sigma: Array, p: Numbers, place: Place, s: Surface) -> Fields:
        """σ (u - ψ) = reaction in closed form. σ = 0 asks for the steady state at frozen bone."""
        if group == "bone":
            step = jnp.where(sigma > 0, 1 / jnp.where(sigma > 0, sigma, 1), 0)
            return {"bone": moved_bone(self._balance(u, p, place, s), psi["bone"], step, self._taken(u))}
        if group == "membrane":
            kept = p["membrane_share"] * self._rankl_production(u, p, s)
            return {"rankl_membrane": (sigma * psi["rankl_membrane"] + kept) / (sigma + p["membrane_shedding"] + p["membrane_loss"])}
        rate = 1 / p["formation_delay"]
        out, before = {}, self._resorption(u, p, place, s)
        for name in ("r1", "r2", "formation_signal"):
            before = out[name] = (sigma * psi[name] + rate * before) / (sigma + rate)
        return out

    # --- the healthy baseline ---------------------------------------------------------------------------------------

    def healthy(self, p: Numbers) -> Numbers:
        """The same section without disease: r_L = r_O = 1, no RANKL from T cells."""
        one = jnp.ones_like(p["rankl_production_factor"])
        cells = {"t_cell_rankl": 0 * one} if self.tumour else {}
        return p | {"rankl_production_factor": one, "opg_production_factor": one} | cells

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

    def reference(self, u: Fields, p: Numbers, place: Place) -> dict[str, Array]:
        """From the steady state at frozen bone: θ0 = Σ w θ/Σ w, jbar = Σ w j/Σ w, j_ref = j (jbar where w = 0), k_res = V0 S_ref/jbar."""
        s = self.refresh(u, p, place)
        dtype = u["bone"].dtype
        surface = total(s.w)
        theta = self._occupancy(u, p)
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
    def balanced(self, u: Fields, p: Numbers, place: Place) -> Fields:
        """R1 = R2 = B = j: formation in step with resorption, so that nothing changes in any cell (j = j_ref wherever w > 0)."""
        j = self._resorption(u, p, place, self.refresh(u, p, place))
        return u | dict.fromkeys(("r1", "r2", "formation_signal"), j)

    # --- what is watched --------------------------------------------------------------------------------------------

    def observe(self, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> Numbers:
        """NTX, BSAP, osteoclasts, BV/TV, mean free RANKL and occupancy, lesion {b < b(0) - 0.5}; each drug in plasma and marrow."""
        cells, surface, marrow = total(place.active), total(s.w), total(s.marrow)
        background = p["ntx_background"]
        out = {
            "ntx": background + (1 - background) * total(s.w * self._resorption(u, p, place, s)) / place.reference["resorption"],
            "bsap": total(s.w * self._formation(u, p, place, s)) / place.reference["formation"],
            "osteoclast_number": total(u["osteoclasts"]) / cells,
            "bone_volume_fraction": total(u["bone"]) / cells,
            "mean_free_rankl": total(s.marrow * u["rankl"]) / marrow,
            "mean_occupancy": total(s.w * self._occupancy(u, p)) / surface,
            "lesion_area": total((u["bone"] < place.bone - LESION).astype(place.active.dtype)) * self._cell_area(place),
        }
        if self.tumour:
            out |= {"tumour_burden": total(u["tumour"]) / cells, "mean_pthrp": total(u["pthrp"]) / cells}
        if self.bisphosphonate:
            out["bisphosphonate"] = inputs["bisphosphonate"]
        for a in self.agents:
            out |= {f"plasma_{a.name}": inputs[f"plasma_{a.name}"], f"tissue_{a.name}": total(s.marrow * u[a.name]) / marrow}
        return out

    @staticmethod
    def _cell_area(place: Place) -> float:
        """mm² a cell: of a section, or of the mean slice of a block."""
        height, width = place.spacing[-2:]
        return height * width * 1e-6 / (1 if len(place.spacing) == 2 else place.active.shape[0])

    @property
    def budgets(self) -> dict[str, tuple[str, ...]]:
        """What is conserved but for sources and losses: RANKL, free and bound, and each binder, free and bound."""
        rankl = ("rankl", *(b.complex for b in self.binders), *(("rankl_membrane",) if self.membrane else ()))
        return {"rankl": rankl} | {b.name: (b.name, b.complex) for b in self.binders}

    def flows(self, u: Fields, p: Numbers, place: Place, s: Surface, inputs: Numbers) -> dict[str, tuple[Array, Array]]:
        """For each budget what enters and what is lost, nM/d summed over cells. Exchange with plasma counts net, as a source."""
        bound = {b.name: p["rankl_loss"] * total(u[b.complex]) for b in self.binders}
        lost = p["rankl_loss"] * total(u["rankl"]) + sum(bound.values())
        if self.membrane:
            lost = lost + p["membrane_loss"] * total(u["rankl_membrane"])
        rankl = total(self._rankl_production(u, p, s)), lost
        each = {
            b.name: (total(self._supply(b, u, p, place, s, inputs)), p[f"{b.name}_loss"] * total(u[b.name]) + bound[b.name])
            for b in self.binders
        }
        return {"rankl": rankl} | each
