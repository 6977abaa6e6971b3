"""What is watched of bone: the observables of the model at every accepted step.

A new one is a function here (or in a component's file), a line in OBSERVERS, and a test. Beside what rates
see (component.Conditions.at), `at` holds

    resorption     j, 1/mm³          formation      what is formed in answer, 1/mm³
    bone_at_start  bone fraction     cell_area      mm² of section a cell, or of the mean slice of a block
    reference      of the healthy baseline, by name
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...utils.lazy import lazy
from ..base import Observer

if TYPE_CHECKING:
    from jax import Array

    from ...operators import reductions

    Fields = dict[str, Array]
    Numbers = dict[str, Array]
else:
    reductions = lazy("rdsolver.operators.reductions")

LESION = 0.5  # loss of bone fraction that makes a cell part of a lesion


def mean(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """Mean of a field over the field of view."""
    return reductions.total(u[name]) / reductions.total(at["active"])


def mean_in_marrow(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """Mean of a field over marrow, 1 - b."""
    return reductions.total(at["marrow"] * u[name]) / reductions.total(at["marrow"])


def ntx(u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """f_bg + (1 - f_bg) Σ w j / Σ w j of the healthy baseline: a marker of resorption."""
    background = p["ntx_background"]
    resorbed = reductions.total(at["surface"] * at["resorption"])
    return background + (1 - background) * resorbed / at["reference"]["resorption"]


def bsap(u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """Σ w formation, relative to the healthy baseline: a marker of formation."""
    return reductions.total(at["surface"] * at["formation"]) / at["reference"]["formation"]


def occupancy_at_surface(u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """Σ w θ / Σ w, the share of RANK occupied."""
    return reductions.total(at["surface"] * at["rank_occupied"]) / reductions.total(at["surface"])


def lesion_area(u: Fields, p: Numbers, at: dict[str, Any]) -> Array:
    """Of the cells that lost more than LESION of bone fraction since the start, mm²."""
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
