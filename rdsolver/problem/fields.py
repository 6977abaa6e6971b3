"""The fields of a run, and those of them that diffuse, read off what the run has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..models.bone.binders import Binder
from .reserved_names import CELLS, CYTOKINES, TUMOUR

if TYPE_CHECKING:
    from ..models.bone.extension import Extension


def bone_fields(
    tissue: str, binders: Iterable[Binder], membrane: bool, tumour: bool, added: Extension | None
) -> tuple[str, ...]:
    """The fields of a run of the bone model, or of another tissue."""
    names = (name for b in binders for name in (b.name, b.complex))
    cells = CELLS if tissue == "bone" else ("response",)
    own = added.names if added else ()
    return (
        *CYTOKINES,
        *names,
        *cells,
        *(("rankl_membrane",) if membrane else ()),
        *(TUMOUR if tumour else ()),
        *own,
    )


def bone_diffusing(
    tissue: str, binders: Iterable[Binder], tumour: bool, added: Extension | None
) -> dict[str, str]:
    """The fields of the bone model that diffuse, and so can pass a border, with their units."""
    units = dict.fromkeys((*CYTOKINES, *(name for b in binders for name in (b.name, b.complex))), "nM")
    if tissue == "bone":
        units |= dict.fromkeys(CELLS[:2], "1/mm^3") | dict.fromkeys(TUMOUR if tumour else (), "1")
    return units | {
        f.name: f.unit for f in (added.unknowns if added else ()) if added and f.name in added.moves
    }


def model_diffusing(model: Any) -> dict[str, str]:
    """The same of any other model."""
    return {f.name: f.unit for f in model.unknowns if f.name in model.moves}
