"""User models: the Python file that a config names is executed here, and nowhere else.

    model = "my_model.py:MY_MODEL"

The object is a ReactionDiffusion, a whole model, or an Extension of the bone model; or it is called without
an argument to give one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError, shown, traced
from ..models.bone.extension import Extension
from ..models.pointwise import ReactionDiffusion
from ..problem import Source, model_checks
from ..utils.checks import NAME

KINDS = (ReactionDiffusion, Extension)

_shared: dict[tuple[str, str, str], Any] | None = None  # objects by path and text of the file, and name


def share_models() -> None:
    """From now on, the same file is executed once in this process, so that runs share compiled programs."""
    global _shared
    _shared = {} if _shared is None else _shared


@dataclass(frozen=True)
class UserModel:
    """The object from a user's file, a whole model or an extension of the bone model, and the file itself."""

    source: Source
    model: ReactionDiffusion | None = None
    extension: Extension | None = None


def split_reference(reference: str) -> tuple[str, str]:
    """The file and the name in "folder/my_model.py:MY_MODEL". The name is empty where it is missing."""
    file, colon, name = reference.rpartition(":")
    return (file, name) if colon and NAME.fullmatch(name) else (reference, "")


def load(reference: str, text: str | None = None) -> UserModel:
    """Execute a file and return the object that `reference` names, "FILE.py:NAME". text: the text of the file
    as an earlier run has saved it.

    Raises InputError for a file that is missing or fails, naming its line, and for an object that is no model
    or is incomplete.
    """
    file, name = split_reference(reference)
    if not name:
        raise InputError(
            f"= {shown(reference)} names no object. Give the file and the name of the model in it:"
            f" {file}:MY_MODEL."
        )
    source = _read(file) if text is None else Source(file, text)
    key = source.path, source.text, name
    found = _executed(source, name) if _shared is None or key not in _shared else _shared[key]
    if not isinstance(found, KINDS) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"{name}() fails. {traced(error, file)}") from error
    if not isinstance(found, KINDS):
        what = "It must be a ReactionDiffusion or an Extension, or a function that gives one."
        raise InputError(f"{file}: {name} is {_a(type(found).__name__)}. {what}")
    if faults := list(model_checks.faults(found, isinstance(found, Extension))):
        raise InputError(f"{file}: " + "; ".join(f"{name}.{key} {text}" for key, text in faults))
    if _shared is not None:
        _shared[key] = found
    return (
        UserModel(source, extension=found) if isinstance(found, Extension) else UserModel(source, model=found)
    )


def _read(file: str) -> Source:
    try:
        return Source(file, Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(
            f"{file} cannot be read ({reason}). Give the path from the config's folder."
        ) from None


def _executed(source: Source, name: str) -> Any:
    """Execute the file and return its object `name`."""
    module = ModuleType(f"rdsolver_own_{source.hash[:12]}")
    module.__file__ = source.path
    sys.modules[module.__name__] = module  # dataclasses and pickles look there
    try:
        exec(compile(source.text, source.path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(f"the file fails. {traced(error, source.path)}") from error
    if not hasattr(module, name):
        models = [k for k, v in vars(module).items() if isinstance(v, KINDS)]
        there = (
            f"It holds {', '.join(models)}."
            if models
            else "It holds no model: make a ReactionDiffusion of that name."
        )
        raise InputError(f"{source.path} holds no {name}. {there}")
    return getattr(module, name)


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"
