"""A model of one's own: the Python file that a config names is executed here, and nowhere else.

    model = "my_model.py:MY_MODEL"

The object is a ReactionDiffusion, a whole model, or an Extension of the bone model; or it is called without an argument to give one.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from . import config_checks
from .config_errors import Fault, shown, unknown
from .domain.where import Lives
from .errors import InputError, traced
from .models.base import Field, Parameter
from .models.bone.binders import LABELS, OPG, Binder, binder_parameters
from .models.bone.extension import Extension
from .models.bone.parameters import parameters
from .models.pointwise import ReactionDiffusion
from .output.layout import SPECIAL
from .problem import Source

NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
LIVES = Lives.__args__
KINDS = (ReactionDiffusion, Extension)
MEANS = ("occupancy", "free_rankl")  # whose mean_... the model has
FIELDS = (*config_checks.TAKEN, *MEANS)
ROWS = {"extension", *(p.name for p in parameters(tumour=True, bisphosphonate=True, membrane=True))}
"""Of the bone model, with all its parts: names that an extension cannot take."""


@dataclass(frozen=True)
class Own:
    """What came out of a user's file, a whole model or an extension of the bone model, and the file."""

    source: Source
    model: ReactionDiffusion | None = None
    extension: Extension | None = None


def parted(reference: str) -> tuple[str, str]:
    """ "folder/my_model.py:MY_MODEL" -> its file and the name in it; empty where one is missing."""
    file, colon, name = reference.rpartition(":")
    return (file, name) if colon and NAME.fullmatch(name) else (reference, "")


def load(reference: str, text: str | None = None) -> Own:
    """Execute a file and take the object that `reference` names, "FILE.py:NAME". text: of the file, as an earlier run kept it.

    Raises InputError for a file that is missing or fails, naming its line, and for an object that is no model or is incomplete.
    """
    file, name = parted(reference)
    if not name:
        raise InputError(f"= {shown(reference)} names no object. Give the file and the name of the model in it: {file}:MY_MODEL.")
    source = _read(file) if text is None else Source(file, text)
    found = _executed(source, name)
    if not isinstance(found, KINDS) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"{name}() fails. {traced(error, file)}") from error
    if not isinstance(found, KINDS):
        what = "It must be a ReactionDiffusion or an Extension, or a function that gives one."
        raise InputError(f"{file}: {name} is {_a(type(found).__name__)}. {what}")
    if faults := list(_faults(found)):
        raise InputError(f"{file}: " + "; ".join(f"{name}.{key} {text}" for key, text in faults))
    return Own(source, extension=found) if isinstance(found, Extension) else Own(source, model=found)


