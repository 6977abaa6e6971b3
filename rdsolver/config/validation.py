"""Checks of a config as a whole, before anything is computed: drugs, times, parameters and their changes."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import shown, unknown
from ..models.base import Parameter
from ..models.bone.binders import LABELS, binder_parameters
from ..models.bone.component import Component
from ..models.bone.components import NAMES, component, every
from ..models.bone.parameters import parameters
from ..problem import checks
from ..problem.changes import in_force
from ..problem.checks import (
    changed_faults,
    dissociation,
    outside,
    too_late,
)
from ..problem.reserved_names import TAKEN
from ..timestepping.registry import ANYWHERE, exponential
from ..units import number
from ..utils.instants import SIMULTANEOUS, Instants
from . import user_model
from .component_tables import TABLES
from .event_table import unread
from .messages import Fault
from .tables import listed
from .tree import Tree

MOST_DOSES = 10_000
"""The most doses in a run."""


def _switch(part: Component) -> str:
    """The line of a config that a run needs to have this component."""
    return part.switch or f'Have it: model.components = ["{part.name}"].'


COMPONENTS = every()
STANDARD = tuple(part.name for part in COMPONENTS if part.standard)
DRUGS = {name: part.label for part in COMPONENTS for name in part.drugs}
"""The drugs that do not bind RANKL, and what they are."""
_BONE, _BEYOND = ({p.name for p in parameters(tissue=tissue)} for tissue in ("bone", "artery"))
PARTS = (
    *(({p.name for p in part.rows}, part.label, _switch(part)) for part in COMPONENTS),
    (_BEYOND - _BONE, "tissue beyond bone", 'Choose one: model.name = "artery".'),
    (_BONE - _BEYOND, "bone", 'Choose it: model.name = "bone".'),
)
"""Parameters that a run may lack: their names, what they belong to, and how a run has it."""


def faults(config: Tree) -> Iterator[Fault]:
    """All faults, first those that the other checks build on."""
    first = [*(_bone(config) if config.whole is None else user_model.faults(config)), *_parameters(config)]
    yield from first
    yield from _borders(config)
    yield from _output(config)
    changes = [*_changes(config)]
    yield from changes
    if not first and not changes:
        yield from _in_force(config)


def warnings(config: Tree) -> Iterator[Fault]:
    for i, events in enumerate(config.events):
        if names := events.content[1]:
            yield f"events.{i}.file", unread(names)
    for name in config.model.parameters:
        value = config.values[name]
        if odd := _odd(config.rows[name], value):
            yield f"model.parameters.{name}", f"= {odd}"
    for i, change in enumerate(config.change):
        value = in_force(config.values, config.changes, change.at)[change.parameter]
        if value and (odd := _odd(config.rows[change.parameter], value)):  # 0 is meant: a knock-out
            yield f"change.{i}.factor", f"= {change.factor:g}: {change.parameter} = {odd}"


def _odd(p: Parameter, value: float) -> str:
    unit = "" if p.unit == "1" else f" {p.unit}"
    told = f"{value:g}{unit} lies outside the plausible range, {p.low:g} to {p.high:g}{unit} ({p.source})."
    return "" if p.low <= value <= p.high else told


def _borders(config: Tree) -> Iterator[Fault]:
    allowed = config.diffusing
    for i, border in enumerate(config.border):
        if border.field not in allowed:
            yield (
                f"border.{i}.field",
                f"= {shown(border.field)} {unknown('field that diffuses', border.field, allowed)}",
            )
            continue
        if config.section.borders == "periodic":
            yield (
                f"border.{i}.side",
                '= "' + border.side + '" has no end: section.borders is "periodic". Make it "no-flux".',
            )
        if border.field in [b.field for b in config.border[:i] if b.side == border.side]:
            yield (
                f"border.{i}.side",
                f'= "{border.side}" has a condition on {border.field} already. Leave one of them out.',
            )
        for key, value, unit in (
            ("value", border.value, allowed[border.field]),
            ("flux", border.flux, f"{allowed[border.field]} um/d"),
        ):
            if value is None:
                continue
            try:
                found = number(value, unit)
            except ValueError as error:
                yield f"border.{i}.{key}", str(error)
            else:
                if found < 0 and border.field not in config.signed:
                    yield (
                        f"border.{i}.{key}",
                        f"= {shown(value)} must be at least 0. For an outflow use value = 0.",
                    )


def _bone(config: Tree) -> Iterator[Fault]:
    """Faults of a run of the bone model or of another tissue."""
    yield from _components(config)
    yield from _agents(config)
    yield from _doses(config)
    if config.section.kind == "box":
        bone = config.model.name == "bone"
        what = (
            "bone, and the bone model needs some. Give trabecular, image or slab"
            if bone
            else "tissue, and this run needs it. Give rings"
        )
        yield "section.kind", f'= "box" holds no {what}.'
    if config.model.name != "bone":
        yield from _beyond_bone(config)
    if exponential(config.solver.integrator):
        yield (
            "solver.integrator",
            f'= "{config.solver.integrator}" needs constant diffusivities, which bone does not have. Allowed:'
            f" {ANYWHERE}.",
        )
    if config.initial and config.initial.seed is not None:
        yield (
            "initial.seed",
            "belongs to a user model: the bone model starts from its healthy baseline. Leave it out.",
        )


def _beyond_bone(config: Tree) -> Iterator[Fault]:
    """Faults of a run of another tissue than bone: keys of what it does not have."""
    why = f'belongs to bone, and this run\'s tissue is "{config.model.name}". Leave it out.'
    yield from ((name, why) for name in config.component_tables if not component(name).anywhere)
    if config.extension:
        yield "model.from", why
    for name in config.model.components:
        if name in NAMES and not component(name).anywhere:
            yield "model.components", f"holds {shown(name)}, which {why}"
    for key in ("preset", "without"):
        if key in config.model.model_fields_set:
            yield f"model.{key}", why
    yield from ((c.key("lesion"), why) for c in config.courses if c.table.lesion is not None)
    given = [(c.key("agent"), c.table.agent) for c in config.courses]
    given += [(f"agent.{i}.name", a.name) for i, a in enumerate(config.agent)]
    yield from ((key, f"= {shown(name)} {why}") for key, name in given if name in DRUGS)


def _components(config: Tree) -> Iterator[Fault]:
    free = [name for name in NAMES if name not in TABLES]
    for name in config.model.components:
        if name not in free:
            table = f"has a table of its own. {_switch(component(name)())}" if name in NAMES else ""
            text = table or unknown("component", name, free)
            yield "model.components", f"holds {shown(name)}, which {text}"
    for name in config.model.without:
        if name not in STANDARD:
            yield (
                "model.without",
                f"holds {shown(name)}, which {unknown('standard component', name, STANDARD)}",
            )
        elif name in config.model.components:
            yield (
                "model.without",
                f"holds {shown(name)}, and model.components too. Leave it out of one of them.",
            )


def _agents(config: Tree) -> Iterator[Fault]:
    added = config.extension
    rows = (*parameters(components=COMPONENTS), *(added.rows if added else ()))
    own = {p.name for p in rows}
    seen = TAKEN.union(added.names if added else ())
    seen |= {name for b in (added.binders if added else ()) for name in (b.name, b.complex)}
    for course in config.courses:
        if course.table.agent in seen and course.table.agent in LABELS:
            yield (
                course.key("agent"),
                (
                    f"= {shown(course.table.agent)} is a name that {config.model.from_} has taken. Give its"
                    " field or binder another one."
                ),
            )
    for i, agent in enumerate(config.agent):
        like = agent.like or agent.name
        if agent.name in DRUGS:
            if agent.like not in (None, agent.name) or agent.label:
                key = "label" if agent.like in (None, agent.name) else "like"
                yield (
                    f"agent.{i}.{key}",
                    (
                        f"is given, and {DRUGS[agent.name]} does not bind RANKL. Leave it out, or give the"
                        " drug another name."
                    ),
                )
            continue
        if like not in LABELS:
            key, what = (
                ("like", f"= {shown(like)}") if agent.like else ("like", f"is missing, and {agent.name}")
            )
            yield f"agent.{i}.{key}", f"{what} {unknown('preset', like, LABELS)}"
        elif agent.name in seen or own & {
            p.name for b in config.agents if b.name == agent.name for p in binder_parameters(b)
        }:
            yield (
                f"agent.{i}.name",
                f"= {shown(agent.name)} is taken already. Give the drug another name, for example"
                f' "my_{agent.name}".',
            )
        seen |= {agent.name, f"rankl_{agent.name}"}


def _parameters(config: Tree) -> Iterator[Fault]:
    """Faults in names, units and physical bounds of parameters."""
    for name, value in config.model.parameters.items():
        key = f"model.parameters.{name}"
        row = config.rows.get(name)
        drug = next((d for d in LABELS if name.startswith(f"{d}_")), None)
        if row is None and config.whole is not None:
            yield key, unknown("parameter", name, config.rows)
        elif row is None and (part := next((p for p in PARTS if name in p[0]), None)):
            yield key, f"belongs to {part[1]}, and this run has none. {part[2]}"
        elif row is None and drug and drug not in {a.name for a in config.agents}:
            yield (
                key,
                f"belongs to {drug}, and this run has none. Give a [[dose]] of it, or declare it: [[agent]]"
                f' with name = "{drug}".',
            )
        elif row is None:
            yield key, unknown("parameter", name, config.rows)
        else:
            try:
                found = number(value, row.unit)
            except ValueError as error:
                yield key, str(error)
            else:
                if text := outside(row, found, value):
                    yield key, text


def _doses(config: Tree) -> Iterator[Fault]:
    known = list(dict.fromkeys([*(a.name for a in config.agent), *LABELS, *DRUGS]))
    many = sum(c.table.times or len(listed(c.table.at)) for c in config.courses)
    if many > MOST_DOSES:
        yield (
            "dose",
            f"tables give {many:,} doses together, and at most {MOST_DOSES:,} are possible. Give fewer.",
        )
        return
    over = Instants(config.time.end).over
    weight = config.model.body_weight
    for course in config.courses:
        dose = course.table
        if dose.agent not in known:
            text = f"= {shown(dose.agent)} {unknown('drug', dose.agent, known)}"
            yield course.key("agent"), f"{text} A new drug is declared by [[agent]]."
        late = [t for t in dose.schedule() if over(t)]
        if late:
            yield course.key("at"), too_late("the dose", late[0], config.time.end)
        if dose.whole and weight is None:
            yield course.key(dose.whole), dose.needs_weight('model.body_weight = "70 kg"')
    if weight is not None and not any(c.table.whole for c in config.courses):
        yield (
            "model.body_weight",
            f"= {weight:g} kg has no effect: no dose is in mg. Leave it out, or give amounts in mg.",
        )


def _output(config: Tree) -> Iterator[Fault]:
    names = config.field_names
    for name in config.output.fields if isinstance(config.output.fields, list) else ():
        if name not in names:
            yield "output.fields", f"holds {shown(name)}, which {unknown('field', name, names)}"


def _changes(config: Tree) -> Iterator[Fault]:
    for i, change in enumerate(config.change):
        key = f"change.{i}.parameter"
        if change.parameter not in config.rows:
            yield (
                key,
                f"= {shown(change.parameter)} {unknown('parameter', change.parameter, changeable(config))}",
            )
        elif reason := fixed(config, change.parameter):
            yield (
                key,
                (
                    f"= {shown(change.parameter)} cannot change in time: it {reason}. Allowed:"
                    f" {', '.join(changeable(config))}."
                ),
            )
        instant = Instants(config.time.end)
        if instant.over(change.at):
            yield f"change.{i}.at", too_late("the change", change.at, config.time.end)
        elif change.until is not None and change.until - change.at <= instant.within:
            yield (
                f"change.{i}.until",
                (
                    f"= {change.until!r} d is the same time as at = {change.at!r} d: within {SIMULTANEOUS:g}"
                    f" of the run, {instant.within:.2g} d. Give a later time, or leave this [[change]] out."
                ),
            )


def changeable(config: Tree) -> list[str]:
    return [name for name in config.rows if not fixed(config, name)]


def fixed(config: Tree, name: str) -> str:
    """The reason why a parameter cannot change in time; empty when it can."""
    return "" if config.whole is not None else checks.fixed(name, config.agents, config.components)


def _in_force(config: Tree) -> Iterator[Fault]:
    """Faults of values at the start and after every change: physical bounds, and koff > 0."""
    binders = None if config.whole is not None else config.binders
    if binders is not None:
        yield from ((f"model.parameters.{b}_K_eff", text) for b, text in dissociation(binders, config.values))
    keys = [f"change.{i}.factor" for i in range(len(config.change))]
    yield from changed_faults(keys, config.changes, config.rows, config.values, binders)
