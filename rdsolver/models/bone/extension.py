"""An extension of the bone model by a user: fields, binders made in the tissue, and added rates.

du/dt = div(D m grad u) + R(u, p, at)       for each field of the extension
dv/dt = ... + R(u, p, at)                   for RANKL, binders, complexes, precursors and osteoclasts,
                                            where R names them

t_cells = Extension(
    "T cells",
    unknowns=(Field("t_cells", "1/mm^3", 100.0, "T cells"),),
    parameters=(
        Parameter("t_cell_rate", 5e-4, "nM mm^3/d", "RANKL made by a T cell", "assumed", "A", 0.0, 0.1),
    ),
    rates=lambda u, p, at: {"t_cells": 0 * u["t_cells"], "rankl": p["t_cell_rate"] * u["t_cells"]},
    start={"t_cells": 50.0},
)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import jax.numpy as jnp

from ...geometry.section import Section
from ...operators.array_types import Cells, Fields, Number, Numbers, Pointwise, Surroundings
from ...operators.blocks import Dense, Local
from ..base import Breaks, Field, Group, Observer, Parameter
from ..pointwise import cell_block, cell_bound, cell_jacobian, densities
from .binders import Binder, binder_parameters
from .component import Component, Conditions, Effect, Effects
from .observers import mean


@dataclass(frozen=True, eq=False)
class Extension(Component):
    """An addition to the bone model: a component that is given by its rates alone.

    rates       (u, p, at) -> rates by field, 1/d: the whole rate of each field of the extension, and the term
                to add to the rate of a field of the model. u: all fields, none below 0 unless signed; p:
                parameters; at: "surface" (w), "marrow" (1 - b), "occupancy" (θ/θ0), "active" and "time". Any
                pointwise JAX expression
    unknowns    its own fields
    parameters  its own parameters
    moves       for each own field that diffuses, the parameter that holds its diffusivity, um²/d
    medium      the medium that its fields move in: "marrow", hindered in bone as for molecules, or "cells"
    binders     binders of RANKL, with drug=False: binding, loss and diffusion come with them, and their
                production is given in `rates`
    start       values of own fields in marrow on day 0 (default 0)
    healthy     True if it is part of the healthy section, so that the baseline is found with it. Otherwise
                the baseline is found without it, and `extension`, a parameter of its own, is the share of its
                rates that acts on the model
    breaks      times (d) at which its rates jump, or a function that gives them from the parameters' values:
                a step ends at each
    acts_on     by the name of a process of the model (component.PROCESSES), a function (u, p, at) -> (times,
                plus): the process is multiplied by the first, and the second is added to it
    observers   observers beside the mean of each own field (models/base.Observer)

    A term that is added to the rate of a field of the model is taken from the predictor and does not enter
    the Jacobian: it may be any source, and a loss up to the size of the field's own rates. A substance that
    binds RANKL fast belongs in `binders`.
    """

    name: str
    rates: Callable[[Fields, Numbers, Surroundings], Fields] = lambda u, p, at: {}
    unknowns: tuple[Field, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    moves: Mapping[str, str] = field(default_factory=dict)
    medium: Literal["marrow", "cells"] = "marrow"
    binders: tuple[Binder, ...] = ()
    start: Mapping[str, float] = field(default_factory=dict)
    healthy: bool = False
    breaks: Breaks = ()
    observers: tuple[Observer, ...] = ()
    acts_on: Mapping[
        str, Callable[[Fields, Numbers, Surroundings], tuple[Pointwise | float, Pointwise | float]]
    ] = field(default_factory=dict)

    user = True

    # These are computed when they are asked for, because the values that a user gives are checked first.
    @property
    def label(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"extension {self.name}"

    @property
    def rows(self) -> tuple[Parameter, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The parameters of the extension, including those of its binders and its own switch."""
        switch = Parameter(
            "extension",
            1.0,
            "1",
            f"share of {self.name} that acts on the model (healthy baseline: 0)",
            "definition",
            "A",
            0.0,
            1.0,
        )
        bound = (p for b in self.binders for p in binder_parameters(b))
        return (*bound, *self.parameters, *(() if self.healthy else (switch,)))

    @property
    def upstream(self) -> tuple[Group, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return (Group("extension", self.names, "transport", 2, self.medium),) if self.unknowns else ()

    @property
    def moving(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(self.moves)

    @property
    def watched(self) -> tuple[Observer, ...]:
        """The observers of the mean of each of its fields, and its own observers."""
        means = (
            Observer(f"mean_{f.name}", f.unit, f"mean {f.label}", partial(mean, f.name))
            for f in self.unknowns
        )
        return (*means, *self.observers)

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        return {name: (p[parameter], self.medium) for name, parameter in self.moves.items()}

    # --- rates ----------------------------------------------------------------------------------------------

    def _share(self, p: Numbers) -> Number | float:
        return 1.0 if self.healthy else p["extension"]

    def _added(self, u: Fields, p: Numbers, at: Surroundings) -> Fields:
        """The rates of its own fields and the terms added to the model's, 0 outside the field of view.

        Where the extension does not act at all, its own fields decay.
        """
        share, found = self._share(p), self.rates(densities(u, self.unknowns), p, at)
        own = {name: jnp.where(share > 0, found[name], -u[name]) for name in self.names}
        return {k: own.get(k, share * x) * at["active"] for k, x in found.items()}

    def reaction(self, c: Conditions) -> Fields:
        return self._added(c.u, c.p, c.at)

    @property
    def effects(self) -> Effects:
        return {name: partial(self._effect, name) for name in self.acts_on}

    def _effect(self, name: str, c: Conditions) -> Effect:
        share = self._share(c.p)
        times, plus = self.acts_on[name](densities(c.u, self.unknowns), c.p, c.surroundings)
        return Effect(1 + share * (times - 1), share * plus * c.place.active)

    def linearise(self, group: str, c: Conditions) -> tuple[Dense, Local]:
        """The pointwise Jacobian of its own fields."""
        own = {name: c.u[name] for name in self.names}
        rows = cell_jacobian(
            lambda v: {k: x for k, x in self._added(c.u | v, c.p, c.at).items() if k in own}, own
        )
        return cell_block(rows, self.names, c.place.active)

    def bound(self, rest: Number, c: Conditions) -> Number:
        """The bound with the largest row sum of |J| of all terms it adds, each field in units of its
        scale.
        """
        rows = cell_jacobian(lambda v: self._added(v, c.p, c.at), c.u)
        scale = {f.name: f.scale for f in c.model.fields(c.p)}  # pyright: ignore[reportArgumentType]  (arrays serve as well)
        return rest + cell_bound(rows, {k: scale[k] for k in c.u}) if rows else rest

    def flows(self, c: Conditions) -> dict[str, tuple[Cells, Cells]]:
        """The net rate that it adds to the fields of a budget, as a source."""
        added, none = self.reaction(c), jnp.zeros_like(c.place.active)
        return {
            k: (sum((added[n] for n in names if n in added), none), none)
            for k, names in c.model.budgets.items()
        }

    # --- the run --------------------------------------------------------------------------------------------

    def at_baseline(self, p: Numbers) -> Numbers:
        return {} if self.healthy else {"extension": jnp.zeros_like(p["extension"])}

    @property
    def planted(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The own fields of the extension; those of a healthy extension are in the baseline already."""
        return () if self.healthy else self.names

    def plant(self, section: Section, active: Cells) -> Mapping[str, Cells]:
        marrow = (1 - jnp.asarray(section.bone, active.dtype)) * active
        return {name: self.start.get(name, 0.0) * marrow for name in self.planted}
