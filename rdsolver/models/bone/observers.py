"""The observables of the bone model at every accepted step.

To add one, add a function here (or in a component's file), a row in OBSERVERS, and a test. Beside the values
that rates see (component.Conditions.at), `at` holds

    resorption     j, 1/mm³          formation      formation in answer to resorption, 1/mm³
    bone_at_start  bone fraction     cell_area      mm² per cell, in a section or in the mean slice of a block
    reference      values of the healthy baseline, by name
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...utils.lazy import lazy
from ..base import Observer

if TYPE_CHECKING:
    from ...operators import reductions
    from ...operators.array_types import Fields, Number, Numbers

else:
    reductions = lazy("rdsolver.operators.reductions")

LESION = 0.5  # loss of bone fraction that makes a cell part of a lesion


def mean(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """The mean of a field over the field of view."""
    return reductions.total(u[name]) / reductions.total(at["active"])


def mean_in_marrow(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """The mean of a field over marrow, 1 - b."""
    return reductions.total(at["marrow"] * u[name]) / reductions.total(at["marrow"])


def ntx(u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """NTX, a marker of resorption: f_bg + (1 - f_bg) Σ w j / Σ w j of the healthy baseline."""
    background = p["ntx_background"]
    resorbed = reductions.total(at["surface"] * at["resorption"])
    return background + (1 - background) * resorbed / at["reference"]["resorption"]


def bsap(u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """BSAP, a marker of formation: f_ba + (1 - f_ba) Σ w formation / Σ w formation at baseline."""
    background = p["bsap_background"]
    formed = reductions.total(at["surface"] * at["formation"])
    return background + (1 - background) * formed / at["reference"]["formation"]


def occupancy_at_surface(u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """RANK occupancy at the surface, Σ w θ / Σ w."""
    return reductions.total(at["surface"] * at["rank_occupied"]) / reductions.total(at["surface"])


def lesion_area(u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """The area of the cells whose bone fraction fell by more than LESION since the start, mm²."""
    lost = (u["bone"] < at["bone_at_start"] - LESION).astype(at["active"].dtype)
    return reductions.total(lost) * at["cell_area"]


OBSERVERS = (
    Observer("ntx", "1", "NTX, relative to baseline", ntx),
    Observer("bsap", "1", "BSAP, relative to baseline", bsap),
    Observer("osteoclast_number", "1/mm^3", "osteoclasts", partial(mean, "osteoclasts")),
    Observer("bone_volume_fraction", "1", "BV/TV", partial(mean, "bone")),
    Observer("mean_free_rankl", "nM", "free RANKL in marrow", partial(mean_in_marrow, "rankl")),
    Observer("mean_occupancy", "1", "RANK occupancy at the surface", occupancy_at_surface),
    Observer("lesion_area", "mm^2", "lesion", lesion_area),
)
