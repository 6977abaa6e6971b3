"""A config: the tables of a file, the file that they come from, what is to be said of them, and the way to a
Problem.

load.py makes it. toml.py reads the text, tables.py, sections.py and component_tables.py hold the tables,
tree.py all of them, validation.py says what a whole run must satisfy, build.py makes a Problem of it, and
messages.py puts what is wrong into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, PrivateAttr, create_model

from ..geometry.section import Section
from ..problem import ModelProblem, Problem
from . import build, validation
from .component_tables import TABLES
from .messages import Fault
from .tree import Tree

if TYPE_CHECKING:
    AllTables = Tree
else:  # with a table for each component that declares one
    AllTables = create_model(
        "AllTables",
        __base__=Tree,
        **{n: (t | None, Field(None, description=t.__doc__)) for n, t in TABLES.items()},
    )


class Config(AllTables):
    """A config that has been read and checked. `load_config` makes one."""

    _file: str = PrivateAttr("config")
    _bare: tuple[Fault, ...] = PrivateAttr(())

    def faults(self) -> Iterator[Fault]:
        yield from validation.faults(self)

    def read_from(self, file: str, bare: tuple[Fault, ...]) -> Config:
        """Note, in place, the file that this config was read from and its numbers without a unit."""
        self._file, self._bare = file, bare
        return self

    @property
    def bare(self) -> tuple[Fault, ...]:
        """The keys of numbers that could have a unit and are written without one. Empty where the key `units`
        says which unit they have.
        """
        return self._bare

    @property
    def warnings(self) -> list[str]:
        """Warnings of all that is unusual and yet allowed."""
        return [f"{self._file}: {key} {text}" for key, text in (*self._bare, *validation.warnings(self))]

    def problem(
        self, section: Section | np.ndarray | None = None, kept: Section | None = None
    ) -> Problem | ModelProblem:
        """The run that this config describes, in plain objects and internal units.

        section: a Section, or an array of bone fractions on the config's spacing, (z, y, x) or (y, x), in
        place of the config's own. kept: the config's section as an earlier run has saved it. Raises
        InputError when the section cannot be built.
        """
        return build.problem(self, self._file, self.warnings, section, kept)

    def resolved(self) -> dict[str, Any]:
        """The config with all defaults filled in, in internal units. It is a valid config itself."""
        return build.resolved(self)
