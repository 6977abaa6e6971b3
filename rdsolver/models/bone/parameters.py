"""The parameters that the model always has, declared once: value, unit, meaning, source, mark and range.

Docs, `rdsolver params`, the config and the output file are all made from these rows. Units: um, d, nM, cells
per mm3; the equations and the symbols are in docs/model.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..base import Parameter
from .binders import OPG, UM2_S, Binder, binder_parameters

if TYPE_CHECKING:
    from .component import Component

PRESETS = ("human", "mouse", "rat")
TUMOURS = ("metastasis", "myeloma", "osteoblastic")
TISSUES = {
    "artery": "calcified share of the wall",
    "lymph_node": "responding share of the node",
    "mammary": "responding share of the gland",
}
"""The tissues beyond bone, each with a description of its response."""
AT_BASELINE = {
    "smoothing_length": "defines the bone surface",
    "surface_reference": "defines the bone surface",
    "surface_cutoff": "defines the bone surface",
    "turnover_speed": "acts through the healthy baseline alone",
    "ntx_background": "belongs to the read-out, not to the tissue",
    "bsap_background": "belongs to the read-out, not to the tissue",
}
"""Parameters that cannot change during a run, nor from a run to one that continues from it, each with the
reason.
"""
AT_HEALTH = (
    "rankl_production_factor",
    "opg_production_factor",
    "surface_rankl_factor",
    "osteocyte_rankl_factor",
    "rank_factor",
)
"""The factors of a disease, which are 1 in the healthy baseline."""

_BISHOP = "Bishop et al. 2024, Nat Commun 15:2458, released code"
_PIVONKA = "Pivonka 2008, 10.1016/j.bone.2008.03.025"
_LEMAIRE = "Lemaire 2004, 10.1016/j.jtbi.2004.03.023"
_PETERSON = "Peterson & Riggs 2010, Bone 46:49, as in OpenBoneMin"
_STEADY = "steady state of the baseline concentrations"

# One row for each parameter, however long: a table reads better than a column of arguments.
# fmt: off
_CYTOKINES = (
    Parameter("rankl_diffusivity", 13 * UM2_S, "um^2/d", "diffusivity of free RANKL in marrow", _BISHOP, "V", 1 * UM2_S, 100 * UM2_S, "D_L"),
    Parameter("complex_diffusivity", 7 * UM2_S, "um^2/d", "diffusivity of RANKL complexes in marrow", "Stokes scaling from RANKL", "C", 1 * UM2_S, 100 * UM2_S, "D_Q"),
    Parameter("bone_hindrance", 0.1, "1", "diffusivity inside bone relative to marrow", _BISHOP, "V", 1e-4, 1.0, maximum=1.0),
    Parameter("rankl_loss", 10.13, "1/d", "loss of RANKL, free and bound (published 0.07 to 504)", _PIVONKA, "V", 0.07, 504.0, "d_L"),
    Parameter("rankl_production", 0.061, "nM/d", "RANKL production where the surface measure w is 1, if the surface made all of it", _STEADY, "C", 1e-3, 10.0, "S_L0"),
    Parameter("opg_production", 2.4, "nM/d", "OPG production where w is 1", _STEADY, "C", 0.01, 100.0, "S_O0"),
    Parameter("rankl_production_factor", 1.0, "1", "disease factor on all RANKL that the healthy tissue makes; 1 in the healthy baseline", "definition", "A", 0.0, 100.0, "r_L"),
    Parameter("opg_production_factor", 1.0, "1", "disease factor on OPG production; 1 in the healthy baseline", "definition", "A", 0.0, 100.0, "r_O"),
    Parameter("opg_surface_share", 0.5, "1", "share of OPG made at the bone surface, the rest all over the section", "assumed", "A", 0.0, 1.0, "f_s", maximum=1.0),
    Parameter("rankl_scale", 0.002, "nM", "typical free RANKL: tolerances are relative to it", "Lemaire steady state 1.75 pM", "C/A", 1e-5, 1.0, "L0", minimum=1e-12),
    Parameter("opg_scale", 0.06, "nM", "typical free OPG (an effective value, not a measured one): tolerances are relative to it", "ratio O0/K_O = 2 kept", "C/A", 1e-4, 10.0, "O0", minimum=1e-12),
    Parameter("vessel_exchange", 5.0, "1/d", "exchange of a drug between plasma and marrow", "assumed", "A", 0.05, 500.0, "kv"),
    Parameter("tissue_plasma_ratio", 0.5, "1", "free drug in tissue over plasma at balance", "assumed", "A", 0.05, 1.0, "phi"),
)

_RANK = (
    Parameter("rank_K", 0.0293, "nM", "effective constant of RANKL with RANK on cells", f"{_LEMAIRE}; {_PIVONKA}", "V", 0.001, 10.0, "K_R", minimum=1e-9),
    Parameter("rank_factor", 1.0, "1", "factor on the number of RANK receptors; 1 in the healthy baseline", "definition", "A", 0.0, 10.0, "r_R"),
)

_CELLS = (
    Parameter("differentiation", 0.00125, "1/d", "differentiation of precursors at baseline occupancy", "order of osteoclast_death C0/P0; a pool slow enough for the overshoot after denosumab (T10, DECISIONS.md)", "A", 1e-3, 1.0, "p0"),
    Parameter("differentiation_most", 2.8, "1", "differentiation at most, relative to baseline (1: it ignores RANKL)", f"{_PETERSON}: 3.545; lowered on T12", "V/A", 1.0, 20.0, "pmax", minimum=1.0),
    Parameter("differentiation_exponent", 1.0, "1", "Hill exponent of differentiation in the occupancy", "first order, as in Lemaire 2004; tuned on T2 (DECISIONS.md)", "A", 1.0, 4.0, "n"),
    Parameter("precursor_supply", 8.8, "1/(mm^3 d)", "supply of committed precursors where w is 1, at baseline occupancy", "order of P0 (precursor_loss + differentiation) / w", "A", 0.01, 100.0, "s_P"),
    Parameter("precursor_supply_most", 4.5, "1", "supply at most, relative to baseline (1: it ignores RANKL)", "tuned on T12 and T17; that the pool varies: 10.3389/fbioe.2022.886579", "A", 1.0, 100.0, "smax", minimum=1.0),
    Parameter("precursor_loss", 0.0125, "1/d", "loss of precursors", "tuned on T10 and T17: a pool slow enough for what follows denosumab (DECISIONS.md); no lifetime was found", "A", 1e-3, 1.0, "d_P"),
    Parameter("precursor_motility", 432.0, "um^2/d", "random motility of precursors", _BISHOP, "V", 0.0, 1e4, "D_P"),
    Parameter("precursor_scale", 640.0, "1/mm^3", "typical density of precursors: tolerances are relative to it", "label counts; geometry", "U/A", 0.1, 1e5, "P0", minimum=1e-9),
    Parameter("osteoclast_death", 0.16, "1/d", "death of osteoclasts at baseline occupancy", _PETERSON, "C", 0.01, 1.0, "d_C"),
    Parameter("survival_most", 3.803, "1", "death without RANK signal, relative to baseline", _PETERSON, "V", 1.0, 10.0, "E0", minimum=1.0),
    Parameter("survival_least", 0.470, "1", "death at full RANK signal, relative to baseline", _PETERSON, "V", 0.0, 1.0, "Em", maximum=1.0),
    Parameter("survival_exponent", 3.09, "1", "Hill exponent of survival in the occupancy", _PETERSON, "V", 1.0, 6.0, "g"),
    Parameter("activation_share", 0.12, "1", "share of resorption per osteoclast that follows the occupancy below its baseline", "tuned on T3 and T4: NTX after Fc-OPG (Bekker 2001, Zierhut 2008)", "A", 0.0, 1.0, "e", maximum=1.0),
    Parameter("activation_exponent", 0.604, "1", "exponent of resorption per osteoclast in the occupancy above its baseline", f"{_PETERSON}: exponent of bound RANK per osteoclast in the calcium that osteoclasts set free", "V", 0.0, 2.0, "gamma"),
    Parameter("osteoclast_motility", 15.0, "um^2/d", "random motility of osteoclasts", "assumed, so that over 95 % of them lie within 30 um of bone (DECISIONS.md)", "A", 0.0, 1e4, "D_C"),
    Parameter("osteoclast_scale", 5.0, "1/mm^3", "typical density of osteoclasts: tolerances are relative to it", "label counts; geometry", "U/A", 0.01, 1e4, "C0", minimum=1e-9),
    Parameter("osteoclast_limit", 2e4, "1/mm^3", "packing limit of osteoclasts", "geometry", "U/A", 100.0, 1e6, "Cmax", minimum=1e-6),
    Parameter("chemotaxis", 500.0, "um^2/d", "drift up the gradient of the occupancy relative to baseline", "tuned on T2 and T15 (DECISIONS.md)", "A", 0.0, 1e5, "chi"),
    Parameter("drift_limit", 10.0, "um/d", "largest drift speed of osteoclasts (cortical remodelling units advance 20 to 40 um/d)", "tuned on T2 and T15 (DECISIONS.md)", "U/A", 1.0, 200.0, "vmax", minimum=1e-6),
    Parameter("bone_mobility", 0.05, "1", "motility of cells inside bone relative to marrow", "assumed", "A", 0.0, 1.0, maximum=1.0),
)

_MATRIX = (
    Parameter("smoothing_length", 15.0, "um", "standard deviation of the Gaussian that smooths bone before its surface is found", "definition", "A", 1.0, 100.0, "sigma", minimum=1e-3),
    Parameter("surface_reference", 3e-3, "1/um", "surface density at which w is about 1 (3 mm2 per mm3)", "definition", "A", 3e-4, 3e-2, "S_ref", minimum=1e-9),
    Parameter("surface_cutoff", 0.5, "1", "surface measure below which there is no surface; ends the surface about 35 um from bone", "definition (DECISIONS.md)", "A", 0.0, 1.0),
    Parameter("turnover_speed", 0.027, "um/d", "speed of resorption, averaged over the surface, at baseline (about 20 % of the bone a year in the demo section)", "human: tuned on T18; mouse: tuned on T12, above the 4.9 % a week of murine trabeculae (ANZBMS 2023, abstract); rat: assumed, between them", "A", 1e-3, 3.0, "V0", presets=(("mouse", 0.65), ("rat", 0.15),)),
    Parameter("formation_delay", 13.0, "d", "each of the three stages between resorption and formation", "human: tuned on T3, BSAP after Fc-OPG (Bekker 2001); mouse: tuned on T12; rat: assumed, between them", "A", 1.0, 60.0, "tau", minimum=1e-6, presets=(("mouse", 3.0), ("rat", 6.0),)),
    Parameter("coupling_exponent", 0.9, "1", "exponent of formation in the delayed resorption", "assumed", "A", 0.5, 1.0, "m", minimum=0.01),
    Parameter("formation_basal", 0.12, "1", "share of formation that does not follow resorption", "tuned on T18: BSAP is never 0, at least 30 % under denosumab 210 mg (phase 2, as digitised in OpenBoneMin)", "A", 0.0, 0.5, "beta", maximum=1.0),
    Parameter("bsap_background", 0.2, "1", "share of BSAP that does not come from formation", "tuned on T18: BSAP falls by 66 % at most under denosumab 60 mg (phase 2, as digitised in OpenBoneMin)", "A", 0.0, 0.5, "f_ba", maximum=1.0),
    Parameter("ntx_background", 0.13, "1", "share of NTX that does not come from osteoclasts", "tuned on T5 and T17: NTX falls by 84 % at most (Bekker 2004, 10.1359/JBMR.040305), CTX by 90 % (denosumab 210 mg, phase 2, as digitised in OpenBoneMin)", "C/A", 0.0, 0.5, "f_bg", maximum=1.0),
)

_SOURCES = (
    Parameter("osteocyte_rankl_share", 0.5, "1", "share of RANKL that osteocytes make inside bone", "tuned on T21: without it a third of the osteoclasts is left (Xiong 2015, 10.1371/journal.pone.0138189)", "A", 0.0, 1.0, "f_Y", maximum=1.0),
    Parameter("osteocyte_rankl_factor", 1.0, "1", "factor on RANKL of osteocytes; 1 in the healthy baseline", "definition", "A", 0.0, 100.0, "r_Y"),
    Parameter("surface_rankl_factor", 1.0, "1", "factor on RANKL of the surface lineage; 1 in the healthy baseline", "definition", "A", 0.0, 100.0, "r_S"),
)

_RESPONSE = (
    Parameter("response_rate", 0.02, "1/d", "response of target tissue at full RANK occupancy", "assumed; demonstration", "A", 0.0, 10.0, "k_c", presets=(("lymph_node", 0.1), ("mammary", 0.1))),
    Parameter("response_loss", 0.0, "1/d", "its reversal (0: calcification stays)", "assumed; demonstration", "A", 0.0, 10.0, "k_d", presets=(("lymph_node", 0.05), ("mammary", 0.05))),
    Parameter("response_half", 5.0, "1", "occupancy of half the rate, relative to the healthy baseline", "assumed; demonstration", "A", 0.1, 100.0, "theta50", minimum=1e-6, presets=(("lymph_node", 1.0), ("mammary", 3.0))),
    Parameter("response_exponent", 4.0, "1", "Hill exponent of the response in the occupancy", "assumed; demonstration", "A", 1.0, 8.0),
)
# fmt: on


def parameters(
    agents: tuple[Binder, ...] = (), components: Iterable[Component] = (), tissue: str = "bone"
) -> tuple[Parameter, ...]:
    """All parameters of the model of a tissue with these drugs and components."""
    binders = (p for b in (OPG, *agents) for p in binder_parameters(b))
    cells = (*_SOURCES, *_CELLS, *_MATRIX) if tissue == "bone" else _RESPONSE
    return (*_CYTOKINES, *binders, *_RANK, *cells, *(row for part in components for row in part.rows))
