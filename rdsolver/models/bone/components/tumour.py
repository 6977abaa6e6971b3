"""The tumour: growth, invasion, PTHrP, TGF-beta, and their effects on bone cells.

T is a fraction of the volume. The tumour never removes bone itself; osteoclasts do.

    dT/dt = div(D_T (1-b) grad[T/(1-b+0.01)]) + g_T [f_0 + (1-f_0) G/(K_G+G)] (1-T-b)+ T³/(T_1²+T²) - d_T T
    dH/dt = div(D_H grad H) + d_H (T - H)             PTHrP, relative
    dG/dt = div(D_G grad G) + d_G (rel/rel_0 - G)     TGF-beta set free by resorption, relative

Rates: Bishop et al. 2024, Nat Commun 15:2458. The vicious cycle: Mundy; Boyce & Xing 2007,
10.1007/s11914-007-0024-y. The functions are pointwise and take arrays of any shape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from ....errors import Fault, InputError
from ....geometry.section import Section
from ....geometry.tumour_seeding import Nests
from ....utils.lazy import lazy
from ...base import Field, Group, Observer, Parameter, Series
from .. import calcium
from ..binders import UM2_S
from ..component import Component, Conditions, Effect, Effects, HostState
from ..component_table import ComponentTable, Key
from ..observers import mean

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators import faces, reductions, transport
    from ....operators.array_types import Cells, Fields, Number, Numbers
    from ....operators.blocks import Block, Local
    from ....operators.faces import Wrap
    from ....operators.transport import Faces
    from .. import binding
    from ..static_fields import BoneGeometry, StaticFields

else:
    jnp = lazy("jax.numpy")
    faces, reductions, transport = (
        lazy(f"rdsolver.operators.{name}") for name in ("faces", "reductions", "transport")
    )
    binding = lazy("rdsolver.models.bone.binding")

_BISHOP = "Bishop et al. 2024, Nat Commun 15:2458, released code"
_OPENBONEMIN = "Peterson & Riggs 2010, Bone 46:49, as in OpenBoneMin"
_SHAPE = "shape parameter, assumed"
_BY_FILTRATION = (
    "mouse and rat as filtration: 0.237 mL/min (Qi 2004, AJP Renal F590), 1.36 mL/min, man 125 mL/min"
)
_BY_WEIGHT = "mouse and rat by weight, 25 and 300 g"

# fmt: off
ROWS = (
    Parameter("tumour_growth", 0.8, "1/d", "growth of the tumour with all of TGF-beta's effect and all the room", _BISHOP, "V/A", 0.01, 3.0, "g_T"),
    Parameter("tumour_death", 0.2, "1/d", "death of tumour cells", _BISHOP, "V/A", 0.0, 2.0, "d_T"),
    Parameter("tumour_least", 1e-4, "1", "density below which growth ends: less than a cell in its neighbourhood (0: none)", "assumed: without it empty marrow is unstable, and the solver's error grows there (DECISIONS.md)", "A", 0.0, 0.01, "T_1"),
    Parameter("tumour_basal_growth", 0.4, "1", "share of growth that needs no TGF-beta", "assumed", "A", 0.0, 1.0, "f_0", maximum=1.0, presets=(("osteoblastic", 1.0),)),
    Parameter("tgf_beta_half", 1.75, "1", "TGF-beta at half of its effect, relative to the largest release of the healthy section", "assumed (1 when release was counted in bone alone, DECISIONS.md)", "A", 0.01, 100.0, "K_G", minimum=1e-9),
    Parameter("tumour_motility", 100.0, "um^2/d", "random motility of tumour cells", "assumed", "A", 0.0, 1e4, "D_T"),
    Parameter("pthrp_diffusivity", 30 * UM2_S, "um^2/d", "diffusivity of PTHrP in marrow", _SHAPE, "A", 1 * UM2_S, 200 * UM2_S, "D_H"),
    Parameter("pthrp_turnover", 10.0, "1/d", "turnover of PTHrP", _SHAPE, "A", 0.1, 1e3, "d_H"),
    Parameter("pthrp_half", 0.5, "1", "PTHrP at half of its effect, relative to a solid tumour's", _SHAPE, "A", 0.01, 10.0, "K_H", minimum=1e-9),
    Parameter("pthrp_rankl", 15.0, "1", "rise of the host's RANKL under PTHrP", f"{_SHAPE}; no rise was found published", "A", 0.0, 100.0, "E_H", presets=(("osteoblastic", 0.0),)),
    Parameter("pthrp_precursors", 15.0, "1", "rise of the supply of precursors under PTHrP", "assumed: lesions of several 100 um need it (T13, DECISIONS.md)", "A", 0.0, 100.0, "E_P", presets=(("mouse", 8.0), ("rat", 8.0), ("osteoblastic", 0.0))),
    Parameter("tgf_beta_diffusivity", 13 * UM2_S, "um^2/d", "diffusivity of TGF-beta in marrow", _BISHOP, "V", 1 * UM2_S, 200 * UM2_S, "D_G"),
    Parameter("tgf_beta_turnover", 50.0, "1/d", "turnover of TGF-beta", _SHAPE, "A", 0.1, 1e3, "d_G"),
    Parameter("tumour_rankl", 1.0, "1", "RANKL made by the tumour, relative to rankl_production", "tuned on T9", "A", 0.0, 100.0, "s_T", presets=(("osteoblastic", 0.0),)),
    Parameter("stroma_rankl", 0.0, "1", "RANKL made by marrow stroma under PTHrP, relative to rankl_production", "assumed", "A", 0.0, 100.0, "s_M", presets=(("myeloma", 1.0),)),
    Parameter("t_cell_rankl", 0.0, "1", "RANKL made by T cells in marrow, relative to rankl_production", "assumed", "A", 0.0, 100.0, "s_C"),
    Parameter("opg_suppression", 0.0, "1", "share of the host's OPG that is lost under PTHrP", "assumed", "A", 0.0, 1.0, "q_O", presets=(("myeloma", 0.5),), maximum=1.0),
    Parameter("tumour_opg", 0.0, "1", "OPG made by the tumour, relative to opg_production", "assumed", "A", 0.0, 100.0, "s_O"),
    Parameter("calcium_volume", 14.0, "L", "volume that serum calcium spreads in", f"{_OPENBONEMIN}; {_BY_WEIGHT}", "V", 0.00167, 30.0, "V_c", minimum=1e-6, presets=(("mouse", 0.005), ("rat", 0.06))),
    Parameter("calcium_intake", 3.6, "mmol/d", "calcium absorbed by the gut", f"{_OPENBONEMIN}; {_BY_FILTRATION}", "V", 0.0, 20.0, "A0", presets=(("mouse", 0.00682), ("rat", 0.0392))),
    Parameter("calcium_filtration", 43.2, "L/d", "filtration of calcium by the kidneys", f"{_OPENBONEMIN}; {_BY_FILTRATION}", "V", 0.0273, 200.0, "F_g", minimum=1e-6, presets=(("mouse", 0.0818), ("rat", 0.47))),
    Parameter("calcium_reabsorption", 165.7, "mmol/d", "most that the kidneys take back", "so that serum calcium is 2.40 mmol/L at baseline", "C", 0.0, 1e3, "T_m", presets=(("mouse", 0.314), ("rat", 1.803))),
    Parameter("calcium_reabsorption_half", 1.573, "mmol/L", "serum calcium at half of it", _OPENBONEMIN, "V", 0.1, 10.0, "K_m", minimum=1e-6),
    Parameter("calcium_pthrp", 0.03, "1", "rise of what is taken back under PTHrP", "assumed; that it rises: Ralston 1984, BMJ 288:1405", "A", 0.0, 1.0, "alpha"),
    Parameter("calcium_clearance", 1.0, "1", "function of the kidneys (0.7 dehydrated)", "assumed", "A", 0.01, 1.0, "g_r", minimum=1e-6, maximum=1.0),
    Parameter("calcium_in_bone", 11.5, "mmol/mL", "calcium of a volume of bone", "23 wt% of calcium (Ruffoni 2007, 10.1016/j.bone.2007.01.012) in 2.0 g/mL (Martinez-Reina & Pivonka 2019), both as in released code", "C", 5.0, 15.0, "Ca_b"),
    Parameter("tumour_load", 4.0, "mL", "tumour in the bones of the patient on the day that it is planted, of which the section shows a piece", "tuned on T13: the untreated metastasis is hypercalcaemic; in mice and rats as filtration", "A", 0.0, 1e3, "V_T", presets=(("mouse", 0.0076), ("rat", 0.0435))),
    Parameter("formation_suppression", 0.92, "1", "share of formation that a tumour suppresses (osteoblasts 8 % of control)", "Clin Cancer Res 2006, 12:1431", "M", 0.0, 1.0, "psi", maximum=1.0, presets=(("osteoblastic", 0.0),)),
    Parameter("tumour_formation", 0.0, "1", "formation that a tumour adds whatever the resorption, relative to healthy (osteoblastic lesions)", "size assumed; that decoys do not prevent them: Whang 2005, 10.1016/j.orthres.2005.05.004", "A", 0.0, 100.0, "s_B", presets=(("osteoblastic", 20.0),)),
    Parameter("tumour_opg_uptake", 0.0, "1/d", "free OPG that a solid tumour takes up and degrades (0: none)", "myeloma, by heparan sulfate: Standal 2002, Blood 100:3002; no rate was found, 0 unless given", "A", 0.0, 1e3, "k_up"),
    Parameter("formation_reach", 1.0, "1", "its effects on formation by what it sets free, which spreads as PTHrP does, relative to contact (0: contact alone)", "tuned on T14: lesions arrest under a decoy, and do not heal", "A", 0.0, 10.0, "x_H"),
    Parameter("trail_death", 0.0, "1/d", "death of tumour cells by TRAIL that nothing binds (0: none)", "assumed: 0 unless given; OPG does not protect every tumour (Weichhaus 2014, PMC4302663)", "A", 0.0, 2.0, "d_tr"),
    Parameter("trail_K", 3.0, "nM", "OPG that binds half of TRAIL", "Emery 1998, 10.1074/jbc.273.23.14363, OPG-Fc", "M", 0.1, 100.0, "K_tr", minimum=1e-6),
)
# fmt: on

DIFFUSES = (
    ("tumour", "motility", "tumour"),
    ("pthrp", "diffusivity", "marrow"),
    ("tgf_beta", "diffusivity", "marrow"),
)
"""The fields that diffuse, each with the suffix of its diffusivity's name and the medium that it moves in."""

