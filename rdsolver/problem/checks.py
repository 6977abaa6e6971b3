"""What a problem must satisfy as a whole, before anything is computed, whoever made it: a config's checks are
built of the same parts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import Fault, InputError, shown, unknown
from ..geometry.boundary_conditions import Border
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..geometry.tumour_seeding import Nests
from ..models.base import Parameter
from ..models.bone.binders import OPG, Binder, binder_parameters
from ..models.bone.parameters import AT_BASELINE, PRESETS, TISSUES
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose, Treatment
from ..utils import checks
from ..utils.instants import Instants
from . import model_checks
from .changes import Change, in_force
from .model_checks import CELLS, CYTOKINES, TUMOUR

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from .problem import ModelProblem, Output, Problem

TISSUE = ("diffusivity", "kon", "K_eff", "loss")
"""Of a drug's parameters those that act in the tissue; the others make its plasma curve."""


# --- parts that a config's checks share ---------------------------------------------------------------------


def range_of(row: Parameter) -> str:
    unit = "" if row.unit == "1" else f" {row.unit}"
    most = "and more" if row.maximum == math.inf else f"to {row.maximum:g}{unit}"
    return (
        f"Allowed: {row.minimum:g}{unit} {most}; plausible: {row.low:g} to {row.high:g}{unit}"
        f" ({row.meaning})."
    )


def outside(row: Parameter, value: float, told: Any) -> str:
    """What is wrong with a value beyond the physical bounds; empty within them."""
    if row.minimum <= value <= row.maximum:
        return ""
    return f"= {shown(told)} is too {'small' if value < row.minimum else 'large'}. {range_of(row)}"


def fixed(name: str, agents: Iterable[Binder]) -> str:
    """Why a parameter of the bone model cannot change in time; empty when it can: it is a rate or a property
    of the tissue.
    """
    if name.endswith("_scale"):
        return "is the size that tolerances are relative to"
    if name in ("bisphosphonate_dose", "bisphosphonate_release"):
        return "shapes what is on bone, which is solved ahead of the run"
    for a in agents:
        if name in {p.name for p in binder_parameters(a)} - {f"{a.name}_{t}" for t in TISSUE}:
            return "shapes the plasma curve, which is solved ahead of the run"
    return AT_BASELINE.get(name, "")


def dissociation(binders: Iterable[Binder], values: Mapping[str, float]) -> Iterator[Fault]:
    """koff = kon K_eff - rankl_loss of each binder, OPG first: a name, and what is wrong."""
    for b in (OPG.name, *(a.name for a in binders)):
        kon, K, loss = values[f"{b}_kon"], values[f"{b}_K_eff"], values["rankl_loss"]
        if kon * K <= loss:
            need = f"above {loss / kon:.3g} nM" if kon > 0 else "larger, with a kon above 0"
            yield (
                b,
                (
                    f"gives a dissociation rate that is not positive: {b}_kon {kon:g} x {b}_K_eff {K:g} -"
                    f" rankl_loss {loss:g} = {kon * K - loss:.3g} /d. Give {b}_K_eff {need}, a larger {b}_kon"
                    " or a smaller rankl_loss."
                ),
            )


def changed_faults(
    keys: Sequence[str],
    changes: Sequence[Change],
    rows: Mapping[str, Parameter],
    values: Mapping[str, float],
    binders: Iterable[Binder] | None,
) -> Iterator[Fault]:
    """Bounds, and koff > 0, after every change. keys: what a message calls them; binders: None of a model
    without any.
    """
    for key, change in zip(keys, changes, strict=True):
        now = in_force(values, tuple(changes), change.start)
        row = rows.get(change.parameter)
        if row is not None and not row.minimum <= now[row.name] <= row.maximum:
            yield key, f"= {change.factor:g} makes {row.name} {now[row.name]:g}. {range_of(row)}"
        if binders is not None and (
            change.parameter == "rankl_loss" or change.parameter.endswith(("_kon", "_K_eff"))
        ):
            yield from ((key, f"= {change.factor:g}: {text}") for _, text in dissociation(binders, now))


def too_late(what: str, t: float, end: float) -> str:
    return (
        f"puts {what} at {t:g} d, when the run is over. Allowed: 0 to {end:g} d, the end not included; move"
        " it, or set time.end later."
    )


