"""Models of tissues other than bone: the same transport and binding, with one simple response.

    S_L = S_L0 r_L W,  S_OPG = S_O0 r_O [f_s W + 1 - f_s]           W: share of target tissue, fixed
    dK/dt = k_c W θ⁴/(θ50⁴ + θ⁴) (1 - K) - k_d K                     θ50 = 5 θ0 in the artery

Artery: K is the calcified share of the wall and k_d = 0 (arteries calcify without OPG: Bucay 1998,
10.1101/gad.12.9.1260; RANKL, OPG and the vessel wall: 10.1007/s00198-007-0509-7). Lymph node and mammary
gland: K is the share of target cells that respond, one generic responder for both. These models are
demonstrations, not predictions: no number of the response was fitted to data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ...geometry.grid import Grid
from ...operators.array_types import Cells, Fields, Number, Numbers
from ...operators.blocks import Block, Local
from ...operators.reductions import total
from ...operators.transport import Faces, face_diffusion, open_faces
from ..base import Field, Group, Observer
from .cells import hill
from .component import Conditions
from .cytokines import Cytokines
from .observers import mean_in_marrow, occupancy_at_surface
from .parameters import TISSUES
from .static_fields import Reference, StaticFields, refer


@partial(jax.tree_util.register_dataclass, data_fields=["w", "marrow", "media", "mobility"], meta_fields=[])
@dataclass(frozen=True)
class Medium:
    """The geometry of a tissue.

    w                target tissue W
    marrow           the space of molecules and drugs, which is all of the field of view
    media, mobility  coefficients of the medium "marrow"
    """

    w: Cells
    marrow: Cells
    media: dict[str, Faces]
    mobility: dict[str, Cells]


def _mean_in_target(name: str, u: Fields, p: Numbers, at: dict[str, Any]) -> Number:
    """The mean of a field over target tissue."""
    return total(at["surface"] * u[name]) / total(at["surface"])


@dataclass(frozen=True)
class TissueModel(Cytokines):
    """RANKL, OPG and drugs in a tissue that is not bone. tissue: one of TISSUES."""

    tissue: str = "artery"
    name: str = field(default="tissue", init=False)

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        response = Field("response", "1", 1.0, TISSUES[self.tissue])
        return (*self.molecules(values), response, *self.of_components(values))

    @property
    def core_observers(self) -> tuple[Observer, ...]:
        return (
            Observer("mean_response", "1", TISSUES[self.tissue], partial(_mean_in_target, "response")),
            Observer("mean_free_rankl", "nM", "free RANKL in the tissue", partial(mean_in_marrow, "rankl")),
            Observer("mean_occupancy", "1", "RANK occupancy in the tissue", occupancy_at_surface),
        )

    @property
    def groups(self) -> tuple[Group, ...]:
        return (*self.signals, *self.downstream, Group("response", ("response",), "pointwise"))

    def prepare(
        self, grid: Grid, active: Cells, bone: Cells, values: Mapping[str, float], reference: Reference
    ) -> StaticFields:
        wrap = tuple(b == "periodic" for b in grid.borders)
        return StaticFields(
            active, open_faces(active, wrap), active, (), bone, reference, grid.spacing, wrap, ()
        )

    def update_coefficients(self, u: Fields, p: Numbers, place: StaticFields) -> Medium:
        """The coefficients, which are constant: nothing hinders molecules, and W does not change."""
        media = {"marrow": face_diffusion(place.active, place.openings, place.spacing, place.wrap)}
        return Medium(place.bone, place.active, media, {"marrow": place.active})

    def initial(self, bone: Cells, active: Cells, values: Mapping[str, float]) -> Fields:
        """A first guess for the search for the baseline."""
        start = {f.name: jnp.zeros_like(bone) for f in self.fields(values)}
        return start | {"rankl": values["rankl_scale"] * active, "opg": values["opg_scale"] * active}

    def _driven(self, c: Conditions) -> Cells:
        """The driven response k_c W θ⁴/(θ50⁴ + θ⁴), 1/d."""
        h = hill(c.relative_occupancy / c.p["response_half"], c.p["response_exponent"])
        return c.p["response_rate"] * c.place.bone * h / (1 + h)

    def reaction(self, u: Fields, p: Numbers, place: StaticFields, s: Medium, inputs: Numbers) -> Fields:
        c = self.conditions(u, p, place, s, inputs)
        driven = self._driven(c)
        out = self.signalling(c)
        out["response"] = driven * (1 - u["response"]) - p["response_loss"] * u["response"]
        return self.with_components(out, c)

    def reaction_bound(
        self, u: Fields, p: Numbers, place: StaticFields, s: Medium, inputs: Numbers
    ) -> Number:
        """A bound on the eigenvalues of the reaction, 1/d."""
        own = jnp.maximum(self.signalling_bound(u, p), 2 * (p["response_rate"] + p["response_loss"]))
        return self.bound_with_components(own, self.conditions(u, p, place, s, inputs))

    def drift(self, u: Fields, p: Numbers, place: StaticFields, s: Medium) -> dict[str, Faces]:
        return self.component_drift(self.conditions(u, p, place, s))

    def linearise(
        self, group: str, u: Fields, p: Numbers, place: StaticFields, s: Medium, inputs: Numbers
    ) -> tuple[Block, Local]:
        c, owner = self.conditions(u, p, place, s, inputs), self.owner(group)
        return self.linearised_binding(c) if owner is None else owner.linearise(group, c)

    def pointwise(
        self,
        group: str,
        u: Fields,
        psi: Fields,
        sigma: Number,
        p: Numbers,
        place: StaticFields,
        s: Medium,
        inputs: Numbers,
    ) -> Fields:
        """The solution of σ (u - ψ) = reaction in closed form. σ = 0 gives the steady state of the molecules;
        the response then stays unchanged.
        """
        c = self.conditions(u, p, place, s, inputs)
        if (owner := self.owner(group)) is not None:
            return owner.pointwise(group, psi, sigma, c)
        driven, rate = self._driven(c), sigma + p["response_loss"]
        moved = (sigma * psi["response"] + driven) / jnp.where(sigma > 0, rate + driven, 1)
        return {"response": jnp.where(sigma > 0, moved, psi["response"])}

    def blank_reference(self, bone: Cells) -> Reference:
        one = jnp.ones((), bone.dtype)
        return {"theta0": one, "settled": 0 * one}

    def reference(self, u: Fields, p: Numbers, place: StaticFields) -> Reference:
        """The reference value from the steady state: θ0 = Σ W θ/Σ W."""
        theta = self.occupancy(self.conditions(u, p, place, self.update_coefficients(u, p, place)))
        found = (total(place.bone * theta) / total(place.bone)).astype(place.bone.dtype)
        return {"theta0": found, "settled": jnp.zeros_like(found)}

    def at_rest(self, u: Fields, p: Numbers, place: StaticFields) -> StaticFields:
        return refer(place, self.reference(u, p, place))

    @partial(jax.jit, static_argnums=0)
    def balanced(self, u: Fields, p: Numbers, place: StaticFields) -> Fields:
        """The fields with the response in balance where it has a loss. Where it has none the response is 0,
        as in balance it would be complete.
        """
        driven = self._driven(self.conditions(u, p, place, self.update_coefficients(u, p, place)))
        loss = p["response_loss"]
        return u | {"response": jnp.where(loss > 0, driven / jnp.where(loss > 0, driven + loss, 1), 0)}
