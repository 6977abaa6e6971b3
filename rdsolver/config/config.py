"""A config: the input file as one strict tree, and its translation into a Problem.

config_file.py reads the text, config_tables.py and config_sections.py hold the tables, config_checks.py what
a whole run must satisfy, and config_errors.py puts what is wrong into words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field, PrivateAttr, ValidationError

from ..errors import InputError, shown
from ..geometry.grid import Grid
from ..geometry.section import Section, coarsened
from ..models.base import Parameter
from ..models.bone.binders import LABELS, Binder, drug
from ..models.bone.parameters import parameters
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose, Treatment
from ..problem.problem import Change, ModelProblem, Output, Problem, Solver, check_memory, host_memory
from ..units import number
from ..utils import checks
from ..utils.home import at_home
from ..utils.path_kinds import expect
from . import free_text, messages, toml, user_model, validation
from .bare_numbers import bare_numbers
from .messages import Fault
from .sections import Box, Image, Place, Rings, Trabecular
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
    json_quantity,
    listed,
)

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from ..models.pointwise import ReactionDiffusion
    from ..output.reader import Run
    from ..problem.problem import Source
    from .user_file import Own


SCHEMA = 1
"""Of a config: raised when a key changes its meaning, so that an older rdsolver would misread the file."""


class Config(Table):
    """The whole file. `load_config` makes one."""

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

    _file: str = PrivateAttr("config")
    _own: Own | None = PrivateAttr(None)  # what load_config took from a Python file
    _bare: tuple[Fault, ...] = PrivateAttr(())  # numbers without the unit that they could have

    def model_post_init(self, context: Any) -> None:
        self._own = (context or {}).get("own")

    @property
    def whole(self) -> ReactionDiffusion | None:
        """A whole model of one's own, instead of the bone model."""
        return self._own.model if self._own else None

    @property
    def extension(self) -> Extension | None:
        """What is added to the bone model."""
        return self._own.extension if self._own else None

    @property
    def source(self) -> Source | None:
        """The file that either came from."""
        return self._own.source if self._own else None

    def faults(self) -> Iterator[Fault]:
        yield from validation.faults(self)

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
        """The drugs, and what an extension adds."""
        return (*self.agents, *(self.extension.binders if self.extension else ()))

    @property
    def bisphosphonate(self) -> bool:
        """Whether one is given, or declared."""
        return BISPHOSPHONATE in {*(d.agent for d in self.dose), *(a.name for a in self.agent)}

    @cached_property
    def rows(self) -> dict[str, Parameter]:
        """The parameters of this run, by name."""
        if self.whole is not None:
            return {p.name: p for p in self.whole.parameters}
        added = self.extension.rows if self.extension else ()
        found = parameters(
            self.agents,
            self.tumour is not None,
            self.bisphosphonate,
            self.model.membrane_rankl,
            self.model.name,
            added,
        )
        return {p.name: p for p in found}

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
            "model": [
                self.model.name,
                self.model.from_,
                self.model.membrane_rankl,
                self.bisphosphonate,
                self.tumour is not None,
            ],
            "agents": [a.name for a in self.agents],
            "border": [[b.field, b.side] for b in self.border],
            "solver": self.solver.model_dump(),
        }
        return json.dumps(parts)

    @property
    def warnings(self) -> list[str]:
        """What is unusual and yet allowed."""
        return [f"{self._file}: {key} {text}" for key, text in (*self._bare, *validation.warnings(self))]

    @property
    def bare(self) -> tuple[Fault, ...]:
        """Keys of numbers that could have a unit, and stand without one; empty where `units` says which they
        are in.
        """
        return self._bare

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        return tuple(
            Change(c.parameter, c.factor, c.at, math.inf if c.until is None else c.until) for c in self.change
        )

    def problem(
        self, section: Section | np.ndarray | None = None, kept: Section | None = None
    ) -> Problem | ModelProblem:
        """The run in plain objects, in internal units.

        section: instead of the file's, a Section or an array of bone fractions on the file's spacing, (z, y,
        x) or (y, x). kept: the file's, as a run has kept it. Raises InputError when the section cannot be
        made.
        """
        try:
            if section is None and isinstance(self.section, Box):
                cells = self.section.grid().cells // self.section.coarsen ** len(self.section.size)
                check_memory(cells, len(validation.field_names(self)), self.solver.precision, host_memory())
            place = kept or coarsened(
                (
                    self.section.build()
                    if section is None
                    else _given(section, self.section, self.whole is not None)
                ),
                self.section.coarsen,
            )
            borders = tuple(b.border(validation.moving(self)[b.field]) for b in self.border)
            if self.tumour:
                self.tumour.nests_at_start().planted(place)  # raises for a nest that has no place
            solver = Solver(**self.solver.model_dump())
            fields, crop = self.output.fields, self.output.crop
            window = None if crop is None else tuple((a, b) for a, b in crop)
            common: dict[str, Any] = {
                "end": self.time.end,
                "save": tuple(self.time.saved()),
                "changes": self.changes,
                "borders": borders,
                "solver": solver,
                "output": Output(None if fields == "all" else tuple(fields), self.output.stride, window),
                "title": self.title,
                "warnings": tuple(self.warnings),
                "config": json.dumps(
                    self.resolved(place if section is not None else None), ensure_ascii=False, default=str
                ),
            }
            return (
                self._bone(place, common) if self.whole is None else user_model.problem(self, place, common)
            )
        except InputError as error:
            raise InputError(f"{self._file}: {error}") from error
        except MemoryError as error:
            raise InputError(
                f"{self._file}: section: it does not fit into memory. Make it smaller, or its spacing"
                " coarser."
            ) from error

    def _bone(self, place: Section, common: dict[str, Any]) -> Problem:
        lesions = dict.fromkeys(d.lesion for d in self.dose)
        return Problem(
            section=place,
            parameters=self.values,
            preset=self.model.preset,
            tissue=self.model.name,
            extension=self.extension,
            source=self.source,
            agents=self.agents,
            doses=self._doses(None),
            treatments=tuple(Treatment(size, self._doses(size)) for size in lesions if size is not None),
            bisphosphonate=self.bisphosphonate,
            membrane=self.model.membrane_rankl,
            tumour=self.tumour.nests_at_start() if self.tumour else None,
            initial=Path(self.initial.from_) if self.initial and self.initial.from_ else None,
            **common,
        )

    def _doses(self, lesion: float | None) -> tuple[Dose, ...]:
        """Those that wait for a lesion of this size; None: for none."""
        return tuple(
            Dose(d.agent, d.amount, d.route, t) for d in self.dose if d.lesion == lesion for t in d.schedule()
        )

    def resolved(self, section: Section | None = None) -> dict[str, Any]:
        """The config with all defaults filled in, in internal units: itself a config, unless the section came
        from Python.
        """
        tables = self.model_dump(by_alias=True, exclude_none=True)
        tables["units"] = "internal"
        tables["model"]["parameters"] = self.values
        tables["agent"] = [{"name": a.name, "like": a.like, "label": a.label} for a in self.agents]
        tables["agent"] += [{"name": BISPHOSPHONATE}] if self.bisphosphonate else []
        for table, dose in zip(tables["dose"], self.dose, strict=True):
            table["at"] = dose.schedule()
            for key in ("every", "times"):
                table.pop(key, None)
        for table, border in zip(tables["border"], self.border, strict=True):
            found = border.border(validation.moving(self)[border.field])
            table |= {key: getattr(found, key) for key in ("value", "flux") if key in table}
        tables["time"]["save"] = self.time.saved()
        if self.model.name != "bone":
            del tables["model"]["preset"]
        for key in self.tumour.idle if self.tumour else ():
            del tables["tumour"][key]
        if section is not None:
            tables["section"] = {"kind": "given"} | section.record
        return tables if self.whole is None else user_model.resolved(self, tables)


