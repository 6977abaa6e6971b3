"""Names that are taken: of the bone model with all its components, and of the run file."""

from __future__ import annotations

from ..models.bone.components import every
from ..models.bone.parameters import parameters

CYTOKINES = ("rankl", "opg", "rankl_opg")
CELLS = ("precursors", "osteoclasts", "r1", "r2", "formation_signal", "bone")
RUN_FILE = (
    *("time", "z", "y", "x", "active"),
    *("series", "reference", "state", "section", "clipped", "meta", "VTKHDF", "at_saved"),
)
"""What a run file has beside fields."""
TAKEN = frozenset((*CYTOKINES, *CELLS, *(name for c in every() for name in c.names), "response", *RUN_FILE))
"""Names of the model and of the run file, with all components, which no drug and no extension takes."""
MEANS = ("occupancy", "free_rankl")  # whose mean_... the model has
FIELDS = (*TAKEN, *MEANS)
ROWS = {"extension", *(p.name for p in parameters(components=every()))}
"""Of the bone model, with all its components: names that an extension cannot take."""