CROWDED = 0.3  # smoothed tumour density from which its effects on formation are full
ROOM = 0.01  # added to the marrow, so that T divided by the room has a meaning inside bone


@dataclass(frozen=True)
class TumourTable(ComponentTable):
    """[tumour]: the tumour, as it is on day 0."""

    kind: Annotated[
        Literal["metastasis", "myeloma", "osteoblastic"],
        Key("The tumour whose parameter values are the defaults."),
    ] = "metastasis"
    at: Annotated[
        list[list[float]] | None,
        Key(
            "The centres of nests, y and x (z, y and x in a block) from the corner of the section, for example"
            ' [["640 um", "640 um"]].',
            "um",
            above=0,
            most=1e12,
        ),
    ] = None
    nests: Annotated[
        int, Key("The number of further nests at random places in marrow.", least=0, most=10_000)
    ] = 0
    seed: Annotated[
        int, Key("The seed of those places: the same seed gives the same places.", least=0, most=2**63 - 1)
    ] = 1
    radius: Annotated[float, Key('The radius of a nest, for example "60 um".', "um", above=0, most=1e12)] = (
        60.0
    )
    density: Annotated[
        float, Key("The share of the marrow that tumour cells take inside a nest.", above=0, most=1)
    ] = 0.5
    spread: Annotated[
        float, Key("The share of the marrow that they take outside nests, for example 0.01.", least=0, most=1)
    ] = 0.0

    def faults(self, given: Collection[str]) -> Iterator[Fault]:
        if not self.at and not self.nests and not self.spread:
            yield (
                "nests",
                'is missing: say where the tumour starts, by at = [["640 um", "640 um"]], nests = 3 or'
                " spread = 0.01.",
            )
        for key in self.idle:
            if key in given:
                yield (
                    key,
                    "has no effect: this tumour has no nests. Leave it out, or plant one by at or nests.",
                )

    @property
    def idle(self) -> tuple[str, ...]:
        return ("seed",) * (not self.nests) + ("radius", "density") * (not self.nests and not self.at)

    @property
    def seeds(self) -> tuple[str, ...]:
        return ("seed",) if self.nests else ()

    @property
    def presets(self) -> tuple[str, ...]:
        return (self.kind,)


