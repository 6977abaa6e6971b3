"""The keys that a table may have, and which of them take free text. Such a value is text whatever it looks
like, even where it is written without quotes (--set, a CSV file).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .tables import Table


def keys_at(root: type[Table], loc: tuple[Any, ...], raw: dict[str, Any]) -> dict[str, str]:
    """The keys of the table at `loc` below `root`, with their descriptions; empty where there is no table."""
    match loc:
        case ():
            table = root
        case (str(name),) | (str(name), int()) if name in root.model_fields:
            table = _table(root.model_fields[name].annotation, raw.get(name))
        case _:
            table = None
    return {f.alias or name: f.description or "" for name, f in table.model_fields.items()} if table else {}


def _table(kind: Any, written: Any) -> type[Table] | None:
    """The table behind the type of a key. Where the type allows several tables, the one whose kind is
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
    """True if a dotted key takes nothing but text, in every kind of table that it may be part of."""
    kinds: list[Any] = [table]
    for part in key.split("."):
        kinds = [each for kind in kinds for each in _inside(kind, part)]
    return str in kinds and set(kinds) <= {str, NoneType}


def _inside(kind: Any, part: str) -> Iterator[Any]:
    """The types that one part of a dotted key may have."""
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