def bone_fields(
    tissue: str, binders: Iterable[Binder], membrane: bool, tumour: bool, added: Extension | None
) -> tuple[str, ...]:
    """The fields of a run of the bone model, or of another tissue."""
    names = (name for b in binders for name in (b.name, b.complex))
    cells = CELLS if tissue == "bone" else ("response",)
    own = added.names if added else ()
    return (
        *CYTOKINES,
        *names,
        *cells,
        *(("rankl_membrane",) if membrane else ()),
        *(TUMOUR if tumour else ()),
        *own,
    )


def bone_moving(
    tissue: str, binders: Iterable[Binder], tumour: bool, added: Extension | None
) -> dict[str, str]:
    """What can pass a border, with its unit: the fields that diffuse."""
    units = dict.fromkeys((*CYTOKINES, *(name for b in binders for name in (b.name, b.complex))), "nM")
    if tissue == "bone":
        units |= dict.fromkeys(CELLS[:2], "1/mm^3") | dict.fromkeys(TUMOUR if tumour else (), "1")
    return units | {
        f.name: f.unit for f in (added.unknowns if added else ()) if added and f.name in added.moves
    }


def own_moving(model: Any) -> dict[str, str]:
    """The same of a whole model of one's own."""
    return {f.name: f.unit for f in model.unknowns if f.name in model.moves}


def check_window(output: Output, grid: Grid) -> None:
    """The crop lies on the grid, and the stride leaves two cells along an axis that has as many."""
    crop = output.crop or tuple((0, n) for n in grid.shape)
    if len(crop) != grid.ndim or not all(
        len(c) == 2 and 0 <= c[0] < c[1] <= n for c, n in zip(crop, grid.shape, strict=True)
    ):
        raise InputError(
            f"output.crop = {[list(c) for c in crop]} does not fit the grid of"
            f" {' x '.join(map(str, grid.shape))} cells. Give {grid.ndim} ranges [start, stop] within it, one"
            " an axis."
        )
    if short := [c[1] - c[0] for c in crop if 1 < c[1] - c[0] <= output.stride]:
        raise InputError(
            f"output.stride = {output.stride} leaves one cell of {min(short)} along an axis. Make it smaller."
        )


# --- whole problems -----------------------------------------------------------------------------------------


def of_bone(p: Problem) -> None:
    """Checks a problem of the bone model, or of another tissue, and brings its values into their types, in
    place.
    """
    checks.kind("section", p.section, Section, "a Section")
    if not 0 < p.section.bone_volume_fraction < 1:
        raise InputError(
            "section: there is no bone and marrow both, and the model needs a surface. Take another section."
        )
    checks.word("tissue", p.tissue, ("bone", *TISSUES), "tissue")
    checks.word("preset", p.preset, PRESETS, "preset")
    _several(p, agents=Binder, doses=Dose, treatments=Treatment)
    if p.tumour is not None:
        checks.kind("tumour", p.tumour, Nests, "Nests or None")
    checks.settle(
        p,
        bisphosphonate=checks.flag("bisphosphonate", p.bisphosphonate),
        membrane=checks.flag("membrane", p.membrane),
    )
    if p.extension is not None:
        _check_own(p.extension, extends=True)
    _common(p)
    binders = (*p.agents, *(p.extension.binders if p.extension else ()))
    rows = {r.name: r for r in p.rows}
    _parameters(p, rows, rows)
    if p.tissue == "bone" or f"{OPG.name}_kon" in rows:
        for b, text in dissociation(binders, p.parameters):
            raise InputError(f"parameters.{b}_K_eff {text}")
    over = Instants(p.end).over
    drugs = [*(a.name for a in p.agents), *((BISPHOSPHONATE,) if p.bisphosphonate else ())]
    for i, dose in enumerate((*p.doses, *(d for t in p.treatments for d in t.doses))):
        if dose.agent not in drugs:
            kind = "drug of this run" if drugs else "drug of this run, which carries none (agents)"
            raise InputError(f"doses.{i}.agent = {shown(dose.agent)} {unknown(kind, dose.agent, drugs)}")
        if over(dose.time) and i < len(p.doses):
            raise InputError(f"doses.{i}.time {too_late('the dose', dose.time, p.end)}")
    _changes(p, rows, {name: why for name in rows if (why := fixed(name, p.agents))}, binders)
    tumour, signed = (
        p.tumour is not None,
        ({f.name for f in p.extension.unknowns if f.signed} if p.extension else set()),
    )
    _borders(
        p.borders,
        bone_moving(p.tissue, binders, tumour, p.extension),
        signed,
        p.section.grid,
        p.section.active,
    )
    _output(p.output, bone_fields(p.tissue, binders, p.membrane, tumour, p.extension), p.section.grid)