@dataclass(frozen=True)
class Tumour(Component):
    """The component of the tumour.

    nests: the places where it begins on day 0; nothing that is compiled depends on them.
    """

    nests: Nests | None = field(default=None, compare=False)

    name = "tumour"
    label = "a tumour"
    switch = "Plant one: [tumour] with nests = 1."
    table = TumourTable
    rows = ROWS
    unknowns = (
        Field("tumour", "1", 0.01, "tumour, fraction of the volume"),
        Field("pthrp", "1", 1.0, "PTHrP, relative"),
        Field("tgf_beta", "1", 1.0, "TGF-beta set free from bone, relative"),
    )
    observers = (
        Observer("tumour_burden", "1", "tumour, share of the section", partial(mean, "tumour")),
        Observer("mean_pthrp", "1", "PTHrP", partial(mean, "pthrp")),
    )
    followed = (Series("serum_calcium", "mmol/L", "serum calcium", calcium.GRADES),)
    slow = ("tumour",)
    fitted = ("tumour",)
    upstream = (
        Group("tumour", ("tumour",), "transport", 2, "tumour"),
        Group("pthrp", ("pthrp",), "transport", 1, "marrow"),
    )
    downstream = (Group("tgf_beta", ("tgf_beta",), "transport", 1, "marrow"),)
    planted = ("tumour",)
    moving = tuple(name for name, _, _ in DIFFUSES)

    @classmethod
    def of_table(cls, table: TumourTable) -> Tumour:
        at = tuple(tuple(centre) for centre in table.at or ())
        return cls(Nests(at, table.nests, table.radius, table.density, table.spread, table.seed))

    @property
    def effects(self) -> Effects:
        return {
            "rankl_production": self._rankl,
            "opg_production": self._opg,
            "opg_loss": lambda c: Effect(plus=c.p["tumour_opg_uptake"] * density(c.u)),
            "precursor_supply": self._recruited,
            "formation": self._suppressed,
            "room_taken": lambda c: Effect(plus=density(c.u)),
        }

    def _rankl(self, c: Conditions) -> Effect:
        """Production of RANKL S_L = S_L0 {r_L w (1 + E_H h) + s_T T + s_M (1-b-T)+ h + s_C (1-b)}.

        The terms are those of the surface lineage, the tumour, stroma under PTHrP, and T cells.
        """
        p, marrow, h, t = c.p, c.geometry.marrow, signal(c.p, c.u), density(c.u)
        stroma = p["stroma_rankl"] * jnp.maximum(marrow - t, 0) * h + p["t_cell_rankl"] * marrow
        return Effect(1 + p["pthrp_rankl"] * h, p["rankl_production"] * (p["tumour_rankl"] * t + stroma))

    def _opg(self, c: Conditions) -> Effect:
        """Production of OPG S_OPG = S_O0 {r_O [f_s w + 1 - f_s] (1 - q_O h) + s_O T}."""
        own = c.p["opg_production"] * c.p["tumour_opg"] * density(c.u)
        return Effect(1 - c.p["opg_suppression"] * signal(c.p, c.u), own)

    def _recruited(self, c: Conditions) -> Effect:
        """Supply of precursors s_P w (1 + E_P h)."""
        return Effect(times=1 + c.p["pthrp_precursors"] * signal(c.p, c.u))

    def _suppressed(self, c: Conditions) -> Effect:
        """Formation eta f + s_B near jbar, with f that of the model and eta = 1 - psi near."""
        near = c.geometry.extra["near_tumour"]
        made = c.p["tumour_formation"] * near * c.place.reference["jbar"]
        return Effect(1 - c.p["formation_suppression"] * near, made)

    def coefficients(
        self, u: Fields, p: Numbers, place: StaticFields, geometry: BoneGeometry
    ) -> BoneGeometry:
        through = transport.face_diffusion(geometry.marrow, place.openings, place.spacing, place.wrap)
        media, push = invasion(geometry.marrow, place.active, through, place.wrap)
        near = nearness(p, u, place.smoothed(density(u)))
        return replace(
            geometry,
            media=geometry.media | {"tumour": media},
            mobility=geometry.mobility | {"tumour": geometry.marrow},
            extra=geometry.extra | {"push": push, "near_tumour": near},
        )

    def reaction(self, c: Conditions) -> Fields:
        u, p, reference = c.u, c.p, c.place.reference
        release = released(reference["k_res"], c.geometry.w, c.resorption) / reference["release"]
        return {
            "tumour": net_growth(p, u, death(c)),
            "pthrp": p["pthrp_turnover"] * (u["tumour"] - u["pthrp"]),
            "tgf_beta": p["tgf_beta_turnover"] * (release - u["tgf_beta"]),
        }

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        return {name: (p[f"{name}_{key}"], medium) for name, key, medium in DIFFUSES}

    def drift(self, c: Conditions) -> dict[str, Faces]:
        return {"tumour": tuple(c.p["tumour_motility"] * v for v in c.geometry.extra["push"])}

    def linearise(self, group: str, c: Conditions) -> tuple[Block, Local]:
        active = c.place.active
        return binding.Loss(), {"active": active, "loss": loss(group, c) * active}

    def bound(self, rest: Number, c: Conditions) -> Number:
        p = c.p
        turnover = jnp.maximum(p["pthrp_turnover"], p["tgf_beta_turnover"])
        own = p["tumour_growth"] + p["tumour_death"] + p["trail_death"]
        return jnp.maximum(rest + 2 * p["tumour_opg_uptake"], 2 * jnp.maximum(own, turnover))

    def at_baseline(self, p: Numbers) -> Numbers:
        """Set the RANKL of T cells to 0, because T cells make RANKL in the disease only."""
        return {"t_cell_rankl": jnp.zeros_like(p["t_cell_rankl"])}

    def check_section(self, section: Section) -> None:
        assert self.nests is not None
        self.nests.planted(section)

    def plant(self, section: Section, active: Cells) -> Mapping[str, np.ndarray]:
        assert self.nests is not None  # the tumour of a run always has nests
        return {"tumour": self.nests.planted(section)}

    def host(self, section: Section, values: Mapping[str, float], before: Mapping[str, Any]) -> HostState:
        planted, calcium = before.get("tumour_planted"), before.get("serum_calcium")
        if planted is None:
            if calcium is not None:
                raise InputError(
                    "initial.from: that run has a tumour, and no tumour_planted: it was made by an older"
                    " rdsolver. Start a new run."
                )
            assert self.nests is not None  # the tumour of a run always has nests
            planted = float(self.nests.planted(section).sum() / section.active.sum())
        return SerumCalcium(planted, values, calcium)

    @property
    def setup(self) -> str:
        return repr(self.nests)

    def describe(self) -> str:
        return self.nests.describe() if self.nests else ""


