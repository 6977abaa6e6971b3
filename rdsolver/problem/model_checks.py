"""The checks of a user model, in a file or in a problem: complete, and with names of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from ..errors import Fault, shown, unknown
from ..geometry.subdomain import Lives
from ..models.base import Field, Observer, Parameter
from ..models.bone.binders import LABELS, OPG, Binder, binder_parameters
from ..models.bone.component import PROCESSES
from ..utils.checks import NAME
from .reserved_names import FIELDS, ROWS, RUN_FILE

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from ..models.pointwise import ReactionDiffusion

LIVES = Lives.__args__


def faults(found: Any, extends: bool, config: bool = True) -> list[Fault]:
    """The faults of a model: parts that a run needs and that are missing, and names that a run file cannot
    hold.

    extends: True if it is an Extension; config: True if it is checked as a config needs it, with every
    parameter declared, and in days.
    """
    own = 'a tuple of Field, such as (Field("u", "1", 1.0, "density"),)'
    kinds = [
        ("rates", callable(found.rates), "a function of u, p and at"),
        ("moves", isinstance(found.moves, Mapping), 'a dictionary, such as {"u": "diffusivity"}'),
        ("parameters", _all(found.parameters, Parameter), "a tuple of Parameter"),
        ("observers", _all(found.observers, Observer), "a tuple of Observer"),
    ]
    if extends:
        kinds += [
            ("unknowns", _all(found.unknowns, Field), own),
            ("binders", _all(found.binders, Binder), "a tuple of Binder"),
            ("start", isinstance(found.start, Mapping), 'a dictionary, such as {"u": 1.0}'),
            ("medium", found.medium in ("marrow", "cells"), '"marrow" or "cells"'),
            (
                "acts_on",
                isinstance(found.acts_on, Mapping) and all(map(callable, found.acts_on.values())),
                'a dictionary of functions of u, p and at, such as {"formation": suppressed}',
            ),
        ]
    else:
        kinds += [
            ("unknowns", _all(found.unknowns, Field) and bool(found.unknowns), own),
            (
                "initial",
                callable(found.initial) or isinstance(found.initial, Mapping),
                "a dictionary, or a function of where",
            ),
            ("lives", found.lives in LIVES, f"one of {', '.join(LIVES)}"),
            (
                "time_unit",
                found.time_unit == "d" or not config,
                '"d", as a run from a config is in days: leave it out',
            ),
        ]
    if wrong := [
        (key, f"= {shown(getattr(found, key))} must be {what}.") for key, right, what in kinds if not right
    ]:
        return wrong
    if extends and (wrong := [*_binders(found)]):
        return wrong
    fields, rows = [f.name for f in found.unknowns], [p.name for p in found.parameters]
    taken, of_rows = RUN_FILE, ()
    if extends:
        taken, of_rows = (
            (*FIELDS, *(n for b in found.binders for n in (b.name, b.complex))),
            (*ROWS, *(p.name for b in found.binders for p in binder_parameters(b))),
        )
    named = [*_names("unknowns", fields, taken), *_names("parameters", rows, of_rows)]
    started = [*_start(found), *_processes(found)] if extends else ()
    if wrong := [*_observers(found.observers)]:
        return wrong
    return named or [
        *_numbers(found),
        *_moves(found, fields, rows if config else [*rows, *found.moves.values()]),
        *started,
    ]


def _binders(extension: Extension) -> Iterator[Fault]:
    for b in extension.binders:
        if b.drug:
            yield (
                "binders",
                (
                    f"hold {b.name} with drug=True. What the tissue makes has drug=False; a drug is declared"
                    " by [[agent]]."
                ),
            )
        if b.like not in (OPG.name, *LABELS):
            yield (
                "binders",
                f"take {b.name} like {shown(b.like)}, which {unknown('preset', b.like, (OPG.name, *LABELS))}",
            )
        if (
            b.name in FIELDS
            or b.complex in FIELDS
            or not NAME.fullmatch(b.name)
            or [x.name for x in extension.binders].count(b.name) > 1
        ):
            yield "binders", f"hold {shown(b.name)}, which is taken or is not a name. Give it another one."


def _start(extension: Extension) -> Iterator[Fault]:
    if extension.healthy and extension.start:
        yield (
            "start",
            (
                "is given, and healthy too: then it starts where the healthy baseline has it. Leave one of"
                " them out."
            ),
        )
    for name, value in extension.start.items():
        if name not in extension.names:
            yield "start", f"names {shown(name)}, which {unknown('field', name, extension.names)}"
        elif not (
            number_like(value) and (value >= 0 or any(f.signed for f in extension.unknowns if f.name == name))
        ):
            yield (
                "start",
                (
                    f"gives {name} the value {value!r}. It must be a number, at least 0 (else declare the"
                    " field: signed=True)."
                ),
            )


def _observers(observers: Sequence[Observer]) -> Iterator[Fault]:
    for o in observers:
        if not isinstance(o.name, str) or not NAME.fullmatch(o.name):
            yield "observers", f"hold {shown(o.name)}, which is not a name. Give it another one."
        elif not callable(o.value):
            yield (
                "observers",
                f"hold {o.name} with value = {shown(o.value)}. Give a function of u, p and at.",
            )
        elif o.where not in ("device", "host"):
            yield "observers", f"hold {o.name} with where = {shown(o.where)}. Allowed: device, host."


def _processes(extension: Extension) -> Iterator[Fault]:
    for name in extension.acts_on:
        if name not in PROCESSES:
            yield "acts_on", f"names {shown(name)}, which {unknown('process', name, PROCESSES)}"


def _names(key: str, names: Sequence[str], taken: Sequence[str] = ()) -> Iterator[Fault]:
    for n in dict.fromkeys(names):
        if not (isinstance(n, str) and NAME.fullmatch(n)):
            yield key, f"hold {shown(n)}, which is not a name. Use letters, digits and _."
        elif n in taken or names.count(n) > 1:
            yield (
                key,
                (
                    f"hold {shown(n)}, which {'is taken' if n in taken else 'appears twice'}. Give it"
                    " another name."
                ),
            )


def _numbers(model: ReactionDiffusion | Extension) -> Iterator[Fault]:
    for f in model.unknowns:
        for part in ("unit", "label"):
            if not isinstance(getattr(f, part), str):
                yield "unknowns", f"give {f.name} the {part} {getattr(f, part)!r}. It must be text."
        if not (number_like(f.scale) and 0 < f.scale < math.inf):
            yield (
                "unknowns",
                f"give {f.name} the scale {f.scale!r}. It must be above 0: the typical size of the field.",
            )
    for p in model.parameters:
        if not (number_like(p.value) and math.isfinite(p.value)):
            yield (
                "parameters",
                (
                    f"give {p.name} the value {p.value!r}. It must be a number: it holds where a config gives"
                    " none."
                ),
            )
        elif not all(number_like(x) for x in (p.low, p.high, p.minimum)) or not p.low <= p.high:
            yield (
                "parameters",
                (
                    f"give {p.name} the range {p.low!r} to {p.high!r}, minimum {p.minimum!r}. They must be"
                    " numbers in order."
                ),
            )


def _moves(
    model: ReactionDiffusion | Extension, fields: Sequence[str], rows: Sequence[str]
) -> Iterator[Fault]:
    for field, parameter in model.moves.items():
        if field not in fields:
            yield "moves", f"names {shown(field)}, which {unknown('field', field, fields)}"
        if parameter not in rows:
            yield (
                "moves",
                (
                    f"takes the diffusivity of {field} from {shown(parameter)}, which"
                    f" {unknown('parameter', parameter, rows)}"
                ),
            )


def _all(found: Any, kind: type) -> bool:
    return isinstance(found, (tuple, list)) and all(isinstance(x, kind) for x in found)


def number_like(x: Any) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool) and not math.isnan(x)
