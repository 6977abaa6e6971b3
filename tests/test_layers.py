"""What a room does not import when it is really loaded; import-linter (pyproject.toml) holds the layers.

import-linter counts imports for types too, and cannot see that they are never executed.
"""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from rdsolver.output import layout
from rdsolver.problem.reserved_names import RUN_FILE

ROOT = Path(__file__).parents[1]

WITHOUT = {
    "a config is read": (
        """
import rdsolver
from rdsolver.config.json_schema import schema
rdsolver.load_config("configs/rank_fc_section_2d.toml").problem()
schema()
""",
        ("jax", "h5py", "matplotlib"),
    ),
    "a problem is made in Python": (
        """
import numpy as np
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import slab
from rdsolver.models.bone.parameters import parameters
from rdsolver.problem import Problem
section = slab(Grid((8, 8), (20.0, 20.0), thickness=20.0), axis=-1, thickness=None)
Problem(section, {p.name: p.default("human", "bone") for p in parameters()}, end=1.0, save=(1.0,))
""",
        ("jax", "pydantic", "pint"),
    ),
    "the integrators are listed": ("import rdsolver.timestepping.registry", ("jax", "numpy")),
    "a scan is read": ("import rdsolver.images.load", ("jax", "pydantic", "pint")),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_what_is_not_needed_is_not_imported(what):
    code, heavy = WITHOUT[what]
    tell = f"\nimport json, sys; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code + tell], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_no_field_can_be_called_what_a_run_file_has_beside_fields():
    with h5py.File(ROOT / "tests" / "data" / "layout_2.h5") as file:
        groups = {name for name, node in file.items() if isinstance(node, h5py.Group)}
    assert groups | set(layout.PLACES) <= set(RUN_FILE)
