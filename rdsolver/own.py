"""A model of one's own: the Python file that a config names is executed here, and nowhere else.

    model = "my_model.py:MY_MODEL"

The object is a ReactionDiffusion, or is called without an argument to give one.
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

from .config_errors import Fault, shown, unknown
from .domain.where import Lives
from .errors import InputError, traced
from .models.base import Field, Parameter
from .models.pointwise import ReactionDiffusion
from .output.layout import SPECIAL
from .problem import Source

NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
LIVES = Lives.__args__


@dataclass(frozen=True)
class Own:
    """What came out of a user's file, and the file."""

    model: ReactionDiffusion
    source: Source


def parted(reference: str) -> tuple[str, str]:
    """ "folder/my_model.py:MY_MODEL" -> its file and the name in it; empty where one is missing."""
    file, colon, name = reference.rpartition(":")
    return (file, name) if colon and NAME.fullmatch(name) else (reference, "")


def load(reference: str) -> Own:
    """Execute a file and take the object that `reference` names, "FILE.py:NAME".

    Raises InputError for a file that is missing or fails, naming its line, and for an object that is no model or is incomplete.
    """
    file, name = parted(reference)
    if not name:
        raise InputError(f"= {shown(reference)} names no object. Give the file and the name of the model in it: {file}:MY_MODEL.")
    source = _read(file)
    found = _executed(source, name)
    if not isinstance(found, ReactionDiffusion) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"{name}() fails. {traced(error, file)}") from error
    if not isinstance(found, ReactionDiffusion):
        raise InputError(f"{file}: {name} is {_a(type(found).__name__)}. It must be a ReactionDiffusion, or a function that gives one.")
    if faults := list(_faults(found)):
        raise InputError(f"{file}: " + "; ".join(f"{name}.{key} {text}" for key, text in faults))
    return Own(found, source)


def _read(file: str) -> Source:
    try:
        return Source(file, Path(file).read_text(encoding="utf-8"))
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
        models = [k for k, v in vars(module).items() if isinstance(v, ReactionDiffusion)]
        there = f"It holds {', '.join(models)}." if models else "It holds no model: make a ReactionDiffusion of that name."
        raise InputError(f"{source.path} holds no {name}. {there}")
    return getattr(module, name)


def _faults(model: ReactionDiffusion) -> list[Fault]:
    """What a config needs of a model: complete, and with names that a run file can hold."""
    kinds = (
        ("unknowns", _all(model.unknowns, Field) and bool(model.unknowns), 'a tuple of Field, such as (Field("u", "1", 1.0, "density"),)'),
        ("rates", callable(model.rates), "a function of u, p and at"),
        ("moves", isinstance(model.moves, Mapping), 'a dictionary, such as {"u": "diffusivity"}'),
        ("parameters", _all(model.parameters, Parameter), "a tuple of Parameter"),
        ("initial", callable(model.initial) or isinstance(model.initial, Mapping), "a dictionary, or a function of where"),
        ("lives", model.lives in LIVES, f"one of {', '.join(LIVES)}"),
        ("time_unit", model.time_unit == "d", '"d", as a run from a config is in days: leave it out'),
    )
    if wrong := [(key, f"= {shown(getattr(model, key))} must be {what}.") for key, right, what in kinds if not right]:
        return wrong
    fields, rows = [f.name for f in model.unknowns], [p.name for p in model.parameters]
    return [*_names("unknowns", fields, SPECIAL), *_names("parameters", rows), *_numbers(model), *_moves(model, fields, rows)]


def _names(key: str, names: Sequence[str], taken: Sequence[str] = ()) -> Iterator[Fault]:
    for n in dict.fromkeys(names):
        if not (isinstance(n, str) and NAME.fullmatch(n)):
            yield key, f"hold {shown(n)}, which is no name. Take letters, digits and _."
        elif n in taken or names.count(n) > 1:
            yield key, f"hold {shown(n)}, which {'is taken' if n in taken else 'stands there twice'}. Give it another name."


def _numbers(model: ReactionDiffusion) -> Iterator[Fault]:
    for f in model.unknowns:
        if not (_number(f.scale) and 0 < f.scale < math.inf):
            yield "unknowns", f"give {f.name} the scale {f.scale!r}. It must be above 0: the typical size of the field."
    for p in model.parameters:
        if not (_number(p.value) and math.isfinite(p.value)):
            yield "parameters", f"give {p.name} the value {p.value!r}. It must be a number: it holds where a config gives none."
        elif not all(_number(x) for x in (p.low, p.high, p.minimum)) or not p.low <= p.high:
            yield "parameters", f"give {p.name} the range {p.low!r} to {p.high!r}, minimum {p.minimum!r}. They must be numbers in order."


def _moves(model: ReactionDiffusion, fields: Sequence[str], rows: Sequence[str]) -> Iterator[Fault]:
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