class SerumCalcium:
    """Serum calcium (models/bone/calcium.py), computed from the bone lost in a step and from PTHrP at its
    end.

    planted  share of the section that was tumour on the day that it was planted
    before   the serum calcium to continue from (None: start in balance)
    """

    def __init__(self, planted: float, values: Mapping[str, float], before: float | None) -> None:
        self.planted = planted
        self.calcium = before or calcium.steady(0.0, 0.0, values)
        self._bone: float | None = None  # BV/TV after the previous step

    def after(self, days: float, observed: Mapping[str, float], p: Mapping[str, float]) -> dict[str, float]:
        bone = observed["bone_volume_fraction"]
        if days > 0 and self._bone is not None:
            self.calcium = self.later(self.calcium, days, self._bone - bone, observed["mean_pthrp"], p)
        self._bone = bone
        return {"serum_calcium": self.calcium}

    def later(self, before: float, days: float, lost: float, pthrp: float, p: Mapping[str, float]) -> float:
        """Serum calcium after a number of days in which BV/TV fell by `lost`, mmol/L."""
        release = p["calcium_in_bone"] * p["tumour_load"] * lost / days / self.planted
        return calcium.later(before, days, release, pthrp, p)

    def state_dict(self) -> dict[str, Any]:
        return {"calcium": self.calcium, "bone": self._bone, "planted": self.planted}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.calcium, self._bone, self.planted = state["calcium"], state["bone"], state["planted"]

    def handed_on(self) -> dict[str, float]:
        return {"serum_calcium": self.calcium, "tumour_planted": self.planted}


