"""The bone cell populations of Lemaire et al. 2004, the ODE model that is the well-mixed limit of ours.

    dR/dt = D_R π_C - D_B R / π_C                responding osteoblasts
    dB/dt = D_B R / π_C - k_B B                  active osteoblasts
    dC/dt = D_C π_L - D_A π_C C                  active osteoclasts
    π_C = (C + f_0 C_s) / (C + C_s)              TGF-beta released by resorption
    π_P = (P + P_0) / (P + P_s)                  PTH: P = I_P/k_P, P_0 = S_P/k_P, P_s = k_6/k_5
    π_L = k_3/k_4 K_LP π_P B (1 + I_L/r_L) / (1 + k_3 K/k_4 + k_1/(k_2 k_O) (K_OP R/π_P + I_O))
                                                 occupancy of RANK by RANKL

D_B = f_0 d_B. I_L, I_O, I_P are infusions of RANKL, OPG and parathyroid hormone. Units are pM and days.
Lemaire, Tobin, Greller, Cho & Suva 2004, J. Theor. Biol. 229:293, doi 10.1016/j.jtbi.2004.03.023.
"""

from __future__ import annotations

from ..operators.array_types import Surroundings
from .base import Field, Parameter
from .pointwise import Fields, Numbers, ReactionDiffusion

_SOURCE = "Lemaire 2004, 10.1016/j.jtbi.2004.03.023"


def _row(name: str, symbol: str, value: float, unit: str, meaning: str) -> Parameter:
    return Parameter(name, value, unit, meaning, _SOURCE, "V", value / 10, value * 10, symbol)


PARAMETERS = (
    _row("tgf_half", "C_s", 5e-3, "pM", "osteoclasts at half TGF-beta occupancy"),
    _row("tgf_floor", "f_0", 0.05, "1", "TGF-beta occupancy without osteoclasts"),
    _row("osteoclast_death", "D_A", 0.7, "1/d", "osteoclast death at full TGF-beta occupancy"),
    _row("osteoblast_differentiation", "d_B", 0.7, "1/d", "differentiation of responding osteoblasts"),
    _row("osteoclast_differentiation", "D_C", 2.1e-3, "pM/d", "differentiation of osteoclast precursors"),
    _row("responding_supply", "D_R", 7e-4, "pM/d", "supply of responding osteoblasts"),
    _row("osteoblast_loss", "k_B", 0.189, "1/d", "elimination of active osteoblasts"),
    _row("rank", "K", 10.0, "pM", "RANK, free and bound"),
    _row("opg_on", "k_1", 1e-2, "1/(pM d)", "RANKL-OPG association"),
    _row("opg_off", "k_2", 10.0, "1/d", "RANKL-OPG dissociation"),
    _row("rank_on", "k_3", 5.8e-4, "1/(pM d)", "RANKL-RANK association"),
    _row("rank_off", "k_4", 1.7e-2, "1/d", "RANKL-RANK dissociation"),
    _row("pth_on", "k_5", 0.02, "1/(pM d)", "association of parathyroid hormone with its receptor"),
    _row("pth_off", "k_6", 3.0, "1/d", "its dissociation"),
    _row("opg_loss", "k_O", 0.35, "1/d", "loss of OPG"),
    _row("rankl_carried", "K_LP", 3e6, "1", "most RANKL carried by an active osteoblast"),
    _row("opg_made", "K_OP", 2e5, "1/d", "least OPG made by a responding osteoblast"),
    _row("pth_loss", "k_P", 86.0, "1/d", "loss of parathyroid hormone"),
    _row("pth_supply", "S_P", 250.0, "pM/d", "supply of parathyroid hormone"),
    _row("rankl_supply", "r_L", 1e3, "pM/d", "supply of RANKL"),
)

INFUSIONS = ("rankl_infusion", "opg_infusion", "pth_infusion")
"""Infusions, pM/d, 0 without treatment. They are parameters too, so that a treatment begins between two runs
and no step crosses its start.
"""


def values() -> dict[str, float]:
    """The published parameters, no infusion, and a motility of cells of 100 um²/d (the published model has no
    space).
    """
    return {p.name: p.value for p in PARAMETERS} | dict.fromkeys(INFUSIONS, 0.0) | {"motility": 100.0}


def _rates(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    responding, active, osteoclasts = u["responding_osteoblasts"], u["active_osteoblasts"], u["osteoclasts"]
    tgf = (osteoclasts + p["tgf_floor"] * p["tgf_half"]) / (osteoclasts + p["tgf_half"])
    infused = p["pth_infusion"] / p["pth_loss"]
    pth = (infused + p["pth_supply"] / p["pth_loss"]) / (infused + p["pth_off"] / p["pth_on"])
    opg = (p["opg_made"] * responding / pth + p["opg_infusion"]) / p["opg_loss"]
    held = (
        p["rank_on"]
        / p["rank_off"]
        * p["rankl_carried"]
        * pth
        * active
        * (1 + p["rankl_infusion"] / p["rankl_supply"])
    )
    occupied = held / (1 + p["rank_on"] / p["rank_off"] * p["rank"] + p["opg_on"] / p["opg_off"] * opg)
    maturing = p["tgf_floor"] * p["osteoblast_differentiation"] * responding / tgf
    return {
        "responding_osteoblasts": p["responding_supply"] * tgf - maturing,
        "active_osteoblasts": maturing - p["osteoblast_loss"] * active,
        "osteoclasts": p["osteoclast_differentiation"] * occupied - p["osteoclast_death"] * tgf * osteoclasts,
    }


LEMAIRE = ReactionDiffusion(
    "Lemaire 2004",
    (
        Field("responding_osteoblasts", "pM", 1e-3, "responding osteoblasts"),
        Field("active_osteoblasts", "pM", 1e-3, "active osteoblasts"),
        Field("osteoclasts", "pM", 1e-3, "active osteoclasts"),
    ),
    _rates,
    {"responding_osteoblasts": "motility", "active_osteoblasts": "motility", "osteoclasts": "motility"},
)

UNTREATED = {"responding_osteoblasts": 0.7734e-3, "active_osteoblasts": 0.7282e-3, "osteoclasts": 0.9127e-3}
"""The published steady state, pM, to its four digits."""
