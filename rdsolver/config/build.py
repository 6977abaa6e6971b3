"""Builds a Problem, in plain objects and internal units, from the tables of a config; and the config with
every default filled in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, shown
from ..geometry.grid import Grid
from ..geometry.section import Section, coarsened
from ..models.bone.pharmacokinetics import Treatment
from ..problem import ModelProblem, Output, Problem, Solver
from ..utils.memory import check_memory, host_memory
from . import user_model
from .dose_table import as_tables
from .sections import Box, Image, SectionTable
from .tables import listed
from .tree import Tree


def problem(
    config: Tree,
    file: str,
    warnings: Sequence[str],
    section: Section | np.ndarray | None = None,
    kept: Section | None = None,
) -> Problem | ModelProblem:
    """The run that a config describes, in plain objects and internal units.

    file: the name of the config in messages. section: a Section, or an array of bone fractions on the
    config's spacing, in place of the config's own. kept: the config's section as an earlier run has saved it.
    Raises InputError when the section cannot be built.
    """
    try:
        if section is None and isinstance(config.section, Box):
            cells = config.section.grid().cells // config.section.coarsen ** len(config.section.size)
            check_memory(cells, len(config.field_names), config.solver.precision, host_memory())
        place = kept or coarsened(
            (
                config.section.build()
                if section is None
                else given_section(section, config.section, config.whole is not None)
            ),
            config.section.coarsen,
        )
        borders = tuple(b.border(config.diffusing[b.field]) for b in config.border)
        for part in config.components:
            part.check_section(place)
        solver = Solver(**config.solver.model_dump())
        fields, crop = config.output.fields, config.output.crop
        window: Any = None if crop is None else tuple(map(tuple, crop))  # checked by Output
        common: dict[str, Any] = {
            "end": config.time.end,
            "save": tuple(config.time.saved()),
            "changes": config.changes,
            "borders": borders,
            "solver": solver,
            "output": Output(None if fields == "all" else tuple(fields), config.output.stride, window),
            "title": config.title,
            "warnings": tuple(warnings),
            "config": json.dumps(
                resolved(config, place if section is not None else None), ensure_ascii=False, default=str
            ),
        }
        return (
            _bone_problem(config, place, common)
            if config.whole is None
            else user_model.problem(config, place, common)
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except MemoryError as error:
        raise InputError(
            f"{file}: section: it does not fit into memory. Make it smaller, or its spacing coarser."
        ) from error


def _bone_problem(config: Tree, place: Section, common: dict[str, Any]) -> Problem:
    lesions = dict.fromkeys(d.lesion for d in config.dose if d.lesion is not None)
    return Problem(
        section=place,
        parameters=config.values,
        preset=config.model.preset,
        tissue=config.model.name,
        from_birth=config.model.from_birth,
        components=config.components,
        source=config.source,
        agents=config.agents,
        doses=config.doses(None),
        treatments=tuple(Treatment(size, config.doses(size)) for size in lesions),
        initial=Path(config.initial.from_) if config.initial and config.initial.from_ else None,
        **common,
    )


def resolved(config: Tree, section: Section | None = None) -> dict[str, Any]:
    """The config with all defaults filled in, in internal units. It is a valid config itself, unless the
    section came from Python.
    """
    tables = config.model_dump(by_alias=True, exclude_none=True)
    tables["units"] = "internal"
    tables["model"]["parameters"] = config.values
    tables["agent"] = [{"name": a.name, "like": a.like, "label": a.label} for a in config.agents]
    tables["agent"] += [{"name": name} for part in config.components for name in part.drugs]
    weight = tables["model"].pop("body_weight", None)
    tables["dose"] = [t for c in config.courses for t in as_tables(c.table.doses(weight), c.table.lesion)]
    del tables["events"]
    for table, border in zip(tables["border"], config.border, strict=True):
        found = border.border(config.diffusing[border.field])
        table |= {key: getattr(found, key) for key in ("value", "flux") if key in table}
    tables["time"]["save"] = config.time.saved()
    if config.model.name != "bone":
        for key in ("preset", "without"):
            del tables["model"][key]
    for name, table in config.component_tables.items():
        for key in table.idle:
            del tables[name][key]
    if section is not None:
        tables["section"] = {"kind": "given"} | section.record
    return tables if config.whole is None else user_model.resolved(config, tables)


def given_section(section: Section | np.ndarray, table: SectionTable, bare: bool) -> Section:
    """The section that a Python caller gives in place of the config's. bare: it may hold no bone."""
    if isinstance(section, Section):
        return section
    try:
        bone = np.asarray(section, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"section = {shown(section)} is not an array. Give bone fractions, (z, y, x) or (y, x)."
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
