"""A reaction-diffusion model that is given by its pointwise rates, without any solver code.

    du_i/dt = div(D_i m grad u_i) + R_i(u, t, x)

The implicit stage couples all fields of a cell; their block is the Jacobian of the rates, computed by
`jax.jacfwd`.

    gray_scott = ReactionDiffusion(
        "Gray-Scott",
        unknowns=(Field("u", "1", 1.0, "substrate"), Field("v", "1", 0.3, "activator")),
        rates=lambda u, p, at: {
            "u": -u["u"] * u["v"] ** 2 + p["feed"] * (1 - u["u"]),
            "v": u["u"] * u["v"] ** 2 - (p["feed"] + p["kill"]) * u["v"],
        },
        moves={"u": "u_diffusivity", "v": "v_diffusivity"},
    )

If it declares its parameters and an initial state, it can be run from a config (docs/extend.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..geometry.grid import Grid
from ..geometry.subdomain import Lives, Where
from ..operators.array_types import Cells, Fields, Number, Numbers, Surroundings
from ..operators.blocks import Block, Dense, Local
from ..operators.faces import Wrap
from ..operators.reductions import total
from ..operators.transport import Faces, face_diffusion, open_faces
from .base import Breaks, Field, Group, Observer, Parameter, Series

Rates = Callable[[Fields, Numbers, Surroundings], Fields]
Initial = Mapping[str, float | np.ndarray]


def cell_jacobian(rates: Callable[[Fields], Fields], u: Fields) -> dict[str, list[Cells]]:
    """For each rate R, the derivatives ∂R/∂u_k in every cell, for all fields u_k in order.

    Rates are pointwise, so one shift of a whole field gives one column of the Jacobian in all cells.
    """

    def shifted(s: Array) -> Fields:
        return rates({k: x + s[i] for i, (k, x) in enumerate(u.items())})

    columns = jax.jacfwd(shifted)(jnp.zeros(len(u), next(iter(u.values())).dtype))
    return {name: [column[..., k] for k in range(len(u))] for name, column in columns.items()}


def cell_block(
    jacobian: Mapping[str, list[Cells]], names: Sequence[str], active: Cells
) -> tuple[Dense, Local]:
    """The block of each cell in an implicit stage, from the Jacobian of its rates, whose columns are in the
    order of `names`.
    """
    entries = {f"j_{i}_{k}": -x for i, name in enumerate(names) for k, x in enumerate(jacobian[name])}
    return Dense(len(names)), entries | {"active": active}


def cell_bound(jacobian: Mapping[str, list[Cells]], scale: Mapping[str, float | Number]) -> Number:
    """The Gershgorin bound: the largest row sum of |J|, each field in units of its scale.

    scale: the scales by field, in the order of the columns.
    """
    columns = [*scale.values()]
    rows = [
        sum(jnp.abs(x) * (s / scale[name]) for s, x in zip(columns, row, strict=True))
        for name, row in jacobian.items()
    ]
    return jnp.max(jnp.stack([jnp.max(jnp.asarray(r)) for r in rows]))


def densities(u: Fields, unknowns: Iterable[Field]) -> Fields:
    """The fields as rates see them: a density that the solver left below zero, within its tolerance, counts
    as 0.

    Otherwise an unstable state, such as u = 0 of Fisher's equation, would amplify an error of any size
    exponentially.
    """
    signed = {f.name for f in unknowns if f.signed}
    return {k: x if k in signed else jnp.where(x < 0, 0, x) for k, x in u.items()}


@partial(jax.jit, static_argnums=(2, 3))
def _faces(active: Cells, mobility: Cells, spacing: tuple[float, ...], wrap: Wrap) -> Faces:
    """The face coefficients of a mobility; nothing passes where a cell is not active."""
    return face_diffusion(mobility, open_faces(active, wrap), spacing, wrap)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["active", "media", "mobility", "arrays"],
    meta_fields=["spacing", "wrap", "uniform"],
)
@dataclass(frozen=True)
class StaticFields:
    """The data that are fixed in a run.

    active           1 where the model is solved, else 0
    media, mobility  coefficients of the only medium, "cells": per face (1/um²) and per cell
    arrays           cell arrays that the rates read
    uniform          True if the section is a box of constant mobility without mask
    """

    active: Cells
    media: dict[str, Faces]
    mobility: dict[str, Cells]
    arrays: dict[str, Cells]
    spacing: tuple[float, ...]
    wrap: Wrap
    uniform: bool


@dataclass(frozen=True, eq=False)
class ReactionDiffusion:
    """A model that is given by its rates; it implements models.base.Model.

    unknowns    its fields
    rates       (u, p, at) -> du/dt of every field. u: fields; p: parameters; at: "time", "active" and the
                arrays of the problem ("bone" on a section), all on the cells. Any pointwise JAX expression;
                densities (fields that are not `signed`) are never negative in it
    moves       for each field that diffuses, the parameter that holds its diffusivity
    parameters  the parameters that a config may set: value, unit, meaning, source and range of each (none:
                the caller gives the values)
    initial     for each field a number or an array on the cells, or a function that gives them from a
                geometry.subdomain.Where (fields left out start at 0)
    lives       the cells in which it is solved: all, those with less than half bone, or the others; nothing
                leaves them
    cycles      number of V-cycles for each stage
    first_step  largest first step (None: estimated)
    observers   observers beside the mean of each field (models/base.Observer)
    breaks      times at which the rates jump, or a function that gives them from the parameters' values: a
                step ends at each, and no step skips an interval between two of them. Times after the end have
                no effect
    """

    name: str
    unknowns: tuple[Field, ...]
    rates: Rates
    moves: Mapping[str, str]
    parameters: tuple[Parameter, ...] = ()
    initial: Initial | Callable[[Where], Initial] = field(default_factory=dict)
    lives: Lives = "everywhere"
    time_unit: str = "d"
    cycles: int = 2
    first_step: float | None = None
    breaks: Breaks = ()
    observers: tuple[Observer, ...] = ()
    inputs: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()
    budgets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        return self.unknowns

    @property
    def series(self) -> tuple[Series, ...]:
        means = (Series(f"mean_{f.name}", f.unit, f"mean {f.label}") for f in self.unknowns)
        return (*means, *(o.series for o in self.observers if o.where == "device"))

    @property
    def groups(self) -> tuple[Group, ...]:
        return (Group("fields", tuple(f.name for f in self.unknowns), "transport", self.cycles, "cells"),)

    def prepare(
        self, grid: Grid, active: Cells, medium: np.ndarray | None, arrays: Mapping[str, np.ndarray]
    ) -> StaticFields:
        wrap = tuple(b == "periodic" for b in grid.borders)
        inside = np.asarray(active)
        mobility = active if medium is None else jnp.asarray(np.asarray(medium, active.dtype) * inside)
        media = {"cells": _faces(active, mobility, grid.spacing, wrap)}
        at = {k: np.asarray(v, active.dtype) for k, v in arrays.items()}
        given = {k: jnp.asarray(np.broadcast_to(v, grid.shape)) for k, v in at.items()}
        uniform = medium is None and bool(inside.all())
        return StaticFields(active, media, {"cells": mobility}, given, grid.spacing, wrap, uniform)

    def update_coefficients(self, u: Fields, p: Numbers, place: StaticFields) -> StaticFields:
        """The coefficients, which are constant: `place` itself."""
        return place

    def at_rest(self, u: Fields, p: Numbers, place: StaticFields) -> StaticFields:
        return place

    def reaction(
        self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields, inputs: Numbers
    ) -> Fields:
        return self._rates(densities(u, self.unknowns), p, place, inputs)

    def _rates(self, u: Fields, p: Numbers, place: StaticFields, inputs: Numbers) -> Fields:
        found = self.rates(u, p, place.arrays | {"active": place.active} | inputs)
        # 0 outside the active cells, whatever the rates give there, also NaN
        return {name: jnp.where(place.active > 0, found[name], 0) for name in u}

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        return {name: (p[parameter], "cells") for name, parameter in self.moves.items()}

    def drift(self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields) -> dict[str, Faces]:
        return {}

    def _jacobian(
        self, u: Fields, p: Numbers, place: StaticFields, inputs: Numbers
    ) -> dict[str, list[Cells]]:
        """The Jacobian with its columns in the order of the unknowns; a dictionary from a compiled function
        is in alphabetical order.
        """
        seen = densities(u, self.unknowns)
        return cell_jacobian(
            lambda v: self._rates(v, p, place, inputs), {f.name: seen[f.name] for f in self.unknowns}
        )

    def linearise(
        self, group: str, u: Fields, p: Numbers, place: StaticFields, aux: Any, inputs: Numbers
    ) -> tuple[Block, Local]:
        return cell_block(self._jacobian(u, p, place, inputs), [f.name for f in self.unknowns], place.active)

    def pointwise(
        self,
        group: str,
        u: Fields,
        psi: Fields,
        sigma: Number,
        p: Numbers,
        place: StaticFields,
        aux: Any,
        inputs: Numbers,
    ) -> Fields:
        raise NotImplementedError("a model of pointwise rates has no group of its own closed form")

    def reaction_bound(
        self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields, inputs: Numbers
    ) -> Number:
        return cell_bound(self._jacobian(u, p, place, inputs), {f.name: f.scale for f in self.unknowns})

    def observe(
        self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields, inputs: Numbers
    ) -> Numbers:
        cells = total(place.active)
        found = {f"mean_{name}": total(x * place.active) / cells for name, x in u.items()}
        seen, at = densities(u, self.unknowns), place.arrays | {"active": place.active} | inputs
        return found | {o.name: o.value(seen, p, at) for o in self.observers if o.where == "device"}

    def flows(
        self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields, inputs: Numbers
    ) -> dict[str, tuple[Cells, Cells]]:
        return {}
