"""What earlier documentation told to import is still imported, and told where it is now."""

import json
import subprocess
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec

import pytest

from rdsolver import _moved

OLD = {  # what README, docs and scripts imported: (module, name, where it is)
    "grid": ("rdsolver.domain.grid", "Grid", "rdsolver.geometry.grid"),
    "section": ("rdsolver.domain.section", "Section", "rdsolver.geometry.section"),
    "border": ("rdsolver.domain.borders", "Border", "rdsolver.geometry.boundary_conditions"),
    "scan": ("rdsolver.domain.images", "section_from_image", "rdsolver.images.load"),
    "config": ("rdsolver.config", "load_config", "rdsolver.config.load"),
    "schema": ("rdsolver.config", "schema", "rdsolver.config.json_schema"),
    "memory": ("rdsolver.problem", "memory_needed", "rdsolver.utils.memory"),
    "simulation": ("rdsolver.simulation", "Simulation", "rdsolver.simulation.time_loop"),
    "run": ("rdsolver.run", "simulate", "rdsolver.runs.run"),
    "device": ("rdsolver.device", "on", "rdsolver.parallel.device"),
    "system": ("rdsolver.system", "System", "rdsolver.timestepping.system"),
    "integrator": ("rdsolver.integrators", "RKC2", "rdsolver.timestepping.rkc"),
    "choice": ("rdsolver.integrators.choice", "choose", "rdsolver.timestepping.choice"),
    "course": ("rdsolver.course", "scenario_of", "rdsolver.simulation.scenario"),
    "baseline": ("rdsolver.steady", "baseline", "rdsolver.simulation.baseline"),
}


@pytest.mark.parametrize("what", OLD)
def test_an_old_path_gives_the_thing_and_names_the_new_path(what):
    module, name, new = OLD[what]
    with pytest.warns(
        DeprecationWarning, match=rf"{module}\.{name} has moved: import it from {new}$"
    ) as told:
        found = getattr(import_module(module), name)
    assert found is getattr(import_module(new), name)
    assert told[0].filename == __file__


def test_the_path_of_the_public_names_stays():
    with warnings.catch_warnings(action="error"):
        from rdsolver import load_config, open_run, open_sweep, resume, simulate  # noqa: F401
        from rdsolver.figures.compare import titles  # noqa: F401
        from rdsolver.models.base import Field, Parameter  # noqa: F401
        from rdsolver.models.bone.binders import Binder  # noqa: F401
        from rdsolver.models.bone.extension import Extension  # noqa: F401
        from rdsolver.models.pointwise import ReactionDiffusion  # noqa: F401
        from rdsolver.output.reader import Run  # noqa: F401
        from rdsolver.problem import Change, ModelProblem, Output, Problem, Solver  # noqa: F401


def test_every_row_leads_somewhere():
    homes = {home for row in _moved.MODULES.values() for home in row.split()}
    assert [h for h in sorted(homes) if find_spec(f"rdsolver.{h}") is None] == []
    for names in _moved.NAMES.values():
        assert [n for n, home in names.items() if not hasattr(import_module(f"rdsolver.{home}"), n)] == []


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"rdsolver\.domain\.nothing"):
        import_module("rdsolver.domain.nothing")
    for module in ("rdsolver.domain.grid", "rdsolver.config"):
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            exec(f"from {module} import nothing", {})


def test_a_script_is_told_and_its_import_brings_nothing_heavy():
    script = """
import json, sys
from rdsolver.domain.grid import Grid
from rdsolver.problem import ModelProblem
print(json.dumps([m for m in ("jax", "pydantic") if m in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
    assert "rdsolver.domain.grid.Grid has moved: import it from rdsolver.geometry.grid" in done.stderr
