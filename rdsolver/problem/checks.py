"""The checks of a problem as a whole, made before anything is computed, whoever made the problem.

The checks of a config are built of the same parts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import Fault, InputError, shown, unknown
from ..geometry.boundary_conditions import Border
from ..geometry.grid import Grid
from ..models.base import Parameter
from ..models.bone.binders import OPG, Binder, binder_parameters
from ..models.bone.component import Component
from ..models.bone.parameters import AT_BASELINE
from ..utils import checks
from ..utils.instants import Instants
from . import model_checks
from .changes import Change, in_force

TISSUE = ("diffusivity", "kon", "K_eff", "loss")
"""The suffixes of a drug's parameters that act in the tissue; the others shape its plasma curve."""


# --- parts that a config's checks share ---------------------------------------------------------------------


def range_of(row: Parameter) -> str:
    unit = "" if row.unit == "1" else f" {row.unit}"
    most = "and more" if row.maximum == math.inf else f"to {row.maximum:g}{unit}"
    return (
        f"Allowed: {row.minimum:g}{unit} {most}; plausible: {row.low:g} to {row.high:g}{unit}"
        f" ({row.meaning})."
    )


def outside(row: Parameter, value: float, told: Any) -> str:
    """A text that says what is wrong with a value beyond the physical bounds; empty within them."""
    if row.minimum <= value <= row.maximum:
        return ""
    return f"= {shown(told)} is too {'small' if value < row.minimum else 'large'}. {range_of(row)}"


def fixed(name: str, agents: Iterable[Binder], components: Iterable[Component] = ()) -> str:
    """The reason why a parameter of the bone model cannot change in time.

    It is empty for a parameter that can, which is a rate or a property of the tissue.
    """
    if name.endswith("_scale"):
        return "is the size that tolerances are relative to"
    for part in components:
        if name in part.fixed:
            return part.fixed[name]
    for a in agents:
        if name in {p.name for p in binder_parameters(a)} - {f"{a.name}_{t}" for t in TISSUE}:
            return "shapes the plasma curve, which is solved ahead of the run"
    return AT_BASELINE.get(name, "")


def dissociation(binders: Iterable[Binder], values: Mapping[str, float]) -> Iterator[Fault]:
    """For each binder with koff = kon K_eff - rankl_loss not above 0, OPG first: its name, and what is
    wrong.
    """
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
    """Check the bounds, and koff > 0, after every change.

    keys: the names of the changes in messages; binders: None for a model without any.
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


# --- parts of a problem ------------------------------------------------------------------------------------


def check_times(end: Any, save: Any) -> tuple[float, tuple[float, ...]]:
    """The end of a run and its saved times, d. Raises InputError for a saved time after the end."""
    end = checks.number("end", end, "d", above=0)
    given = checks.several(
        "save",
        save,
        partial(checks.number, unit="d", least=0),
        "the times of saved states, in d, such as (0.0, 5.0)",
    )
    if late := [t for t in given if Instants(end)(t) > end]:
        raise InputError(
            f"save holds {late[0]:g} d, after the end of the run ({end:g} d). Leave it out, or let the run"
            " last longer."
        )
    return end, given


def several(name: str, values: Any, wanted: type) -> tuple[Any, ...]:
    """A list of objects of one class, as a tuple."""
    one = partial(checks.kind, wanted=wanted, what=f"a {wanted.__name__}")
    return checks.several(name, values, one, f"a list of {wanted.__name__}")


def check_user_model(model: Any, extends: bool) -> None:
    """Raise InputError for an object that is no model (extends: no extension), or an incomplete one."""
    if not all(hasattr(model, part) for part in ("name", "unknowns", "rates", "moves", "parameters")):
        what = "an Extension" if extends else "a ReactionDiffusion"
        raise InputError(
            f"{'extension' if extends else 'model'} = {shown(model)} is of type {type(model).__name__}, and"
            f" {what} belongs here."
        )
    if found := model_checks.faults(model, extends, config=False):
        raise InputError("; ".join(f"{model.name}.{key} {text}" for key, text in found))


def check_parameters(
    given: Any, rows: Mapping[str, Parameter], needed: Collection[str], what: str = ""
) -> dict[str, float]:
    """Check that every needed parameter is given, no undeclared one is, and each is within its bounds."""
    values = checks.named("parameters", given, checks.number)
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
    return values


def check_changes(
    changes: Sequence[Change],
    end: float,
    values: Mapping[str, float],
    rows: Mapping[str, Any],
    never: Mapping[str, str],
    binders: Sequence[Binder] | None,
) -> None:
    """Check that each change is of a parameter that may change, before the end of the run, and within its
    bounds.

    never: the reasons why other parameters may not; binders: None for a model without any.
    """
    allowed, over = [name for name in rows if name not in never], Instants(end).over
    for i, change in enumerate(changes):
        key = f"changes.{i}.parameter = {shown(change.parameter)}"
        if change.parameter not in rows:
            raise InputError(f"{key} {unknown('parameter', change.parameter, allowed)}")
        if why := never.get(change.parameter):
            raise InputError(f"{key} cannot change in time: it {why}. Allowed: {', '.join(allowed)}.")
        if over(change.start):
            raise InputError(f"changes.{i}.start {too_late('the change', change.start, end)}")
    keys = [f"changes.{i}.factor" for i in range(len(changes))]
    for key, text in changed_faults(keys, changes, rows, values, binders):
        raise InputError(f"{key} {text}")


def check_borders(
    borders: Sequence[Border], allowed: Mapping[str, str], signed: set[str], grid: Grid, active: np.ndarray
) -> None:
    """Check that each condition lies on a side of the grid, on a field that diffuses, and is given once.

    allowed: those fields.
    """
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
                    f"borders.{i}.{name} = {shown(getattr(border, name))} must be at least 0. For an outflow"
                    " use value = 0."
                )
