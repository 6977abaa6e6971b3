"""The fields of a run, and those of them that diffuse, derived from the parts of the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..models.bone.binders import Binder
from .reserved_names import CELLS, CYTOKINES

if TYPE_CHECKING:
    from ..models.bone.component import Component


def bone_fields(tissue: str, binders: Iterable[Binder], components: Iterable[Component]) -> tuple[str, ...]:
    """The fields of a run of the bone model, or of another tissue."""
    names = (name for b in binders for name in (b.name, b.complex))
    cells = CELLS if tissue == "bone" else ("response",)
    return (*CYTOKINES, *names, *cells, *(name for part in components for name in part.names))


def bone_diffusing(tissue: str, binders: Iterable[Binder], components: Iterable[Component]) -> dict[str, str]:
    """The fields of the bone model that diffuse, and so can pass a border, with their units."""
    units = dict.fromkeys((*CYTOKINES, *(name for b in binders for name in (b.name, b.complex))), "nM")
    if tissue == "bone":
        units |= dict.fromkeys(CELLS[:2], "1/mm^3")
    return units | {f.name: f.unit for part in components for f in part.unknowns if f.name in part.moving}


def model_diffusing(model: Any) -> dict[str, str]:
    """The fields of any other model that diffuse, with their units."""
    return {f.name: f.unit for f in model.unknowns if f.name in model.moves}
