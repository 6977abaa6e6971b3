"""One run, described in plain objects: what a config is turned into and what the simulation takes.

Nothing in here needs pydantic or pint, so a run can be set up in Python on a machine that has neither.
All numbers are in internal units (um, d, nM, cells/mm3, mg/kg).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import InputError, RdsolverError, RunError, traced
from ..geometry.boundary_conditions import Border
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..geometry.subdomain import Where, solved
from ..geometry.tumour_seeding import Nests
from ..models.base import Field, Parameter
from ..models.bone.binders import Binder
from ..models.bone.parameters import parameters
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose, Treatment
from ..utils import checks
from ..utils.instants import Instants
from ..utils.safe_files import host_memory as host_memory
from . import checks as problem_checks
from .changes import Change, in_force

if TYPE_CHECKING:
    from ..models.bone.extension import Extension
    from ..models.pointwise import ReactionDiffusion


# round-off of a step, relative to the scales, with a digit to spare
LEAST_TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
MOST_TOLERANCE = 0.1


Integrator = Literal["auto", "tr-bdf2", "rkc2", "etdrk4"]
INTEGRATORS = (*Integrator.__args__, "etdrk2")
"""The last one in Python alone, for comparison."""


@dataclass(frozen=True)
class Solver:
    integrator: Integrator = "auto"
    tolerance: float = 1e-3
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"  # cpu | gpu | gpu:N
    max_steps: int | None = None  # accepted ones, before the run fails
    longest_step: float | None = None  # d; None: what the error of a step allows

    def __post_init__(self) -> None:
        checks.word("solver.integrator", self.integrator, INTEGRATORS)
        checks.word("solver.precision", self.precision, tuple(LEAST_TOLERANCE))
        checks.text("solver.device", self.device)
        steps = None if self.max_steps is None else checks.whole("solver.max_steps", self.max_steps, 1)
        longest = (
            self.longest_step
            if self.longest_step is None
            else checks.number("solver.longest_step", self.longest_step, "d", above=0)
        )
        checks.settle(
            self,
            tolerance=checks.number("solver.tolerance", self.tolerance),
            max_steps=steps,
            longest_step=longest,
        )
        if not LEAST_TOLERANCE[self.precision] <= self.tolerance <= MOST_TOLERANCE:
            least = LEAST_TOLERANCE[self.precision]
            more = (
                f' (down to {LEAST_TOLERANCE["float64"]:g} with precision = "float64").'
                if self.precision == "float32"
                else "."
            )
            raise InputError(
                f"solver.tolerance = {self.tolerance:g} in {self.precision} is out of reach. Allowed:"
                f" {least:g} to {MOST_TOLERANCE:g}{more}"
            )


@dataclass(frozen=True)
class Output:
    """What is saved: fields (None: all), every stride-th cell of the crop (index ranges, one (start, stop) an
    axis).
    """

    fields: tuple[str, ...] | None = None
    stride: int = 1
    crop: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        names, ranges = 'a list of names, such as ("rankl", "bone")', "one (start, stop) an axis, in cells"
        span = partial(checks.several, one=checks.whole, what="a start and a stop")
        checks.settle(
            self,
            fields=(
                None
                if self.fields is None
                else checks.several("output.fields", self.fields, checks.text, names)
            ),
            stride=checks.whole("output.stride", self.stride, 1),
            crop=None if self.crop is None else checks.several("output.crop", self.crop, span, ranges),
        )


@dataclass(frozen=True)
class Source:
    """The Python file that a model came from, and its text as it was executed."""

    path: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Problem:
    """Everything that one run needs.

    tissue      "bone", or one of models.bone.tissue.TISSUES: then the section's bone is the share of target tissue
    extension   what is added to the bone model; source: the file it came from
    agents      the drugs whose fields the run carries
    doses       in the order of time; treatments: doses that wait for a lesion
    parameters  a value for each of `rows`
    end         d
    save        times of saved states, d, increasing, within [0, end]
    bisphosphonate  whether one may be given; membrane: whether part of RANKL stays on cells
    tumour      where it begins, on day 0; None: there is none, and the run carries no field of it
    borders     conditions where something passes; all else is closed
    initial     run.h5 of the run that this one goes on from
    config      the resolved input as JSON, kept in the output
    warnings    what is unusual in the input and yet allowed; told when it runs, and kept in the output
    breaks      times at which the extension says that its rates jump, d

    Times that are the same but for rounding are made the same (instants.py).
    """

    section: Section
    parameters: dict[str, float]
    end: float
    save: tuple[float, ...]
    preset: str = "human"
    tissue: str = "bone"
    extension: Extension | None = None
    source: Source | None = None
    agents: tuple[Binder, ...] = ()
    doses: tuple[Dose, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    changes: tuple[Change, ...] = ()
    bisphosphonate: bool = False
    membrane: bool = False
    tumour: Nests | None = None
    borders: tuple[Border, ...] = ()
    solver: Solver = field(default_factory=Solver)
    output: Output = field(default_factory=Output)
    initial: Path | None = None
    title: str = ""
    config: str = "{}"
    warnings: tuple[str, ...] = ()
    breaks: tuple[float, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        problem_checks.of_bone(self)
        declared = breaks_of(self.extension, self.parameters, self.changes) if self.extension else ()
        instant = _at_instants(self, declared, [d.time for d in self.doses])
        doses = (replace(d, time=instant(d.time)) for d in self.doses)
        checks.settle(self, doses=tuple(sorted(doses, key=lambda dose: dose.time)))

    @property
    def grid(self) -> Grid:
        return self.section.grid

    @property
    def rows(self) -> tuple[Parameter, ...]:
        """What the run's parameters are."""
        added = self.extension.rows if self.extension else ()
        return parameters(
            self.agents, self.tumour is not None, self.bisphosphonate, self.membrane, self.tissue, added
        )


