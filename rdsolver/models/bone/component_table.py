"""The table that a component may have in a config: declared beside the component, in plain Python.

The config reads such a table as strictly as its own (config/component_tables.py).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ...errors import Fault


@dataclass(frozen=True)
class Key:
    """One key of a table.

    description         its description, for editors and messages
    unit                the unit of every float in its value ("1": none); text with a unit is read into it
    above, least, most  bounds of every number in its value, `above` exclusive
    """

    description: str
    unit: str = "1"
    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf


class ComponentTable:
    """The values of a component's table. A subclass is a frozen dataclass; each field is
    `Annotated[type, Key(...)]` and has a default, and its docstring describes the table.
    """

    def faults(self, given: Collection[str]) -> Iterator[Fault]:
        """Yield (key, what is wrong) where keys contradict each other. given: the keys that are written."""
        yield from ()

    @property
    def idle(self) -> tuple[str, ...]:
        """The keys that have no effect with these values."""
        return ()

    @property
    def seeds(self) -> tuple[str, ...]:
        """The keys of seeds of what is drawn at random."""
        return ()

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets whose parameter values become the defaults."""
        return ()