def density(u: Fields) -> Cells:
    """T with negative values set to 0: values that the solver left below zero, within its tolerance, would
    grow.
    """
    return jnp.maximum(u["tumour"], 0)


def growth(p: Numbers, u: Fields) -> Cells:
    """Growth rate g_T [f_0 + (1-f_0) G/(K_G+G)] T²/(T_1²+T²), 1/d, where there is room; T_1: less than a
    cell.
    """
    g, t, least = jnp.maximum(u["tgf_beta"], 0), density(u), p["tumour_least"]
    basal = p["tumour_basal_growth"]
    whole = t**2 / (t**2 + jnp.maximum(least, 1e-12) ** 2)
    return p["tumour_growth"] * (basal + (1 - basal) * g / (p["tgf_beta_half"] + g)) * whole


def death(c: Conditions) -> Cells:
    """Death rate d_T + d_tr/(1 + Σ A/K_tr), 1/d: TRAIL kills tumour cells, unless OPG or a drug that is made of
    it has bound TRAIL.
    """
    p, traps = c.p, (b for b in c.model.binders if b.binds_trail)
    bound = sum(jnp.maximum(c.u[b.name], 0) for b in traps) / p["trail_K"]
    return p["tumour_death"] + p["trail_death"] / (1 + bound)


def net_growth(p: Numbers, u: Fields, death: Cells) -> Cells:
    """The pointwise part of dT/dt, 1/d."""
    t = density(u)
    return growth(p, u) * jnp.maximum(1 - t - u["bone"], 0) * t - death * u["tumour"]