def breaks_of(
    model: ReactionDiffusion | Extension, values: Mapping[str, float], changes: tuple[Change, ...]
) -> tuple[float, ...]:
    """Times at which a model declares that its rates may jump, d, increasing; also such as changes of its
    parameters bring about.

    Raises InputError when what it declares are no such times.
    """
    if not callable(model.breaks):
        return _times(model.name, model.breaks)
    found: set[float] = set()
    for t in (-1.0, *(t for c in changes for t in (c.start, c.end))):
        try:
            times = model.breaks(in_force(values, changes, t))
        except Exception as error:
            raise InputError(
                f"the break times of {model.name} fail. {traced(error, file_of(model.breaks))}"
            ) from error
        found |= {*_times(model.name, times)}
    return tuple(sorted(found))


def _times(name: str, given: Any) -> tuple[float, ...]:
    try:
        times = np.asarray(given, float)
    except (TypeError, ValueError):
        times = np.asarray(np.nan)
    if times.ndim != 1 or np.isnan(times).any() or len(times) > MOST_BREAKS:
        raise InputError(
            f"the break times of {name} are {given!r:.200}. They must be a list of times in its unit, at most"
            f" {MOST_BREAKS:,} of them."
        )
    return tuple(float(t) for t in np.unique(times))


def _at_instants(
    problem: Problem | ModelProblem, breaks: Sequence[float], doses: Sequence[float] = ()
) -> Instants:
    """The instants of a run, from all its times.

    Saved times, changes and break times are moved to theirs, in place.

    Raises InputError for a change that begins and ends at one.
    """
    times = [t for c in problem.changes for t in (c.start, c.end)]
    instant = Instants(problem.end, [*times, *problem.save, *breaks, *doses])
    changes = tuple(replace(c, start=instant(c.start), end=instant(c.end)) for c in problem.changes)
    for c, given in zip(changes, problem.changes, strict=True):
        if c.start == c.end:
            raise InputError(
                f"the change of {c.parameter} begins at {given.start!r} and ends at {given.end!r}, "
                f"which is one instant of a run of {problem.end:g}. Let it last longer, or leave it out."
            )
    save, breaks = (tuple(sorted({instant(t) for t in times})) for times in (problem.save, breaks))
    checks.settle(problem, changes=changes, save=save, breaks=breaks)
    return instant


MOST_BREAKS = 100_000
"""Times at which the rates of a model jump; more is a slip."""

START_SEED = 1  # of a random initial state, where no other is given


@dataclass(frozen=True, eq=False)
class ModelProblem:
    """Any model on a box, from a given state; times and lengths in the model's own units (in a run file: d
    and um).

    parameters  a value for each of the model's
    initial     of each field a number or an array on the grid (a field left out starts at 0); or the run.h5 to go on from
    active      True in the cells that are solved (None: all); nothing passes into the others, except through borders
    medium      relative mobility of each cell, in (0, 1] or any positive scale (None: 1)
    arrays      further cell arrays that the model's rates read by name
    record      how the place was made, for the output
    section     that place, where it is one
    source      the file the model came from
    breaks      times at which the model says that its rates jump

    Times that are the same but for rounding are made the same (instants.py).
    """

    model: ReactionDiffusion
    grid: Grid
    parameters: Mapping[str, float]
    initial: Mapping[str, float | np.ndarray] | Path
    end: float
    save: tuple[float, ...] = ()
    active: np.ndarray | None = None
    medium: np.ndarray | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    borders: tuple[Border, ...] = ()
    solver: Solver = field(default_factory=Solver)
    changes: tuple[Change, ...] = ()
    output: Output = field(default_factory=Output)
    record: Mapping[str, Any] = field(default_factory=dict)
    section: Section | None = None
    title: str = ""
    config: str = "{}"
    warnings: tuple[str, ...] = ()
    source: Source | None = None
    breaks: tuple[float, ...] = field(init=False, default=())

    @classmethod
    def on(
        cls,
        section: Section,
        model: ReactionDiffusion,
        end: float,
        *,
        parameters: Mapping[str, float] | None = None,
        initial: Path | None = None,
        seed: int = START_SEED,
        **rest: Any,
    ) -> ModelProblem:
        """A model on a section: where it lives, from its own initial state, with its own values but for
        `parameters`.

        seed: of a random initial state. Raises InputError when no cell is where it lives, or its initial
        state fails.
        """
        active = solved(section, model.lives)
        values = {p.name: p.value for p in model.parameters} | dict(parameters or {})
        start = initial or _started(model, Where.of(section, active, seed))
        record = section.record | {"lives": model.lives} | ({} if initial else {"start_seed": seed})
        bone = {"bone": np.where(section.active, section.bone, 0.0)}
        return cls(
            model,
            section.grid,
            values,
            start,
            end,
            active=active,
            arrays=bone,
            record=record,
            section=section,
            **rest,
        )

    def __post_init__(self) -> None:
        problem_checks.of_model(self)
        _at_instants(self, breaks_of(self.model, self.parameters, self.changes))

    @property
    def mask(self) -> np.ndarray:
        """True in the cells that are solved."""
        return np.ones(self.grid.shape, bool) if self.active is None else self.active

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.model.fields(self.parameters)


