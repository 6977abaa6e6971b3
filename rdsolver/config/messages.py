"""Messages about a config: file, key, what was found, what is allowed, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import Fault as Fault
from ..errors import shortened, shown, unknown
from .toml import override_key

MOST_TOLD = 12
"""The most faults that one message tells."""

KeysAt = Callable[[tuple[Any, ...]], dict[str, str]]
"""The keys that the table at a location may have, with their descriptions."""


def message(file: str, faults: Iterable[Fault], overrides: Sequence[str]) -> str:
    """The message for these faults: a paragraph for each of the first few."""
    told = [
        f"{_where(file, key, overrides)}: {shortened(key)}{' ' if key else ''}{text}"
        for key, text in dict.fromkeys(faults)
    ]
    more = [f"... and {len(told) - MOST_TOLD} more."] if len(told) > MOST_TOLD else []
    return "\n\n".join([*told[:MOST_TOLD], *more])


def _where(file: str, key: str, overrides: Sequence[str]) -> str:
    set_by = [o for o in overrides if f"{key}.".startswith(f"{override_key(o)}.")]
    return f"{file} with --set {set_by[-1]}" if set_by else file


def faults(errors: Iterable[Any], keys_at: KeysAt) -> list[Fault]:
    """Pydantic's errors as faults."""
    out = []
    for error in errors:
        loc = (*error["loc"], "kind") if error["type"].startswith("union_tag") else _without_tag(error["loc"])
        if error["type"] == "faults":
            out += [
                (".".join(map(str, (*loc, *filter(None, [key])))), text)
                for key, text in error["ctx"]["faults"]
            ]
        else:
            out.append((".".join(map(str, loc)), _text(error, loc, keys_at)))
    return out


def _without_tag(loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """("section", "image", "voxel") -> ("section", "voxel"): pydantic puts the kind of a section into the
    path.
    """
    return (loc[0], *loc[2:]) if loc[:1] == ("section",) and len(loc) > 1 else loc


def _text(error: Any, loc: tuple[Any, ...], keys_at: KeysAt) -> str:
    found, context = shown(error["input"]), error.get("ctx", {})
    keys = keys_at(loc[:-1])
    match error["type"]:
        case "extra_forbidden":
            return unknown("key", str(loc[-1]), keys)
        case "missing":
            return f"is missing. {keys.get(loc[-1], '')}".rstrip()
        case "literal_error":
            return f"= {found} is not known. Allowed: {context['expected']}."
        case "union_tag_not_found":
            return f"is missing. {keys['kind']}"
        case "union_tag_invalid":
            text = unknown(
                "kind of section", context["tag"], context["expected_tags"].replace("'", "").split(", ")
            )
            return f"= {shown(context['tag'])} {text}"
        case "list_type" if isinstance(error["input"], dict):
            return f"is one table, and there may be several: write [[{loc[-1]}]] instead of [{loc[-1]}]."
        case "list_type":
            return f"= {found} is not a list. {keys.get(loc[-1], 'Put it in brackets.')}"
        case "string_type" if not isinstance(error["input"], dict | list):
            return f'= {found} is not text. Put text in quotes: {loc[-1]} = "{error["input"]}".'
        case "too_short" | "too_long":
            return f"= {found} has {context['actual_length']} entries. {keys.get(loc[-1], '')}".rstrip()
        case "model_type" | "model_attributes_type" | "dict_type":
            header = f"[[{loc[-2]}]]" if isinstance(loc[-1], int) else f"[{'.'.join(map(str, loc))}]"
            return f"= {found} is a value, but a table is needed here: {header} with its keys below it."
        case _:
            return f"= {found}: {error['msg'][0].lower()}{error['msg'][1:]}. {keys.get(loc[-1], '')}".rstrip()
