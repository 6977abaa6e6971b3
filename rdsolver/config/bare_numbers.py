"""Warnings for numbers without a unit where a quantity has one: they are read in the internal unit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from ..errors import shown
from ..units import bare
from .messages import Fault
from .tables import Quantity, Table
from .tree import Tree


def bare_numbers(config: Tree, raw: dict[str, Any]) -> Iterator[Fault]:
    """Yield (key, warning) for a config and the tables that it was read from."""
    yield from bare_in(config, raw)
    by_row = [
        (f"model.parameters.{name}", value, config.rows[name].unit)
        for name, value in config.model.parameters.items()
    ]
    for i, border in enumerate(config.border):
        unit = config.diffusing[border.field]
        by_row += [
            (f"border.{i}.value", border.value, unit),
            (f"border.{i}.flux", border.flux, f"{unit} um/d"),
        ]
    for key, value, unit in by_row:
        if value is not None:
            yield from _told(key, value, unit)


def bare_in(table: Table, raw: dict[str, Any]) -> Iterator[Fault]:
    """Yield (key, warning) for the quantities whose unit the tables themselves know."""
    for key, value, unit in _quantities(table, raw, ""):
        yield from _told(key, value, unit)


def _told(key: str, value: Any, unit: str) -> Iterator[Fault]:
    if any(bare(v, unit) for v in _all(value)):
        yield key, f"= {shown(value)} has no unit, and is taken in {unit}. Write: {_written(value, unit)}"


def _quantities(table: Table, raw: dict[str, Any], before: str) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value as it was written, and internal unit of every quantity in a table and below."""
    for name, field in type(table).model_fields.items():
        written, key = raw.get(field.alias or name), f"{before}{field.alias or name}"
        below = getattr(table, name)
        if isinstance(below, Table):
            yield from _quantities(below, written, f"{key}.") if isinstance(written, dict) else ()
        elif isinstance(below, list) and isinstance(written, list) and below and isinstance(below[0], Table):
            for i, (each, its) in enumerate(zip(below, written, strict=True)):
                yield from _quantities(each, its, f"{key}.{i}.")
        elif written is not None and (unit := _units(type(table)).get(name)):
            yield key, written, unit


@cache
def _units(table: type[Table]) -> dict[str, str]:
    """The unit of every key that is a quantity."""
    found = {name: next(_within((f.annotation, *f.metadata)), None) for name, f in table.model_fields.items()}
    return {name: quantity.unit for name, quantity in found.items() if quantity}


def _within(parts: tuple[Any, ...]) -> Iterator[Quantity]:
    for part in parts:
        if isinstance(part, Quantity):
            yield part
        yield from _within(get_args(part))


def _all(value: Any) -> Iterator[Any]:
    """Yield the value itself, or each one of a list or of a list of lists."""
    for each in value if isinstance(value, list) else (value,):
        yield from _all(each) if isinstance(each, list) else (each,)


def _written(value: Any, unit: str) -> str:
    """The value as it should be written, with the first few of a list."""
    if isinstance(value, list):
        return f"[{', '.join(_written(v, unit) for v in value[:3])}{', ...' if len(value) > 3 else ''}]"
    return (
        f'"{value} {unit.removeprefix("1") if unit.startswith("1/") else unit}"'
        if bare(value, unit)
        else shown(value)
    )