def _read(file: str) -> Source:
    try:
        return Source(file, Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{file} cannot be read ({reason}). Give the path from the config's folder.") from None


def _executed(source: Source, name: str) -> Any:
    """The object `name` of the file."""
    module = ModuleType(f"rdsolver_own_{source.hash[:12]}")
    module.__file__ = source.path
    sys.modules[module.__name__] = module  # dataclasses and pickles look there
    try:
        exec(compile(source.text, source.path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(f"the file fails. {traced(error, source.path)}") from error
    if not hasattr(module, name):
        models = [k for k, v in vars(module).items() if isinstance(v, KINDS)]
        there = f"It holds {', '.join(models)}." if models else "It holds no model: make a ReactionDiffusion of that name."
        raise InputError(f"{source.path} holds no {name}. {there}")
    return getattr(module, name)


def _faults(found: ReactionDiffusion | Extension) -> list[Fault]:
    """What a config needs of it: complete, and with names that a run file can hold."""
    own = 'a tuple of Field, such as (Field("u", "1", 1.0, "density"),)'
    kinds = [
        ("rates", callable(found.rates), "a function of u, p and at"),
        ("moves", isinstance(found.moves, Mapping), 'a dictionary, such as {"u": "diffusivity"}'),
        ("parameters", _all(found.parameters, Parameter), "a tuple of Parameter"),
    ]
    if isinstance(found, Extension):
        kinds += [
            ("unknowns", _all(found.unknowns, Field), own),
            ("binders", _all(found.binders, Binder), "a tuple of Binder"),
            ("start", isinstance(found.start, Mapping), 'a dictionary, such as {"u": 1.0}'),
            ("medium", found.medium in ("marrow", "cells"), '"marrow" or "cells"'),
        ]
    else:
        kinds += [
            ("unknowns", _all(found.unknowns, Field) and bool(found.unknowns), own),
            ("initial", callable(found.initial) or isinstance(found.initial, Mapping), "a dictionary, or a function of where"),
            ("lives", found.lives in LIVES, f"one of {', '.join(LIVES)}"),
            ("time_unit", found.time_unit == "d", '"d", as a run from a config is in days: leave it out'),
        ]
    if wrong := [(key, f"= {shown(getattr(found, key))} must be {what}.") for key, right, what in kinds if not right]:
        return wrong
    if isinstance(found, Extension) and (wrong := [*_binders(found)]):
        return wrong
    fields, rows = [f.name for f in found.unknowns], [p.name for p in found.parameters]
    taken, of_rows = SPECIAL, ()
    if isinstance(found, Extension):
        taken, of_rows = (
            (*FIELDS, *(n for b in found.binders for n in (b.name, b.complex))),
            (*ROWS, *(p.name for b in found.binders for p in binder_parameters(b))),
        )
    named = [*_names("unknowns", fields, taken), *_names("parameters", rows, of_rows)]
    started = _start(found) if isinstance(found, Extension) else ()
    return named or [*_numbers(found), *_moves(found, fields, rows), *started]


def _binders(extension: Extension) -> Iterator[Fault]:
    for b in extension.binders:
        if b.drug:
            yield (
                "binders",
                f"hold {b.name} with drug=True. What the tissue makes has drug=False; a drug is declared by [[agent]].",
            )
        if b.like not in (OPG.name, *LABELS):
            yield "binders", f"take {b.name} like {shown(b.like)}, which {unknown('preset', b.like, (OPG.name, *LABELS))}"
        if b.name in FIELDS or b.complex in FIELDS or not NAME.fullmatch(b.name) or [x.name for x in extension.binders].count(b.name) > 1:
            yield "binders", f"hold {shown(b.name)}, which is taken or no name. Give it another one."


def _start(extension: Extension) -> Iterator[Fault]:
    if extension.healthy and extension.start:
        yield "start", "is given, and healthy too: then it starts where the healthy baseline has it. Leave one of them out."
    for name, value in extension.start.items():
        if name not in extension.names:
            yield "start", f"names {shown(name)}, which {unknown('field', name, extension.names)}"
        elif not (_number(value) and (value >= 0 or any(f.signed for f in extension.unknowns if f.name == name))):
            yield "start", f"gives {name} the value {value!r}. It must be a number, at least 0 (else declare the field: signed=True)."


def _names(key: str, names: Sequence[str], taken: Sequence[str] = ()) -> Iterator[Fault]:
    for n in dict.fromkeys(names):
        if not (isinstance(n, str) and NAME.fullmatch(n)):
            yield key, f"hold {shown(n)}, which is no name. Take letters, digits and _."
        elif n in taken or names.count(n) > 1:
            yield key, f"hold {shown(n)}, which {'is taken' if n in taken else 'stands there twice'}. Give it another name."


def _numbers(model: ReactionDiffusion | Extension) -> Iterator[Fault]:
    for f in model.unknowns:
        if not (_number(f.scale) and 0 < f.scale < math.inf):
            yield "unknowns", f"give {f.name} the scale {f.scale!r}. It must be above 0: the typical size of the field."
    for p in model.parameters:
        if not (_number(p.value) and math.isfinite(p.value)):
            yield "parameters", f"give {p.name} the value {p.value!r}. It must be a number: it holds where a config gives none."
        elif not all(_number(x) for x in (p.low, p.high, p.minimum)) or not p.low <= p.high:
            yield "parameters", f"give {p.name} the range {p.low!r} to {p.high!r}, minimum {p.minimum!r}. They must be numbers in order."


def _moves(model: ReactionDiffusion | Extension, fields: Sequence[str], rows: Sequence[str]) -> Iterator[Fault]:
    for field, parameter in model.moves.items():
        if field not in fields:
            yield "moves", f"names {shown(field)}, which {unknown('field', field, fields)}"
        if parameter not in rows:
            yield "moves", f"takes the diffusivity of {field} from {shown(parameter)}, which {unknown('parameter', parameter, rows)}"


def _all(found: Any, kind: type) -> bool:
    return isinstance(found, (tuple, list)) and all(isinstance(x, kind) for x in found)


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and not math.isnan(x)


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"
