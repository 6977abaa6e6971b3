"""Which keys of a table are free text, so that what stands there without quotes (--set, a CSV file) is text
whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


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
