"""A model of one's own: the Python file that a config names is executed here, and nowhere else.

    model = "my_model.py:MY_MODEL"

The object is a ReactionDiffusion, or is called without an argument to give one.
"""

from __future__ import annotations

import math
import re
import sys
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
    if not model.unknowns or not all(isinstance(f, Field) for f in model.unknowns):
        return [("unknowns", 'must be a tuple of one Field or more, such as (Field("u", "1", 1.0, "density"),).')]
    if not all(isinstance(p, Parameter) for p in model.parameters):
        return [("parameters", "must be a tuple of Parameter rows.")]
    fields, rows = [f.name for f in model.unknowns], [p.name for p in model.parameters]
    out: list[Fault] = []
    for key, names, taken in (("unknowns", fields, SPECIAL), ("parameters", rows, ())):
        for n in names:
            if not NAME.fullmatch(str(n)) or n in taken or names.count(n) > 1:
                why = "stands there twice" if names.count(n) > 1 else "is taken" if n in taken else "is no name (letters, digits and _)"
                out.append((key, f"hold {shown(n)}, which {why}."))
    out += [("unknowns", f"give {f.name} the scale {f.scale!r}. It must be above 0.") for f in model.unknowns if not _positive(f.scale)]
    for p in model.parameters:
        if not _finite(p.value):
            out.append(("parameters", f"give {p.name} the value {p.value!r}. It must be a finite number: what a config leaves out."))
    for field, parameter in model.moves.items():
        if field not in fields:
            out.append(("moves", f"names {shown(field)}, which {unknown('field', field, fields)}"))
        if parameter not in rows:
            out.append(
                ("moves", f"takes the diffusivity of {field} from {shown(parameter)}, which {unknown('parameter', parameter, rows)}")
            )
    if model.lives not in LIVES:
        out.append(("lives", f"= {shown(model.lives)} is not known. Allowed: {', '.join(LIVES)}."))
    if model.time_unit != "d":
        out.append(("time_unit", f"= {shown(model.time_unit)}, and a run from a config is in days. Leave it out."))
    return out


def _finite(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def _positive(x: Any) -> bool:
    return _finite(x) and x > 0


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"
