"""The tables of components as a config reads them: what each component declares
(models/bone/component_table.py) becomes a table as strict as the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from math import isfinite
from operator import or_
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from ..models.bone.component_table import ComponentTable, Key
from ..models.bone.components import NAMES, component
from .messages import Fault
from .tables import Quantity, Table


class DeclaredTable(Table):
    """The table of a component."""

    declaration: ClassVar[type[ComponentTable]]

    @property
    def declared(self) -> ComponentTable:
        """The values of its keys, in the class that the component declares."""
        return self.declaration(**{f.name: getattr(self, f.name) for f in fields(self.declaration)})  # pyright: ignore[reportArgumentType]

    def faults(self) -> Iterator[Fault]:
        yield from self.declared.faults(self.model_fields_set)


def read_as(declaration: type[ComponentTable]) -> type[DeclaredTable]:
    """The table that reads what a component declares."""
    keys: dict[str, Any] = {}
    hints = get_type_hints(declaration, include_extras=True)
    for f in fields(declaration):  # pyright: ignore[reportArgumentType]
        kind, key = get_args(hints[f.name])
        keys[f.name] = _bounded(kind, key), Field(default=f.default, description=key.description)
    table = create_model(declaration.__name__, __base__=DeclaredTable, __doc__=declaration.__doc__, **keys)
    table.declaration = declaration
    return table


def _bounded(kind: Any, key: Key) -> Any:
    """A type with the bounds and the unit of its key on every number in it."""
    if kind is float:
        return Annotated[float, Quantity(key.unit, key.above, key.least, key.most)]
    if kind is int:
        bounds = {"gt": key.above, "ge": key.least, "le": key.most}
        finite: dict[str, Any] = {k: int(x) for k, x in bounds.items() if isfinite(x)}
        return Annotated[int, Field(**finite)]
    if get_origin(kind) is list:
        return list[_bounded(get_args(kind)[0], key)]
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, (_bounded(option, key) for option in get_args(kind)))
    return kind


TABLES = {name: read_as(table) for name in NAMES if (table := component(name).table)}
"""By the name of the component, which is the key of its table."""
