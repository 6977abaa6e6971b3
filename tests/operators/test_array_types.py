"""The shapes that annotations name, checked by jaxtyping and beartype where programs are traced.

In a Python of its own, as the hook works on what is imported after it.
"""

import subprocess
import sys

import pytest

from tests.support.places import ROOT

CHECKED = """
import typing
from collections import defaultdict
from dataclasses import replace

import beartype
import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
import scipy.sparse.csgraph
from jaxtyping import TypeCheckError, install_import_hook

import rdsolver.operators.array_types

install_import_hook(["rdsolver.models", "rdsolver.operators", "rdsolver.timestepping"], "beartype.beartype")

# modules that are read without JAX import the types that they name only then; scipy is loaded by now
typing.TYPE_CHECKING = True
from rdsolver.models.bone import components, extension, model, tissue

components.every()
typing.TYPE_CHECKING = False

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import slab
from rdsolver.models import verification
from rdsolver.models.base import Field
from rdsolver.models.bone.cells import hill
from rdsolver.models.bone.extension import Extension
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.lemaire import LEMAIRE
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import DECOY, DECOY_VALUES, decoy_sources
from rdsolver.operators.reductions import Pockets, mean_squares
from rdsolver.operators.transport import diffusion
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Problem, Solver
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.simulation.time_loop import Simulation
from rdsolver.simulation import program
from rdsolver.timestepping.registry import INTEGRATORS
from tests.support.problems import NEST, problem, square


def traced(system, bounds=True):
    "Every program of a stage, of rates and of what is judged: traced, not compiled."
    u = {name: jnp.zeros_like(system.place.active) for name in system.scale}
    one, tol = np.float64(1.0), np.asarray(1e-3, system.place.active.dtype)
    jax.eval_shape(lambda: system.stage(one, u, u, tol, tol))
    jax.eval_shape(lambda t: (system.rates(t, u), system.observe(t, u)), one)
    if bounds:
        jax.eval_shape(lambda t: system.bounds(u, t), one)


def box(shape, name="auto"):
    grid = Grid(shape, (10.0,) * len(shape), thickness=10.0 if len(shape) == 2 else None)
    arrays, solver = decoy_sources(grid), Solver(name)
    return Simulation(ModelProblem(DECOY, grid, DECOY_VALUES, {}, 1.0, arrays=arrays, solver=solver))


def bone(grid, *agents, **more):
    system = BoneScenario(problem(section=slab(grid), agents=agents, **more), begin=False).system
    return replace(system, krylov=tuple(system.cycles))
"""

CASES = {
    "a stage in a section, in blocks and in several pockets": """
traced(bone(square(16), "fc_opg"))
traced(bone(square(8, ndim=3), precision="float32"))
traced(box((4, 5, 6)).system_at_start())
system = bone(square(16))
walls = np.indices((16, 16))[0] != 8
traced(replace(system, pockets=Pockets.of(walls, system.place.wrap)))
""",
    "a step of every integrator": """
for name in INTEGRATORS:
    run = box((6, 7), name)
    next(run.chunks())
    wish = program.Call(1, 0.0, [0.5])
    assert program.call(run.integrator, run._leg, run._lane, wish).rows[0]["finite"], name
""",
    "every component, another tissue, and models that are given by their rates": """
part = Extension(
    "more",
    lambda u, p, at: {"more": -u["more"] * at["surface"], "opg": u["more"]},
    unknowns=(Field("more", "nM", 1.0, "more"),),
    acts_on={"osteoclast_death": lambda u, p, at: (2.0, at["marrow"])},
)
parts = [name for name in components.NAMES if name != "tumour"]
values = {p.name: p.default("artery") for p in parameters(tissue="artery")}
artery = Problem(slab(square(16)), values, 1.0, (), tissue="artery")
for system in (
    bone(square(16), "fc_opg", tumour=NEST, components=tuple(parts)),
    BoneScenario(artery, begin=False).system,
):
    traced(system)
    u = {name: jnp.zeros_like(system.place.active) for name in system.scale}
    for found in (system.model.reference, system.model.balanced):
        jax.eval_shape(lambda: found(u, system.model.healthy(system.p), system.place))
traced(bone(square(16), extension=part), bounds=False)  # its bound takes scales that are arrays
one, cells = jnp.ones(()), jnp.ones((4, 5))
given = [x for x in vars(verification).values() if isinstance(x, ReactionDiffusion)]
for of in (LEMAIRE, *given):
    u, at = {f.name: cells for f in of.unknowns}, defaultdict(lambda: cells, time=one)
    jax.eval_shape(lambda: of.rates(u, defaultdict(lambda: one), at))
""",
    "what is wrong": """
grid, faces = jnp.ones((4, 5)), (jnp.ones((3, 5)), jnp.ones((4, 4)))
diffusion(grid, faces, (False, False))
for wrong in (
    lambda: diffusion(grid, faces[0], (False, False)),
    lambda: diffusion(grid.astype(int), faces, (False, False)),
    lambda: mean_squares([grid], grid),
    lambda: hill(grid, grid),
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
