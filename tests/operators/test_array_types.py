"""The shapes that annotations name, checked by jaxtyping and beartype where programs are traced.

In a Python of its own, as the hook works on what is imported after it.
"""

import subprocess
import sys

import pytest

from tests.support.places import ROOT

CHECKED = """
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import TypeCheckError, install_import_hook

install_import_hook(["rdsolver.operators", "rdsolver.timestepping"], "beartype.beartype")

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import slab
from rdsolver.models.verification import DECOY, DECOY_VALUES, decoy_sources
from rdsolver.operators.reductions import mean_square
from rdsolver.operators.transport import diffusion
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.base import start
from rdsolver.timestepping.registry import INTEGRATORS
from tests.support.problems import problem, square


def traced(system):
    "Every program of a stage, of rates and of what is judged: traced, not compiled."
    u = {name: jnp.zeros_like(system.place.active) for name in system.scale}
    one, tol = np.float64(1.0), np.asarray(1e-3, system.place.active.dtype)
    jax.eval_shape(lambda: system.stage(one, u, u, tol, tol))
    jax.eval_shape(lambda t: (system.rates(t, u), system.bounds(u, t), system.observe(t, u)), one)


def box(shape, name="auto"):
    grid = Grid(shape, (10.0,) * len(shape), thickness=10.0 if len(shape) == 2 else None)
    arrays, solver = decoy_sources(grid), Solver(name)
    return Simulation(ModelProblem(DECOY, grid, DECOY_VALUES, {}, 1.0, arrays=arrays, solver=solver))


def bone(grid, *agents, **more):
    system = BoneScenario(problem(section=slab(grid), agents=agents, **more), begin=False).system
    return replace(system, krylov=tuple(system.cycles))
"""

CASES = {
    "a stage in a section and in blocks": """
traced(bone(square(16), "fc_opg"))
traced(bone(square(8, ndim=3), precision="float32"))
traced(box((4, 5, 6)).system_at_start())
""",
    "a step of every integrator": """
for name in INTEGRATORS:
    run = box((6, 7), name)
    system, u = run.system_at_start(), run.u
    begun = start(system, np.float64(0.0), u)
    *_, attempt = run.integrator.pieces(system, 0.0, u, begun, 1e-3, 1e-3)
    assert attempt.finite, name
""",
    "what is wrong": """
grid, faces = jnp.ones((4, 5)), (jnp.ones((3, 5)), jnp.ones((4, 4)))
diffusion(grid, faces, (False, False))
for wrong in (
    lambda: diffusion(grid, faces[0], (False, False)),
    lambda: diffusion(grid.astype(int), faces, (False, False)),
    lambda: mean_square(grid, grid),
):
    try:
        wrong()
    except TypeCheckError:
        continue
    raise AssertionError("it went through")
""",
}


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_as_annotated(case):
    inside = "\n".join(f"    {line}" for line in CASES[case].strip().splitlines())
    code = f'{CHECKED}\nwith device.on("cpu"):\n{inside}\n'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_no_run_needs_jaxtyping():
    code = """
import sys

sys.modules["jaxtyping"] = None
import jax

from rdsolver.operators.array_types import Cells
from rdsolver.timestepping.registry import INTEGRATORS

assert [i.load().name for i in INTEGRATORS.values()] == list(INTEGRATORS)
assert Cells.__origin__ is jax.Array
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
