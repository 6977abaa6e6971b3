"""The problem of one run of any other model, in plain objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, file_of, shown, traced
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..geometry.subdomain import Where, solved
from ..models.base import Field
from ..utils import checks
from .base import AnyProblem
from .checks import check_borders, check_changes, check_parameters, check_times, check_user_model
from .fields import model_diffusing
from .output import check_output
from .times import at_instants, breaks_of

if TYPE_CHECKING:
    from ..models.pointwise import ReactionDiffusion

START_SEED = 1  # seed of a random initial state, where no other is given


@dataclass(frozen=True, eq=False)
class ModelProblem(AnyProblem):
    """Any model on a box, from a given state.

    Times and lengths are in the model's own units (in a run file: d and um).

    parameters  a value for each parameter of the model
    initial     for each field a number or an array on the grid (a field left out starts at 0); or the run.h5
                from which to continue
    active      True in the cells that are solved (None: all); nothing passes into the others, except through
                borders
    medium      relative mobility of each cell, in (0, 1] or any positive scale (None: 1)
    arrays      further cell arrays that the model's rates read by name
    record      record of how the place was made, for the output
    section     the section, if the place is one

    Times that differ only by rounding are made equal (instants.py).
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
    _: KW_ONLY
    record: Mapping[str, Any] = field(default_factory=dict)
    section: Section | None = None

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
        """The problem of a model on a section.

        The model is solved in the cells of `lives`, from its own initial state, with its own values except
        for `parameters`. seed: the seed of a random initial state. Raises InputError when there is no such
        cell, or the initial state fails.
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
        self._check()
        declared = breaks_of(self.model, self.parameters, self.changes)
        _, found = at_instants(self.end, self.changes, self.save, declared)
        checks.settle(self, **found)

    def _check(self) -> None:
        """Check every value, and convert it to its type, in place."""
        checks.kind("grid", self.grid, Grid, "a Grid")
        shape = self.grid.shape
        check_user_model(self.model, extends=False)
        self._check_common()
        end, save = check_times(self.end, self.save)
        checks.settle(self, end=end, save=save)
        rows = {r.name: r for r in self.model.parameters}
        needed = {*rows, *self.model.moves.values()}
        checks.settle(self, parameters=check_parameters(self.parameters, rows, needed, self.model.name))
        if self.active is not None:
            checks.settle(self, active=checks.mask("active", self.active, shape))
            if not np.any(self.active):
                raise InputError("active holds no cell, so there is nothing to solve on.")
        if self.medium is not None:
            checks.cells("medium", self.medium, shape, self.active, least=0)
        for name in checks.named(
            "arrays", self.arrays, lambda key, value: checks.either(key, value, shape, self.active)
        ):
            if name in ("time", "active", *self.model.inputs):
                raise InputError(
                    f"arrays holds {shown(name)}, which is taken: rates read it already. Give it another"
                    " name."
                )
        changing = rows or dict.fromkeys(self.parameters)
        check_changes(self.changes, self.end, self.parameters, changing, {}, None)
        signed = {f.name for f in self.model.unknowns if f.signed}
        check_borders(self.borders, model_diffusing(self.model), signed, self.grid, self.mask)
        check_output(self.output, tuple(f.name for f in self.model.unknowns), self.grid)
        if isinstance(self.initial, str):
            checks.settle(self, initial=Path(self.initial))
        if not isinstance(self.initial, Path):
            check_start(self, self.initial)

    @property
    def mask(self) -> np.ndarray:
        """True in the cells that are solved."""
        return np.ones(self.grid.shape, bool) if self.active is None else self.active

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.model.fields(self.parameters)


def _started(model: ReactionDiffusion, where: Where) -> Mapping[str, float | np.ndarray]:
    """The initial state that a model declares."""
    if not callable(model.initial):
        return model.initial
    try:
        return model.initial(where)
    except Exception as error:
        raise InputError(
            f"the initial state of {model.name} fails. {traced(error, file_of(model.initial))}"
        ) from error


def check_start(p: ModelProblem, start: Any) -> None:
    """Check an initial state: its fields are the model's, fit the grid, are finite, and densities are not
    negative.
    """
    name = f"the initial state of {p.model.name}"
    fields = {f.name: f for f in p.fields}
    if not isinstance(start, Mapping):
        raise InputError(
            f"{name} is of type {type(start).__name__}. It must be a dictionary of fields:"
            f" {', '.join(fields)}."
        )
    if none := sorted(map(str, start.keys() - fields.keys())):
        raise InputError(
            f"{name} holds {', '.join(none)}, which is not one of its fields. Allowed: {', '.join(fields)}."
        )
    for key, given in start.items():
        try:
            found = np.asarray(given)
        except (TypeError, ValueError):
            found = np.asarray(None)
        if found.dtype.kind not in "biuf" or found.shape not in ((), p.grid.shape):
            what = f"an array of shape {np.shape(found)}" if found.ndim else shown(given)
            raise InputError(f"{name}: {key} is {what}. Give a number, or an array of shape {p.grid.shape}.")
        values = np.broadcast_to(found, p.grid.shape)[p.mask]
        if not np.isfinite(values).all():
            raise InputError(
                f"{name}: {key} is not finite in {np.count_nonzero(~np.isfinite(values)):,} cells."
            )
        if values.min() < 0 and not fields[key].signed:
            raise InputError(
                f"{name}: {key} falls to {values.min():g}, and a density is at least 0 (else declare it:"
                " signed=True)."
            )