def of_model(p: ModelProblem) -> None:
    """The same for any model."""
    checks.kind("grid", p.grid, Grid, "a Grid")
    shape = p.grid.shape
    _check_own(p.model, extends=False)
    _common(p)
    rows = {r.name: r for r in p.model.parameters}
    needed = {*rows, *p.model.moves.values()}
    _parameters(p, rows, needed, p.model.name)
    if p.active is not None:
        checks.settle(p, active=checks.mask("active", p.active, shape))
        if not np.any(p.active):
            raise InputError("active holds no cell, so there is nothing to solve on.")
    if p.medium is not None:
        checks.cells("medium", p.medium, shape, p.active, least=0)
    for name in checks.named(
        "arrays", p.arrays, lambda key, value: checks.either(key, value, shape, p.active)
    ):
        if name in ("time", "active", *p.model.inputs):
            raise InputError(
                f"arrays holds {shown(name)}, which is taken: rates read it already. Give it another name."
            )
    _changes(p, rows or dict.fromkeys(p.parameters), {}, None)
    _borders(p.borders, own_moving(p.model), {f.name for f in p.model.unknowns if f.signed}, p.grid, p.mask)
    _output(p.output, tuple(f.name for f in p.model.unknowns), p.grid)
    if isinstance(p.initial, str):
        checks.settle(p, initial=Path(p.initial))
    if not isinstance(p.initial, Path):
        check_start(p, p.initial)


def _common(p: Problem | ModelProblem) -> None:
    from .problem import Output, Solver, Source

    _several(p, changes=Change, borders=Border)
    checks.kind("solver", p.solver, Solver, "a Solver")
    checks.kind("output", p.output, Output, "an Output")
    if p.source is not None:
        checks.kind("source", p.source, Source, "a Source")
    checks.text("title", p.title)
    end = checks.number("end", p.end, "d", above=0)
    given = checks.several(
        "save",
        p.save,
        partial(checks.number, unit="d", least=0),
        "the times of saved states, in d, such as (0.0, 5.0)",
    )
    if late := [t for t in given if Instants(end)(t) > end]:
        raise InputError(
            f"save holds {late[0]:g} d, after the end of the run ({end:g} d). Leave it out, or let the run"
            " last longer."
        )
    checks.settle(p, end=end, save=given)


def _several(p: Any, **kinds: type) -> None:
    for name, wanted in kinds.items():
        one = partial(checks.kind, wanted=wanted, what=f"a {wanted.__name__}")
        checks.settle(
            p, **{name: checks.several(name, getattr(p, name), one, f"a list of {wanted.__name__}")}
        )


def _check_own(model: Any, extends: bool) -> None:
    if not all(hasattr(model, part) for part in ("name", "unknowns", "rates", "moves", "parameters")):
        what = "an Extension" if extends else "a ReactionDiffusion"
        raise InputError(
            f"{'extension' if extends else 'model'} = {shown(model)} is of type {type(model).__name__}, and"
            f" {what} belongs here."
        )
    if found := model_checks.faults(model, extends, config=False):
        raise InputError("; ".join(f"{model.name}.{key} {text}" for key, text in found))