def loss(name: str, c: Conditions) -> Cells:
    """The loss rate of one of the fields, 1/d: minus the slope of its rate where that is a loss.

    Growth itself is taken from the predictor, so the matrix is an M-matrix, and the order stays two. The loss
    is never 0: a cell inside bone, which nothing reaches, would otherwise have no equation in the baseline.
    """
    p, u = c.p, c.u
    if name != "tumour":
        return jnp.full_like(u[name], 1) * p[f"{name}_turnover"]
    t = density(u)
    slope = jnp.where(t + u["bone"] < 1, growth(p, u) * (1 - 2 * t - u["bone"]), 0)
    return jnp.maximum(death(c) - slope, 1e-6)


def signal(p: Numbers, u: Fields) -> Cells:
    """The signal h = H/(K_H + H): the fraction of PTHrP's full effect."""
    h = jnp.maximum(u["pthrp"], 0)
    return h / (p["pthrp_half"] + h)


def nearness(p: Numbers, u: Fields, smoothed: Cells) -> Cells:
    """The nearness min(1, (T_s + x_H H)/0.3) of a tumour, with T_s smoothed like bone: the share of its effects
    on formation.
    """
    spread = p["formation_reach"] * jnp.maximum(u["pthrp"], 0)
    return jnp.clip((smoothed + spread) / CROWDED, 0, 1)


def released(k_res: Number, w: Cells, j: Cells) -> Cells:
    """Release rel = k_res w j, 1/d: resorption, and the growth factors that it sets free.

    All of it counts, as in NTX. If only release inside bone counted, the cells that the surface cuts would
    count in full, which is an error of first order in the cell size, and a tumour's growth multiplies it
    (DECISIONS.md).
    """
    return k_res * w * j


def invasion(marrow: Cells, active: Cells, c: Faces, wrap: Wrap) -> tuple[Faces, Faces]:
    """The invasion div((1-b) grad[T/m]), m = 1-b+0.01, as diffusion with upwind drift.

    Return (face coefficients, drift over D_T), both 1/um². c: the face coefficients of (1-b). With a = c/m of
    the lower and b = c/m of the upper cell, the upward flux is a T_low - b T_up = min(a, b) (T_low - T_up) +
    (a - b)+ T_low - (b - a)+ T_up, which is exactly the upwind flux of a drift a - b.
    """
    inverse = active / (marrow + ROOM)
    below, above = (
        [side(inverse, a, wrap) for a in range(active.ndim)] for side in (faces.lower, faces.upper)
    )
    both = list(zip(c, below, above, strict=True))
    return tuple(k * jnp.minimum(x, y) for k, x, y in both), tuple(k * (x - y) for k, x, y in both)


COMPONENT = Tumour