def _started(model: ReactionDiffusion, where: Where) -> Mapping[str, float | np.ndarray]:
    """The initial state that a model says."""
    if not callable(model.initial):
        return model.initial
    try:
        return model.initial(where)
    except Exception as error:
        raise InputError(
            f"the initial state of {model.name} fails. {traced(error, file_of(model.initial))}"
        ) from error


def file_of(function: Any) -> str:
    """The file in which a function stands, or what a partial one or a callable object is made of."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return type(function).__name__ if code is None else code.co_filename


ARRAYS_PER_FIELD, ARRAYS_MORE = 16, 60
"""Whole-grid arrays alive in an implicit stage, per field and besides; measured as peak memory of whole runs
(docs/numerics.md).
"""


def memory_needed(cells: int, fields: int, precision: str) -> int:
    """Estimate of the bytes a run takes at most."""
    return cells * (ARRAYS_PER_FIELD * fields + ARRAYS_MORE) * (8 if precision == "float64" else 4)


EXHAUSTED = re.compile("RESOURCE_EXHAUSTED|out.of.memory|bad_alloc", re.IGNORECASE)
"""How JAX says that there was no room; the kind of its error does not tell."""
LESS = "Use a coarser section.spacing, a smaller section.size or crop, or float32."


def check_memory(cells: int, fields: int, precision: str, free: int | None) -> None:
    """Raises InputError when a run would not fit into `free` bytes (None: unknown, not checked)."""
    need = memory_needed(cells, fields, precision)
    if free is not None and need > free:
        raise InputError(
            f"section: {cells:,} cells with {fields} fields in {precision} need about {need / 2**30:.1f} GiB"
            f" of memory, and {free / 2**30:.1f} GiB are free. {LESS}"
        )


@contextmanager
def enough_memory(cells: int, fields: int, precision: str) -> Iterator[None]:
    """Raises RunError where NumPy or JAX finds no room for an array after all."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RdsolverError) or not (
            isinstance(error, MemoryError) or EXHAUSTED.search(str(error))
        ):
            raise
        need = memory_needed(cells, fields, precision)
        raise RunError(
            f"there was no more memory: {cells:,} cells with {fields} fields in {precision} need about"
            f" {need / 2**30:.2g} GiB. What was saved before is kept. Free some and resume the run, or begin"
            f" a smaller one. {LESS}"
        ) from error


SOLVES_AT_START, SOLVES_A_JUMP = 40, 150  # stage solves measured: 172 with one dose, 684 with four in a year


def expected_solves(problem: Problem) -> int:
    """Estimate of the stage solves of a run, by tr-bdf2 at tolerance 1e-3."""
    jumps = {d.time for d in problem.doses} | {
        t for c in problem.changes for t in (c.start, c.end) if t < problem.end
    }
    return SOLVES_AT_START + SOLVES_A_JUMP * len(jumps)


def describe_doses(problem: Problem) -> str:
    """The doses in words, e.g. "RANK-Fc 3 mg/kg sc at 20 d"."""
    labels = {a.name: a.label for a in problem.agents} | {BISPHOSPHONATE: BISPHOSPHONATE}
    groups: dict[tuple[str, float, str, str], list[float]] = {}
    for since, doses in (
        ("", problem.doses),
        *((f" after a lesion of {t.lesion:g} mm2", t.doses) for t in problem.treatments),
    ):
        for d in doses:
            groups.setdefault((d.agent, d.amount, d.route, since), []).append(d.time)
    return "; ".join(
        f"{labels[agent]} {amount:g} mg/kg {route} at"
        f" {', '.join(f'{t:g}' for t in times[:4])}{' ...' if len(times) > 4 else ''} d{since}"
        for (agent, amount, route, since), times in groups.items()
    )
