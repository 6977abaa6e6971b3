"""The whole file as one tree of tables, and what follows from them: drugs, parameters and their values."""

from __future__ import annotations

import json
import math
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from ..models.base import Parameter
from ..models.bone.binders import LABELS, Binder
from ..models.bone.component import Component
from ..models.bone.components import NAMES, component
from ..models.bone.components.tumour import Tumour
from ..models.bone.parameters import parameters
from ..problem.changes import Change
from ..problem.fields import bone_diffusing, bone_fields, model_diffusing
from ..units import number
from .sections import Place, Rings, Trabecular
from .tables import (
    Agent,
    BorderTable,
    ChangeTable,
    DoseTable,
    Initial,
    Model,
    OutputTable,
    SolverTable,
    Table,
    TimeTable,
    TumourTable,
)

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from ..models.pointwise import ReactionDiffusion
    from ..problem import Source
    from .user_file import UserModel

SCHEMA = 1
"""Of a config: raised when a key changes its meaning, so that an older rdsolver would misread the file."""


class Tree(Table):
    """The tables of a config, with what follows from them."""

    schema_: Annotated[int, Field(ge=1)] = Field(default=SCHEMA, alias="schema")
    """Of this file: the version of its keys (default: the present one)."""
    units: Literal["internal"] | None = None
    """Of bare numbers: "internal" says that they are in um, d, nM, cells per mm3 and mg/kg.

    Without it each that could have a unit earns a warning.
    """
    title: str = ""
    """Of the run, for figures and for the file."""
    section: Place = Field(discriminator="kind")
    """[section]: the place."""
    model: Model = Model()
    """[model]: the equations and their numbers."""
    agent: list[Agent] = Field(default_factory=list)
    """[[agent]]: drugs beyond the presets."""
    dose: list[DoseTable] = Field(default_factory=list)
    """[[dose]]: what is given, and when."""
    change: list[ChangeTable] = Field(default_factory=list)
    """[[change]]: parameters that change in time."""
    tumour: TumourTable | None = None
    """[tumour]: where it begins, on day 0."""
    border: list[BorderTable] = Field(default_factory=list)
    """[[border]]: sides that let something through."""
    initial: Initial | None = None
    """[initial]: a run to go on from, or how a random start is seeded."""
    time: TimeTable
    """[time]: with end = "60 d" and save = "1 d"."""
    solver: SolverTable = SolverTable()
    """[solver]: how it is solved."""
    output: OutputTable = OutputTable()
    """[output]: what is kept."""

    _user: UserModel | None = PrivateAttr(None)  # what model.from names

    def model_post_init(self, context: Any) -> None:
        self._user = (context or {}).get("user")

    @property
    def whole(self) -> ReactionDiffusion | None:
        """The user's own model, instead of the bone model."""
        return self._user.model if self._user else None

    @property
    def extension(self) -> Extension | None:
        """What the user's file adds to the bone model."""
        return self._user.extension if self._user else None

    @property
    def source(self) -> Source | None:
        """The file that either came from."""
        return self._user.source if self._user else None

    @cached_property
    def agents(self) -> tuple[Binder, ...]:
        """The drugs of this run: those declared, then presets that are dosed."""
        declared = {a.name: a for a in self.agent}
        names = dict.fromkeys([*declared, *(d.agent for d in self.dose if d.agent in LABELS)])
        binders = ((name, declared.get(name) or Agent(name=name)) for name in names)
        return tuple(
            Binder(n, a.like or n, a.label or LABELS.get(n, n)) for n, a in binders if (a.like or n) in LABELS
        )

    @property
    def binders(self) -> tuple[Binder, ...]:
        """The drugs, and what components make in the tissue."""
        return (*self.agents, *(b for part in self.components for b in part.binders))

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """What this run has beside the core of the model: what its keys ask for, what brings a drug that is
        given or declared, and the user's own.
        """
        drugs = {*(d.agent for d in self.dose), *(a.name for a in self.agent)}
        asked = {*self.model.components, *(["membrane_rankl"] if self.model.membrane_rankl else [])}
        there = (component(n) for n in NAMES if n in asked or drugs & {*component(n).drugs})
        tumour = [Tumour(self.tumour.nests_at_start())] if self.tumour else []
        return (*(c() for c in there), *tumour, *([self.extension] if self.extension else []))

    @cached_property
    def rows(self) -> dict[str, Parameter]:
        """The parameters of this run, by name."""
        if self.whole is not None:
            return {p.name: p for p in self.whole.parameters}
        return {p.name: p for p in parameters(self.agents, self.components, self.model.name)}

    @cached_property
    def values(self) -> dict[str, float]:
        """A value for every parameter, in its unit: the file's, or else the preset's."""
        given, presets = (
            self.model.parameters,
            (self.model.preset, self.model.name, *((self.tumour.kind,) if self.tumour else ())),
        )
        return {
            name: number(given[name], p.unit) if name in given else p.default(*presets)
            for name, p in self.rows.items()
        }

    @property
    def seeds(self) -> tuple[str, ...]:
        """Keys of what is drawn at random."""
        section = ("section.seed",) if isinstance(self.section, Trabecular | Rings) else ()
        tumour = ("tumour.seed",) if self.tumour and self.tumour.nests else ()
        start = (
            ("initial.seed",)
            if self.whole is not None
            and callable(self.whole.initial)
            and not (self.initial and self.initial.from_)
            else ()
        )
        return (*section, *tumour, *start)

    @property
    def shape(self) -> str:
        """What compiled programs depend on: runs of one shape share them."""
        place = self.section.model_dump()
        drawn = (
            {"seed", "bone_fraction", "trabecular_thickness"}
            if isinstance(self.section, Trabecular | Rings)
            else set()
        )
        parts = {
            "section": {k: v for k, v in place.items() if k not in drawn},
            "model": [self.model.name, self.model.from_, *(c.name for c in self.components)],
            "agents": [a.name for a in self.agents],
            "border": [[b.field, b.side] for b in self.border],
            "solver": self.solver.model_dump(),
        }
        return json.dumps(parts)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        return tuple(
            Change(c.parameter, c.factor, c.at, math.inf if c.until is None else c.until) for c in self.change
        )

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields of this run, any of which may be saved."""
        if self.whole is not None:
            return tuple(f.name for f in self.whole.unknowns)
        return bone_fields(self.model.name, self.binders, self.components)

    @property
    def diffusing(self) -> dict[str, str]:
        """The fields that diffuse, and so can pass a border, with their units."""
        if self.whole is not None:
            return model_diffusing(self.whole)
        return bone_diffusing(self.model.name, self.binders, self.components)

    @property
    def signed(self) -> set[str]:
        """The fields that may be negative."""
        user = self.whole or self.extension
        return {f.name for f in user.unknowns if f.signed} if user else set()