def load_config(path: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Config:
    """Read and check a config; nothing is computed.

    overrides: "key.path=value", e.g. "section.seed=2" or "dose.0.amount=1 mg/kg", applied before anything is
    checked. allow_python: execute the Python file that the config's model comes from, if it does. Raises
    InputError with one paragraph for each thing that is wrong.
    """
    path = at_home(path)
    expect(path, "config")
    overrides = checks.several(
        "overrides", overrides, checks.text, 'a list of changes, such as ["section.seed=2"]'
    )
    return _checked(toml.read(path, overrides, takes_text), str(path), overrides, allow_python)


def takes_text(key: str) -> bool:
    """Whether a dotted key of a config is free text, such as title or section.image."""
    return free_text.takes_text(Config, key)


def config_from(tables: dict[str, Any], source: str, allow_python: bool = False) -> Config:
    """The config that tables make, with absolute paths; source: what a message calls them.

    Raises InputError as load_config does.
    """
    return _checked(tables, source, (), allow_python)


def config_of(run: Run, allow_python: bool = False, moved: Sequence[str] = ()) -> Config:
    """The config that a run file holds, checked again; a model of one's own as the file kept it, not as it
    may be now.

    moved: "section.image=FILE", where a file that it names lies now. Raises InputError when the section came
    from Python, for a key that names no file, for a file that is gone, and for another one than the run was
    made with.
    """
    tables, file = {"units": "internal"} | run.config, run.file.filename
    if tables.get("section", {}).get("kind", "given") in ("given", "array"):
        raise InputError(
            f"{file}: its section came from Python, so the file cannot make it again. Give the problem:"
            " resume(run, problem)."
        )
    _find(tables, run, moved)
    return _checked(tables, file, moved, allow_python, run.provenance.get("model_source"))


FILES = ("section.image", "section.field_of_view", "initial.from")
"""Keys of what a run needs and may not keep."""


def _find(tables: dict[str, Any], run: Run, moved: Sequence[str]) -> None:
    """The tables of a run with the files that they name where those lie now, in place."""
    for said in moved:
        if toml.override_key(said) not in FILES:
            raise InputError(
                f"--set {said}: a run goes on, or is repeated, as it was. Only where a file lies now can be"
                f" said: {', '.join(FILES)}. For a run with other values take its config: rdsolver run CONFIG"
                " --set ..."
            )
    from ..images.readers import sha256  # with the libraries of images

    toml.apply(tables, moved, takes_text)
    section, record = tables["section"], run.provenance.get("section", {})
    made_with = {
        "image": record.get("sha256"),
        "field_of_view": (record.get("field_of_view") or {}).get("sha256"),
    }
    named = [toml.override_key(said).removeprefix("section.") for said in moved]
    for key, expected in made_with.items():
        path = section.get(key)
        if expected is None or (run.section is not None and key not in named):
            continue
        if not Path(path).exists():
            raise InputError(
                f'{run.path}: section.{key} = "{path}": there is no such file. It was there when the run'
                f" began; say where it is now: --set section.{key}=FILE."
            )
        if (found := sha256(Path(path))) != expected:
            raise InputError(
                f'{run.path}: section.{key} = "{path}" is not the file that the run was made with: its'
                f" SHA-256 is {found[:12]}, that of "
                f"the run's {expected[:12]}. Say where that is: --set section.{key}=FILE; on another image"
                " begin a new run, from a config."
            )


def _checked(
    raw: dict[str, Any], file: str, overrides: Sequence[str], allow_python: bool, text: str | None = None
) -> Config:
    written = raw.get("schema")
    if isinstance(written, int) and written > SCHEMA:
        raise InputError(
            f"{file}: schema = {written} is newer than this rdsolver reads, {SCHEMA}. Upgrade rdsolver to"
            " use it."
        )
    own = _own(raw, file, allow_python, text)
    try:
        config = Config.model_validate(raw, context={"own": own})
    except ValidationError as error:
        found = messages.faults(error.errors(), lambda loc: _keys_at(loc, raw))
        raise InputError(messages.message(file, found, overrides)) from None
    config._file = file
    if config.units is None:
        config._bare = tuple(bare_numbers(config, raw))
    return config


def _own(raw: dict[str, Any], file: str, allowed: bool, text: str | None) -> Own | None:
    """What the Python file that a config names holds; None where it names none.

    Nothing of it is executed unless allowed.

    text: of that file, where a run kept it.
    """
    model = raw.get("model")
    reference = model.get("from") if isinstance(model, dict) else None
    if not isinstance(reference, str):
        return None
    if not allowed:
        raise InputError(
            f"{file}: model.from asks to execute {reference.rpartition(':')[0] or reference}, and a Python"
            " file can do all that you can. Read it; if you trust it, allow it: rdsolver run --allow-python"
            " CONFIG, in Python load_config(..., allow_python=True)."
        )
    from . import user_file  # with JAX

    try:
        return user_file.load(reference, text)
    except InputError as error:
        raise InputError(f"{file}: model.from: {error}") from error


def schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors: quantities are numbers or text, each with its internal unit."""
    tree = Config.model_json_schema(by_alias=True)
    rows = [
        *parameters(tuple(map(drug, LABELS)), tumour=True, bisphosphonate=True, membrane=True),
        *parameters(tissue="artery"),
    ]
    by_name = {p.name: json_quantity(p.unit) | {"description": f"{p.meaning} ({p.source})"} for p in rows}
    tree["$defs"]["Model"]["properties"]["parameters"]["properties"] = by_name
    _tell_units(tree)
    return tree


def _tell_units(node: Any) -> None:
    """Move the unit of every quantity into its description."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tell_units(child)
    if isinstance(node, dict) and isinstance(unit := node.get("unit"), str):
        del node["unit"]
        told = "A number" if unit == "1" else f"In {unit}, or text with a unit"
        node["description"] = f"{node.get('description', '')} {told}.".strip()


def _keys_at(loc: tuple[Any, ...], raw: dict[str, Any]) -> dict[str, str]:
    """The keys that the table at `loc` may have, with their meanings; none where no table stands."""
    match loc:
        case ():
            table = Config
        case (str(name),) | (str(name), int()) if name in Config.model_fields:
            table = _table(Config.model_fields[name].annotation, raw.get(name))
        case _:
            table = None
    return {f.alias or name: f.description or "" for name, f in table.model_fields.items()} if table else {}


def _table(kind: Any, written: Any) -> type[Table] | None:
    """The table where a key has this type, or a list of it; where it has several, the one of the kind that is
    written.
    """
    if isinstance(kind, type) and issubclass(kind, Table):
        return kind
    tables = [table for k in get_args(kind) if (table := _table(k, written))]
    of_kind = written.get("kind") if isinstance(written, dict) else None
    named = (
        table
        for table in tables
        if "kind" in table.model_fields and of_kind in get_args(table.model_fields["kind"].annotation)
    )
    return next(named, tables[0] if tables else None)


def _given(section: Section | np.ndarray, table: Place, bare: bool) -> Section:
    """What a Python caller gives in place of the file's section. bare: it may hold no bone."""
    if isinstance(section, Section):
        return section
    try:
        bone = np.asarray(section, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"section = {shown(section)} is no array. Give bone fractions, (z, y, x) or (y, x)."
        ) from None
    voxel = table.voxel if isinstance(table, Image) else None
    edges = listed(table.spacing or voxel)
    if bone.ndim not in (2, 3) or len(edges) not in (1, bone.ndim):
        raise InputError(
            f"section: the array has shape {bone.shape} and the config {len(edges)} spacings. "
            "Give an array with 2 or 3 axes, and section.spacing in the config."
        )
    thickness = table.thickness if bone.ndim == 2 else None
    if bone.ndim == 2 and thickness is None:
        raise InputError(
            "section.thickness is missing: a 2D array needs one. Give it in the config, for example thickness"
            ' = "10 um".'
        )
    spacing = tuple(edges * bone.ndim)[: bone.ndim]
    grid = Grid(bone.shape, spacing, borders=(table.borders,) * bone.ndim, thickness=thickness)
    return Section(grid, bone, np.ones(bone.shape, bool), {"kind": "array"}, bare)
