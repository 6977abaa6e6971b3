"""Reads and checks a Config, from a file, from tables or from a run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..errors import InputError
from ..utils import checks
from ..utils.home import at_home
from ..utils.path_kinds import expect
from . import keys, messages, toml
from .bare_numbers import bare_numbers
from .config import Config
from .tree import CONFIG_SCHEMA

if TYPE_CHECKING:
    from ..output.reader import Run
    from .user_file import UserModel


def load_config(path: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Config:
    """Read and check a config. Nothing is computed.

    overrides: changes "key.path=value", for example "section.seed=2" or "dose.0.amount=1 mg/kg", applied
    before anything is checked. allow_python: permission to execute the Python file that the config names.
    Raises InputError with one paragraph for each fault.
    """
    path = at_home(path)
    expect(path, "config")
    overrides = checks.several(
        "overrides", overrides, checks.text, 'a list of changes, such as ["section.seed=2"]'
    )
    return _checked(toml.read(path, overrides, takes_text), str(path), overrides, allow_python)


def takes_text(key: str) -> bool:
    """True if a dotted key of a config takes free text, such as title or section.image."""
    return keys.takes_text(Config, key)


def config_from(tables: dict[str, Any], source: str, allow_python: bool = False) -> Config:
    """The config that these tables make, with absolute paths. source: their name in messages.

    Raises InputError as load_config does.
    """
    return _checked(tables, source, (), allow_python)


def config_of(run: Run, allow_python: bool = False, moved: Sequence[str] = ()) -> Config:
    """The config that a run file holds, checked again. A user model is taken as the run file has saved it,
    not as it may be now.

    moved: "section.image=FILE", the present location of a file that the config names. Raises InputError when
    the section came from Python, for a key that names no file, for a file that is gone, and for a file other
    than the one that the run was made with.
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
"""Keys of the files that a run needs and may not have saved."""


def _find(tables: dict[str, Any], run: Run, moved: Sequence[str]) -> None:
    """Put, in place, the present location of each file into the tables of a run."""
    for said in moved:
        if toml.override_key(said) not in FILES:
            raise InputError(
                f"--set {said}: a run is resumed or repeated unchanged. Only the new location of a file can"
                f" be given: {', '.join(FILES)}. To change values, run its config: rdsolver run CONFIG"
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
                f'{run.path}: section.{key} = "{path}": there is no such file. It existed when the run'
                f" began. Give its new location: --set section.{key}=FILE."
            )
        if (found := sha256(Path(path))) != expected:
            raise InputError(
                f'{run.path}: section.{key} = "{path}" is not the file that the run was made with: its'
                f" SHA-256 is {found[:12]}, that of "
                f"the run's {expected[:12]}. Give the location of that file: --set section.{key}=FILE; for"
                " another image, start a new run from a config."
            )


def _checked(
    raw: dict[str, Any], file: str, overrides: Sequence[str], allow_python: bool, text: str | None = None
) -> Config:
    written = raw.get("schema")
    if isinstance(written, int) and written > CONFIG_SCHEMA:
        raise InputError(
            f"{file}: schema = {written} is newer than this rdsolver reads, {CONFIG_SCHEMA}. Upgrade rdsolver"
            " to use it."
        )
    user = _user_model(raw, file, allow_python, text)
    try:
        config = Config.model_validate(raw, context={"user": user})
    except ValidationError as error:
        found = messages.faults(error.errors(), lambda loc: keys.keys_at(Config, loc, raw))
        raise InputError(messages.message(file, found, overrides)) from None
    return config.read_from(file, tuple(bare_numbers(config, raw)) if config.units is None else ())


def _user_model(raw: dict[str, Any], file: str, allowed: bool, text: str | None) -> UserModel | None:
    """The user model of a config; None where it names no Python file. Nothing is executed unless allowed.

    text: the text of that file, where a run has saved it.
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
