"""The parts that every problem has, whatever its model."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..geometry.boundary_conditions import Border
from ..utils import checks
from .changes import Change
from .checks import several
from .output import Output
from .solver import Solver
from .source import Source


@dataclass(frozen=True, eq=False, kw_only=True)
class AnyProblem:
    """The data that a run needs beside its model, its place and its times.

    changes   parameters that change in time
    borders   open boundary conditions; all other sides are closed
    source    the user file that the model or extension came from
    config    the resolved input as JSON, kept in the output
    warnings  warnings about unusual but allowed input; shown when it runs, and kept in the output
    breaks    times at which the user's model or extension says that its rates jump, d
    """

    changes: tuple[Change, ...] = ()
    borders: tuple[Border, ...] = ()
    solver: Solver = field(default_factory=Solver)
    output: Output = field(default_factory=Output)
    source: Source | None = None
    title: str = ""
    config: str = "{}"
    warnings: tuple[str, ...] = ()
    breaks: tuple[float, ...] = field(init=False, default=())

    def _check_common(self) -> None:
        """Check the parts that every problem has, and convert them to their types, in place."""
        checks.settle(
            self,
            changes=several("changes", self.changes, Change),
            borders=several("borders", self.borders, Border),
        )
        checks.kind("solver", self.solver, Solver, "a Solver")
        checks.kind("output", self.output, Output, "an Output")
        if self.source is not None:
            checks.kind("source", self.source, Source, "a Source")
        checks.text("title", self.title)
