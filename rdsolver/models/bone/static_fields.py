"""The data of a section that are fixed in a run, and those that depend on its solid part.

The solid part is bone, or target tissue in a model of another tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ...geometry.grid import Grid
from ...operators.array_types import Cells, Pointwise
from ...operators.faces import Wrap
from ...operators.transport import Faces, Taps, gaussian_taps, length, open_faces, smooth, smooth_slopes
from .. import base

Reference = dict[str, Pointwise]
"""By name, values of the healthy baseline: numbers such as theta0, and fields."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["active", "openings", "norm", "edge", "bone", "reference"],
    meta_fields=["spacing", "wrap", "taps"],
)
@dataclass(frozen=True)
class StaticFields:
    """The data that are fixed in a run.

    active     1 inside the field of view, else 0
    openings   1 at faces that matter may pass, else 0
    norm       1 / (G * active): it makes smoothing a mean over the field of view, so that the edge of the
               field of view is no bone surface
    edge       grad (G * active), for the same reason, 1/um
    bone       bone fraction at the start, with which lesions are compared; in another tissue, the share of
               target tissue
    reference  values of the healthy baseline, as the model defines them: numbers such as theta0, and fields;
               "settled" is 1 once they have been found
    """

    active: Cells
    openings: Faces
    norm: Cells
    edge: tuple[Cells, ...]
    bone: Cells
    reference: Reference
    spacing: tuple[float, ...]
    wrap: Wrap
    taps: Taps

    @property
    def uniform(self) -> bool:
        """False: the solid part hinders diffusion, so the section is no box of constant diffusion."""
        return False

    def smoothed(self, x: Cells) -> Cells:
        """G * x, a mean over the field of view."""
        return smooth(x, self.taps, self.wrap) * self.norm

    def steepness(self, x: Cells, smoothed: Cells) -> Cells:
        """The steepness |grad (G * x)|, 1/um: by the quotient rule, the slope of a mean over the field of
        view alone.
        """
        slopes = smooth_slopes(x, self.taps, self.wrap)
        return length(
            [(slope - smoothed * e) * self.norm for slope, e in zip(slopes, self.edge, strict=True)]
        )


def of_section(place: base.StaticFields) -> StaticFields:
    """The same data with the type of this class; a system knows only that they are those of some model."""
    assert isinstance(place, StaticFields)
    return place


def refer(place: StaticFields, found: Reference) -> StaticFields:
    """The data with this reference; unchanged where the reference is settled, as it is once the healthy
    baseline has been found.
    """
    kept = place.reference["settled"] > 0
    return replace(place, reference={k: jnp.where(kept, place.reference[k], x) for k, x in found.items()})


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["w", "kap", "marrow", "media", "mobility", "carrier", "extra"],
    meta_fields=[],
)
@dataclass(frozen=True)
class BoneGeometry:
    """The data that depend on the bone: surface measure w, kap = w/(w+1), marrow 1 - b, and transport
    coefficients.

    media    face coefficients, 1/um²: "marrow" for molecules, hindered in bone; "cells" for cells; others
             from components
    mobility relative mobility of each medium in each cell
    carrier  M kap at each face divided by the spacing, 1/um: the factor of drift velocities
    extra    data that components need, by names of their own
    """

    w: Cells
    kap: Cells
    marrow: Cells
    media: dict[str, Faces]
    mobility: dict[str, Cells]
    carrier: Faces
    extra: dict[str, Any] = field(default_factory=dict)


@partial(jax.jit, static_argnums=(1, 2))
def _fixed(active: Cells, taps: Taps, wrap: Wrap) -> tuple[Faces, Cells, tuple[Cells, ...]]:
    """openings, norm and edge of a StaticFields."""
    covered = smooth(active, taps, wrap)
    norm = jnp.where(active > 0, 1 / jnp.where(active > 0, covered, 1), 0)
    return open_faces(active, wrap), norm, smooth_slopes(active, taps, wrap)


def prepared(
    grid: Grid, active: Cells, bone: Cells, values: Mapping[str, float], reference: Reference
) -> StaticFields:
    wrap = tuple(b == "periodic" for b in grid.borders)
    taps = gaussian_taps(values["smoothing_length"], grid.spacing)
    openings, norm, edge = _fixed(active, taps, wrap)
    return StaticFields(active, openings, norm, edge, bone, reference, grid.spacing, wrap, taps)
