"""Reads the text of a config: TOML, changed by `--set`, with its paths made absolute.

The meaning of the keys is not known here (see tables.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..utils.home import at_home
from ..utils.safe_toml import LONGEST, excess

PATHS = (
    ("section", "image"),
    ("section", "field_of_view"),
    ("initial", "from"),
    ("model", "from"),
    ("events", "file"),
)
NOT_A_PATH = ("circle",)  # a word that may stand where a path may


def read(
    path: Path, overrides: Sequence[str] = (), takes_text: Callable[[str], bool] = lambda key: False
) -> dict[str, Any]:
    """The tables of a config file after the overrides ("key.path=value").

    takes_text: says whether a key takes free text, which an override may leave without quotes whatever it
    looks like: title=2024. Paths in the file are relative to its folder, paths in overrides to the current
    one. Raises InputError for a file that is missing, unreadable or no TOML, and for an override that does
    not fit.
    """
    raw = _spelled_out(parse(path))
    _resolve(raw, path.parent.absolute())
    apply(raw, overrides, takes_text)
    return raw


def apply(
    raw: dict[str, Any], overrides: Sequence[str], takes_text: Callable[[str], bool] = lambda key: False
) -> None:
    """Apply overrides "key.path=value" in place. Relative paths are relative to the current folder."""
    for each in overrides:
        _apply(raw, each, takes_text)
        _spelled_out(raw)
    _resolve(raw, Path.cwd())


def override_key(override: str) -> str:
    """The key of an override: "section.seed" of "section.seed=2"."""
    return override.partition("=")[0].strip()


def parse(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises InputError for one that is missing, unreadable, too long or no TOML.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:  # some editors begin UTF-8 with a mark
            text = file.read(LONGEST + 1)
        if found := excess(text):
            raise InputError(
                f"{path}: the file has {found}, which is not a config. Give the TOML file that describes the"
                " run."
            )
        return tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. {_neighbours(path)}") from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: the file is not UTF-8 text. Save it as UTF-8, or give the TOML file that describes the"
            " run."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: the file cannot be read ({error.strerror}). Give the TOML file that describes the run."
        ) from None
    except RecursionError:
        raise InputError(
            f"{path}: it is nested too deep. Give the TOML file that describes the run."
        ) from None
    except ValueError as error:  # TOMLDecodeError, and of a number or date that Python does not take
        raise InputError(
            f"{path}: this is not valid TOML: {error}. Put text and quantities in quotes, for example "
            'spacing = "10 um", and give each key once.'
        ) from None


def _neighbours(path: Path) -> str:
    there = sorted(p.name for p in path.parent.glob("*.toml"))
    close = get_close_matches(path.name, there, 1)
    if close:
        return f"Did you mean {path.parent / close[0]}?"
    shown = f" {path.parent} holds {', '.join(there[:8])}." if there else ""
    return f"Give the path of a TOML file;{shown} `rdsolver example` lists those that come with rdsolver."


def _spelled_out(raw: dict[str, Any]) -> dict[str, Any]:
    """model = "FILE.py:NAME" is short for [model] with from = "FILE.py:NAME"; in place."""
    if isinstance(raw.get("model"), str):
        raw["model"] = {"from": raw["model"]}
    return raw


def _resolve(raw: dict[str, Any], folder: Path) -> None:
    """Make relative paths absolute, in place."""
    for name, key in PATHS:
        found = raw.get(name)
        for table in found if isinstance(found, list) else [found]:
            if isinstance(table, dict) and key in table:
                table[key] = absolute(f"{name}.{key}", table[key], folder)


def absolute(key: str, value: Any, folder: Path) -> Any:
    """The value of a key; where it is a path, made absolute from this folder."""
    parts = tuple(part for part in key.split(".") if not part.isdigit())
    a_path = parts in PATHS and isinstance(value, str) and value and value not in NOT_A_PATH
    return str(folder / at_home(value)) if a_path else value


def _apply(raw: dict[str, Any], override: str, takes_text: Callable[[str], bool]) -> None:
    """Apply one override in place."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise InputError(
            f"--set {override}: give a key and a value, for example --set section.seed=2 or --set"
            ' "dose.0.amount=1 mg/kg".'
        )
    key = key.strip()
    put(raw, key, value_of(text.strip(), takes_text(key)), f"--set {override}")


def put(raw: dict[str, Any], key: str, value: Any, said: str) -> None:
    """Set one dotted key in place. Tables and list entries on the way are made where they are missing.

    said: where the key was given, for a message.
    """
    parts = key.split(".")
    place: Any = raw
    for part, following in pairwise(parts):
        place = _step(place, part, [] if following.isdigit() else {}, said)
    _step(place, parts[-1], None, said)
    place[int(parts[-1]) if isinstance(place, list) else parts[-1]] = value


def _step(place: Any, part: str, fresh: Any, said: str) -> Any:
    """The entry `part` of a table or list; `fresh` is put there if it is missing."""
    if isinstance(place, dict):
        return place.setdefault(part, fresh)
    if not isinstance(place, list):
        raise InputError(f"{said}: {part!r} lies inside {place!r}, which is a value and holds no keys.")
    if not part.isdigit() or int(part) > len(place):
        raise InputError(
            f"{said}: {part!r} is not an index of a list of {len(place)}. Count from 0; {len(place)} adds"
            " one at"
            " the end."
        )
    if int(part) == len(place):
        place.append(fresh)
    return place[int(part)]


def value_of(text: str, free: bool = False) -> Any:
    """The TOML value that a text holds, or else the bare text: 2, true, ["1 d", "5 d"], 3 mg/kg.

    free: the key takes text, so that 2 is text too.
    """
    try:
        # so that a comment is no value, and is not dropped
        found = tomllib.loads(f"all = {{ value = {text} }}")
    except (ValueError, RecursionError):  # ValueError also of a number that Python does not take
        return text
    value = found["all"]["value"]
    more = len(found) > 1 or len(found["all"]) > 1
    return text if more or (free and not isinstance(value, str)) else value
