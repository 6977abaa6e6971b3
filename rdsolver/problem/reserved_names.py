"""Names that are taken by the bone model with all its components, and by the run file."""

from __future__ import annotations

from ..models.bone.components import every
from ..models.bone.parameters import parameters

CYTOKINES = ("rankl", "opg", "rankl_opg")
CELLS = ("precursors", "osteoclasts", "r1", "r2", "formation_signal", "bone")
RUN_FILE = (
    *("time", "z", "y", "x", "active"),
    *("series", "reference", "state", "section", "clipped", "meta", "VTKHDF", "at_saved"),
)
"""The names in a run file beside those of fields."""
TAKEN = frozenset((*CYTOKINES, *CELLS, *(name for c in every() for name in c.names), "response", *RUN_FILE))
"""Names of the model and of the run file, with all components, which no drug and no extension may take."""
MEANS = ("occupancy", "free_rankl")  # the model has series mean_... of these names
FIELDS = (*TAKEN, *MEANS)
ROWS = {"extension", *(p.name for p in parameters(components=every()))}
"""Parameters of the bone model with all its components, whose names an extension cannot take."""
