"""Import paths from before version 0.1: each still works, with a DeprecationWarning that names the new one.

They will be removed in version 0.2.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = __package__ or "rdsolver"

MODULES = {
    "changes": "problem.changes",
    "checkpoint": "runs.checkpoint runs.checkpoint_file",
    "checks": "utils.checks",
    "course": "simulation.scenario simulation.bone_scenario simulation.model_scenario",
    "device": "parallel.device",
    "diagnosis": "simulation.failure",
    "domain": "geometry",
    "domain.borders": "geometry.boundary_conditions",
    "domain.grid": "geometry.grid",
    "domain.images": "images.load",
    "domain.nests": "geometry.tumour_seeding",
    "domain.places": "geometry.shapes",
    "domain.readers": "images.readers",
    "domain.resampling": "images.resampling",
    "domain.section": "geometry.section",
    "domain.trabeculae": "geometry.trabeculae",
    "domain.voxels": "images.voxels",
    "domain.where": "geometry.subdomain",
    "instants": "utils.instants",
    "integrators": "timestepping.trbdf2 timestepping.rkc timestepping.etd timestepping.choice",
    "integrators.base": "timestepping.base",
    "integrators.choice": "timestepping.choice timestepping.registry",
    "integrators.control": "timestepping.step_control",
    "integrators.etd": "timestepping.etd",
    "integrators.rkc": "timestepping.rkc",
    "integrators.together": "parallel.batching",
    "integrators.trbdf2": "timestepping.trbdf2",
    "models.bone.place": "models.bone.static_fields",
    "operators.apart": "operators.no_fusion",
    "operators.borders": "operators.boundary_fluxes",
    "operators.boundaries": "operators.faces",
    "own": "config.user_file",
    "plan": "timestepping.linear_solver_control",
    "progress": "utils.reporting",
    "provenance": "utils.provenance",
    "run": "runs.run runs.check",
    "steady": "simulation.baseline",
    "system": "timestepping.system",
    "trial": "simulation.check_rates",
}
"""The new modules of each old module, from the package on: a name is taken from the first of them that has
it.
"""

NAMES = {
    "cli": {"app": "cli.main", "main": "cli.main"},
    "config": {
        "Config": "config.config",
        "config_from": "config.load",
        "config_of": "config.load",
        "load_config": "config.load",
        "schema": "config.json_schema",
        "takes_text": "config.load",
    },
    "problem": {
        "LEAST_TOLERANCE": "problem.solver",
        "MOST_TOLERANCE": "problem.solver",
        "START_SEED": "problem.model_problem",
        "breaks_of": "problem.times",
        "check_memory": "utils.memory",
        "describe_doses": "problem.bone_problem",
        "enough_memory": "utils.memory",
        "expected_solves": "problem.bone_problem",
        "file_of": "errors",
        "host_memory": "utils.memory",
        "memory_needed": "utils.memory",
    },
    "simulation": {"Simulation": "simulation.time_loop"},
}
"""The new modules of modules whose name is a package now, name by name, so that no import searches
modules.
"""


def moved(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package that has the name of an old module."""
    names = NAMES[package]

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{ROOT}.{package}' has no attribute {name!r}")
        return _found(package, name, (names[name],))

    return find


def install() -> None:
    """Let the old modules be imported."""
    sys.meta_path.append(_Finder())


class _Finder(MetaPathFinder):
    """A finder of the old modules, used if nothing else is found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, old = fullname.partition(".")
        return ModuleSpec(fullname, _Loader(), is_package=True) if root == ROOT and old in MODULES else None


class _Loader(Loader):
    """A loader that makes an old module, which is empty except that it looks up names."""

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.removeprefix(f"{ROOT}.")

        def find(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return _found(old, name, MODULES[old].split())

        module.__getattr__ = find  # pyright: ignore[reportAttributeAccessIssue]


def _found(old: str, name: str, homes: Sequence[str]) -> Any:
    for home in homes:
        there = import_module(f"{ROOT}.{home}")
        if hasattr(there, name):
            warnings.warn(
                f"{ROOT}.{old}.{name} has moved: import it from {ROOT}.{home}",
                DeprecationWarning,
                stacklevel=3,
            )
            return getattr(there, name)
    raise AttributeError(f"module '{ROOT}.{old}' has no attribute {name!r}")
