"""The whole config as one tree of tables, and what follows from it: drugs, components, parameters, values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, PrivateAttr

from ..models.base import Parameter
from ..models.bone.binders import LABELS, Binder
from ..models.bone.component import Component
from ..models.bone.component_table import ComponentTable
from ..models.bone.components import NAMES, component
from ..models.bone.parameters import parameters
from ..models.bone.pharmacokinetics import Dose
from ..problem.changes import Change
from ..problem.fields import bone_diffusing, bone_fields, model_diffusing
from ..units import number
from .component_tables import TABLES
from .dose_table import DoseTable
from .event_table import COLUMNS, EventTable
from .sections import Rings, SectionTable, Trabecular
from .tables import (
    Agent,
    BorderTable,
    ChangeTable,
    Initial,
    Model,
    OutputTable,
    SolverTable,
    Table,
    TimeTable,
)

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from ..models.pointwise import ReactionDiffusion
    from ..problem import Source
    from .user_file import UserModel

CONFIG_SCHEMA = 1
"""The version of the keys. It is raised when a key changes its meaning, so that an older rdsolver would
misread the file.
"""


class Course(NamedTuple):
    """A table of doses; where it stands, and under which names."""

    where: str
    table: DoseTable
    names: Mapping[str, str] = {}

    def key(self, name: str) -> str:
        """The place of one of its keys, in a message."""
        return f"{self.where}{self.names.get(name, name)}"


class Tree(Table):
    """All tables of a config, and what follows from them."""

    schema_: Annotated[int, Field(ge=1)] = Field(default=CONFIG_SCHEMA, alias="schema")
    """The version of the keys of this file (default: the present one)."""
    units: Literal["internal"] | None = None
    """The unit of numbers that are written without one: "internal" means um, d, nM, cells per mm3 and mg/kg.

    Where this key is missing, every such number gives a warning.
    """
    title: str = ""
    """The title of the run, in figures and in the run file."""
    section: SectionTable = Field(discriminator="kind")
    """[section]: the bone section."""
    model: Model = Model()
    """[model]: the equations and the values of their parameters."""
    agent: list[Agent] = Field(default_factory=list)
    """[[agent]]: drugs beyond the presets."""
    dose: list[DoseTable] = Field(default_factory=list)
    """[[dose]]: the doses, and when they are given."""
    events: list[EventTable] = Field(default_factory=list)
    """[[events]]: doses from event tables, CSV files with the columns of NONMEM."""
    change: list[ChangeTable] = Field(default_factory=list)
    """[[change]]: parameters that change in time."""
    border: list[BorderTable] = Field(default_factory=list)
    """[[border]]: boundary conditions other than no-flux."""
    initial: Initial | None = None
    """[initial]: the run whose end is the initial state, or the seed of a random one."""
    time: TimeTable
    """[time]: the length of the run and the saved states, for example end = "60 d", save = "1 d"."""
    solver: SolverTable = SolverTable()
    """[solver]: the integrator, its tolerance and precision."""
    output: OutputTable = OutputTable()
    """[output]: the fields and cells to save."""

    _user: UserModel | None = PrivateAttr(None)  # what model.from names

    def model_post_init(self, context: Any) -> None:
        self._user = (context or {}).get("user")

    @property
    def whole(self) -> ReactionDiffusion | None:
        """The user model that takes the place of the bone model; None where there is none."""
        return self._user.model if self._user else None

    @property
    def extension(self) -> Extension | None:
        """The user's extension of the bone model; None where there is none."""
        return self._user.extension if self._user else None

    @property
    def source(self) -> Source | None:
        """The Python file that either came from."""
        return self._user.source if self._user else None

    @cached_property
    def courses(self) -> tuple[Course, ...]:
        """The tables of all doses: those of [[dose]], and the rows of event tables."""
        own = (Course(f"dose.{i}.", d) for i, d in enumerate(self.dose))
        read = (
            Course(f"{Path(e.file).name}, line {row.line}: ", row.dose, COLUMNS)
            for e in self.events
            for row in e.content[0]
        )
        return (*own, *read)

    @property
    def dosed(self) -> tuple[str, ...]:
        """The names of the drugs that doses give."""
        return tuple(dict.fromkeys(c.table.agent for c in self.courses))

    def doses(self, lesion: float | None) -> tuple[Dose, ...]:
        """The doses that wait for a lesion of this size; with None those that wait for none."""
        weight = self.model.body_weight
        return tuple(d for c in self.courses if c.table.lesion == lesion for d in c.table.doses(weight))

    @cached_property
    def agents(self) -> tuple[Binder, ...]:
        """The drugs of this run: those that [[agent]] declares, then presets that have a dose."""
        declared = {a.name: a for a in self.agent}
        names = dict.fromkeys([*declared, *(d for d in self.dosed if d in LABELS)])
        binders = ((name, declared.get(name) or Agent(name=name)) for name in names)
        return tuple(
            Binder(n, a.like or n, a.label or LABELS.get(n, n)) for n, a in binders if (a.like or n) in LABELS
        )

    @property
    def binders(self) -> tuple[Binder, ...]:
        """The drugs that bind RANKL, and the binders that components make in the tissue."""
        return (*self.agents, *(b for part in self.components for b in part.binders))

    @cached_property
    def component_tables(self) -> dict[str, ComponentTable]:
        """The tables of components that the config has, by the component's name."""
        found = ((name, getattr(self, name, None)) for name in TABLES)
        return {name: table.declared for name, table in found if table is not None}

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The components of this run: those that keys ask for, those that bring a drug with a dose or an
        [[agent]], those with a table, and the user's extension.
        """
        drugs = {*self.dosed, *(a.name for a in self.agent)}
        asked = {*self.model.components, *(["membrane_rankl"] if self.model.membrane_rankl else [])}
        if self.model.name == "bone":
            asked |= {n for n in NAMES if component(n).standard and n not in self.model.without}
        named = (n for n in NAMES if n in asked or drugs & {*component(n).drugs})
        there = (component(n) for n in named if n not in self.component_tables)
        tables = (component(name).of_table(table) for name, table in self.component_tables.items())
        return (*(c() for c in there), *tables, *([self.extension] if self.extension else []))

    @cached_property
    def rows(self) -> dict[str, Parameter]:
        """The parameters of this run, by name."""
        if self.whole is not None:
            return {p.name: p for p in self.whole.parameters}
        return {p.name: p for p in parameters(self.agents, self.components, self.model.name)}

    @cached_property
    def values(self) -> dict[str, float]:
        """The value of every parameter, in its unit: from the file, or else from the preset."""
        given, presets = (
            self.model.parameters,
            (
                self.model.preset,
                self.model.name,
                *(p for t in self.component_tables.values() for p in t.presets),
            ),
        )
        return {
            name: number(given[name], p.unit) if name in given else p.default(*presets)
            for name, p in self.rows.items()
        }

    @property
    def seeds(self) -> tuple[str, ...]:
        """The keys of the seeds of all that is drawn at random."""
        section = ("section.seed",) if isinstance(self.section, Trabecular | Rings) else ()
        tables = (f"{name}.{key}" for name, table in self.component_tables.items() for key in table.seeds)
        start = (
            ("initial.seed",)
            if self.whole is not None
            and callable(self.whole.initial)
            and not (self.initial and self.initial.from_)
            else ()
        )
        return (*section, *tables, *start)

    @property
    def shape(self) -> str:
        """All that compiled programs depend on, as text: runs of one shape share their programs."""
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
        """The names of the fields of this run, any of which may be saved."""
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