def _parameters(
    p: Problem | ModelProblem, rows: Mapping[str, Parameter], needed: Collection[str], what: str = ""
) -> None:
    """Every one that is needed, no other where they are declared, and each within its bounds."""
    values = checks.named("parameters", p.parameters, checks.number)
    if missing := sorted({*needed} - values.keys()):
        where = f"{what}: " if what else ""
        raise InputError(
            f"{where}there is no value for {', '.join(missing)}. Declare it in parameters, or give it."
        )
    for name, value in values.items() if rows else ():
        if name not in rows and name not in needed:
            raise InputError(f"parameters.{name} {unknown('parameter', name, rows)}")
        if name in rows and (text := outside(rows[name], value, value)):
            raise InputError(f"parameters.{name} {text}")
    checks.settle(p, parameters=values)


def _changes(
    p: Problem | ModelProblem,
    rows: Mapping[str, Any],
    never: Mapping[str, str],
    binders: Sequence[Binder] | None,
) -> None:
    allowed, over = [name for name in rows if name not in never], Instants(p.end).over
    for i, change in enumerate(p.changes):
        key = f"changes.{i}.parameter = {shown(change.parameter)}"
        if change.parameter not in rows:
            raise InputError(f"{key} {unknown('parameter', change.parameter, allowed)}")
        if why := never.get(change.parameter):
            raise InputError(f"{key} cannot change in time: it {why}. Allowed: {', '.join(allowed)}.")
        if over(change.start):
            raise InputError(f"changes.{i}.start {too_late('the change', change.start, p.end)}")
    keys = [f"changes.{i}.factor" for i in range(len(p.changes))]
    for key, text in changed_faults(keys, p.changes, rows, p.parameters, binders):
        raise InputError(f"{key} {text}")


def _borders(
    borders: Sequence[Border], allowed: Mapping[str, str], signed: set[str], grid: Grid, active: np.ndarray
) -> None:
    for i, border in enumerate(borders):
        if border.field not in allowed:
            raise InputError(
                f"borders.{i}.field = {shown(border.field)}"
                f" {unknown('field that diffuses', border.field, allowed)}"
            )
        border.contact(grid, active)  # raises for a place that the grid does not have
        if border.mask is None and any(
            (b.field, b.axis, b.side) == (border.field, border.axis, border.side) for b in borders[:i]
        ):
            side = f"{border.axis}-{border.side}"
            raise InputError(
                f'borders.{i}.side = "{side}" has a condition on {border.field} already. Leave one of them'
                " out."
            )
        for name in ("value", "flux"):
            if np.min(getattr(border, name)) < 0 and border.field not in signed:
                raise InputError(
                    f"borders.{i}.{name} = {shown(getattr(border, name))} must be at least 0. What is to"
                    " leave, leaves by value = 0."
                )


def _output(output: Output, names: Sequence[str], grid: Grid) -> None:
    for name in output.fields or ():
        if name not in names:
            raise InputError(f"output.fields holds {shown(name)}, which {unknown('field', name, names)}")
    check_window(output, grid)


def check_start(p: ModelProblem, start: Any) -> None:
    """The initial state is one: its fields are the model's, fit the grid, are finite, and densities are not
    negative.
    """
    name = f"the initial state of {p.model.name}"
    fields = {f.name: f for f in p.fields}
    if not isinstance(start, Mapping):
        raise InputError(
            f"{name} is of type {type(start).__name__}. It must be a dictionary of fields:"
            f" {', '.join(fields)}."
        )
    if none := sorted(map(str, start.keys() - fields.keys())):
        raise InputError(
            f"{name} holds {', '.join(none)}, which is none of its fields. Allowed: {', '.join(fields)}."
        )
    for key, given in start.items():
        try:
            found = np.asarray(given)
        except (TypeError, ValueError):
            found = np.asarray(None)
        if found.dtype.kind not in "biuf" or found.shape not in ((), p.grid.shape):
            what = f"an array of shape {np.shape(found)}" if found.ndim else shown(given)
            raise InputError(f"{name}: {key} is {what}. Give a number, or an array of shape {p.grid.shape}.")
        values = np.broadcast_to(found, p.grid.shape)[p.mask]
        if not np.isfinite(values).all():
            raise InputError(
                f"{name}: {key} is not finite in {np.count_nonzero(~np.isfinite(values)):,} cells."
            )
        if values.min() < 0 and not fields[key].signed:
            raise InputError(
                f"{name}: {key} falls to {values.min():g}, and a density is at least 0 (else declare it:"
                " signed=True)."
            )
