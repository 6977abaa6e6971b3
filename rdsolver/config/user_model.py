"""Configs with a user model: the keys that such a run cannot have, and the Problem that it makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..geometry.section import Section
from ..problem import ModelProblem
from ..problem.model_problem import START_SEED
from ..timestepping.registry import ANYWHERE, exponential
from .component_tables import TABLES as COMPONENTS
from .messages import Fault
from .tree import Tree

MODEL_KEYS = ("name", "preset", "body_weight", "from_birth", "membrane_rankl", "components", "without")
TABLES = ("agent", "dose", "events", *COMPONENTS)


def faults(config: Tree) -> Iterator[Fault]:
    """Faults: keys that belong to the bone model."""
    why = f"belongs to the bone model, and this run's comes from {config.model.from_}. Leave it out."
    yield from ((f"model.{key}", why) for key in MODEL_KEYS if key in config.model.model_fields_set)
    yield from ((table, why) for table in TABLES if getattr(config, table, None))


def problem(config: Tree, place: Section, common: dict[str, Any]) -> ModelProblem:
    """The run that a config with a user model describes, in plain objects.

    Raises InputError where the section leaves the model no cells, its initial state fails, or its integrator
    does not fit.
    """
    model, initial = config.whole, config.initial
    assert model is not None
    found = ModelProblem.on(
        place,
        model,
        parameters=config.values,
        initial=Path(initial.from_) if initial and initial.from_ else None,
        seed=START_SEED if initial is None or initial.seed is None else initial.seed,
        source=config.source,
        **common,
    )
    if exponential(found.solver.integrator) and not (found.mask.all() and not found.borders):
        what = (
            "a [[border]]"
            if found.borders
            else f"a mask (the model lives in {model.lives}, the field of view counts too)"
        )
        raise InputError(
            f'solver.integrator = "{found.solver.integrator}" needs a whole box, and this run has {what}.'
            f" Allowed here: {ANYWHERE}."
        )
    return found


def resolved(config: Tree, tables: dict[str, Any]) -> dict[str, Any]:
    """The same tables without those of the bone model, and with the seed of the random initial state."""
    kept = {k: v for k, v in tables.items() if k not in TABLES}
    kept["model"] = {k: v for k, v in tables["model"].items() if k not in MODEL_KEYS}
    return {"initial": {"seed": START_SEED}} | kept
