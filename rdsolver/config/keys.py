"""What may stand at a key: the keys that a table may have, and which of them are free text, so that what
stands there without quotes (--set, a CSV file) is text whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .tables import Table


def keys_at(root: type[Table], loc: tuple[Any, ...], raw: dict[str, Any]) -> dict[str, str]:
    """The keys of the table at `loc` below `root`, with their meanings; none where no table stands."""
    match loc:
        case ():
            table = root
        case (str(name),) | (str(name), int()) if name in root.model_fields:
            table = _table(root.model_fields[name].annotation, raw.get(name))
        case _:
            table = None
    return {f.alias or name: f.description or "" for name, f in table.model_fields.items()} if table else {}


def _table(kind: Any, written: Any) -> type[Table] | None:
    """The table where a key has this type, or a list of it; where it has several, the one of the kind that is
    written.
    """
    if isinstance(kind, type) and issubclass(kind, Table):
        return kind
    tables = [table for k in get_args(kind) if (table := _table(k, written))]
    of_kind = written.get("kind") if isinstance(written, dict) else None
    named = (
        table
        for table in tables
        if "kind" in table.model_fields and of_kind in get_args(table.model_fields["kind"].annotation)
    )
    return next(named, tables[0] if tables else None)


def takes_text(table: type[BaseModel], key: str) -> bool:
    """Whether nothing but text may stand at a dotted key, in every kind of table that it may lie in."""
    kinds: list[Any] = [table]
    for part in key.split("."):
        kinds = [each for kind in kinds for each in _inside(kind, part)]
    return str in kinds and set(kinds) <= {str, NoneType}


def _inside(kind: Any, part: str) -> Iterator[Any]:
    """What may stand at one part of a key."""
    if get_origin(kind) is list and part.isdigit():
        yield from _kinds(get_args(kind)[0])
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from (
            each
            for name, f in kind.model_fields.items()
            if part == (f.alias or name)
            for each in _kinds(f.annotation)
        )


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        yield from (each for option in get_args(annotation) for each in _kinds(option))
    else:
        yield annotation
