"""A run that cannot go on says what happened, when, in which field and cell, and what to change."""

import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.errors import InputError, RunError
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import FISHER
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation.failure import culprit
from rdsolver.simulation.time_loop import Simulation

GRID = Grid((6, 8), (10.0, 10.0), thickness=10.0)
FIELDS = (Field("a", "nM", 1.0, "a"), Field("b", "1/mm^3", 100.0, "b"))


def run_until_it_fails(rates, integrator, start=1.0):
    model = ReactionDiffusion("failing", FIELDS[:1], rates, {"a": "diffusivity"}, first_step=1e-2)
    problem = ModelProblem(
        model, GRID, {"diffusivity": 1e-3}, {"a": start}, 3.0, solver=Solver(integrator, 1e-3, "float64")
    )
    with device.on("cpu"):
        simulation = Simulation(problem)
        with pytest.raises(RunError) as caught:
            list(simulation.steps())
    assert np.isfinite(np.asarray(simulation.u["a"])).all()  # the last good state
    return str(caught.value), simulation.t


@pytest.mark.parametrize("integrator", ["tr-bdf2", "rkc2"])
def test_a_blow_up_is_told_with_its_time_and_its_cell(integrator):
    """da/dt = a² from 2 in one cell: infinite at 0.5."""
    start = np.ones((6, 8))
    start[2, 5] = 2.0
    text, t = run_until_it_fails(lambda u, p, at: {"a": u["a"] ** 2}, integrator, start)
    assert t == pytest.approx(0.5, abs=0.02)
    for part in (
        f"{t:g} d",
        "a changes fastest",
        "cell (2, 5) (y 25, x 55 um)",
        "The state before it is kept",
        "solver.tolerance",
    ):
        assert part in text


def test_not_a_number_is_told_with_its_field():
    text, t = run_until_it_fails(
        lambda u, p, at: {"a": jnp.where(at["time"] > 0.5, jnp.nan, 1.0) * u["a"]}, "tr-bdf2"
    )
    assert t <= 0.5
    assert "a became nan in cell (0, 0)" in text
    assert "47 more" in text


def test_the_culprit_is_what_is_broken_then_what_is_lowest_then_what_is_fastest():
    zero = {"a": np.zeros((6, 8)), "b": np.zeros((6, 8))}
    slopes = {"a": np.zeros((6, 8)), "b": np.zeros((6, 8))}
    slopes["b"][1, 2] = 500.0
    assert culprit(FIELDS, GRID, zero, slopes).startswith(
        "b changes fastest, 5 of its size per unit of time, in cell (1, 2)"
    )
    low = {k: v.copy() for k, v in zero.items()}
    low["a"][0, 3], low["b"][4, 4] = -0.5, -20.0  # -0.5 and -0.2 of the scales
    assert culprit(FIELDS, GRID, low, slopes).startswith("a is lowest, -0.5 nM, in cell (0, 3)")
    low["b"][5, 7] = np.inf
    assert culprit(FIELDS, GRID, low, slopes).startswith("b became inf in cell (5, 7)")


@pytest.mark.parametrize(
    ("tolerance", "precision"),
    [(0.0, "float64"), (-1.0, "float64"), (float("nan"), "float64"), (1e-7, "float32")],
)
def test_tolerances_out_of_reach_are_refused(tolerance, precision):
    with pytest.raises(InputError, match=r"Allowed|is not finite"):
        Solver("auto", tolerance, precision)


def test_an_exponential_integrator_needs_a_box():
    active = np.ones((6, 8), bool)
    active[0] = False
    values = {"growth": 1.0, "diffusivity": 1.0}
    with device.on("cpu"):
        box = Simulation(ModelProblem(FISHER, GRID, values, {"u": 1.0}, 1.0, solver=Solver("etdrk4")))
        assert (box.integrator.name, box.why) == ("etdrk4", "asked for")
        with pytest.raises(InputError, match="constant diffusivities in a box"):
            Simulation(
                ModelProblem(FISHER, GRID, values, {"u": 1.0}, 1.0, active=active, solver=Solver("etdrk4"))
            )


def test_auto_takes_what_is_cheapest_and_says_why():
    """Diffusion across a cell 1e6 times faster than the run is for tr-bdf2, a short one for rkc2; a box may
    be for etdrk4.
    """
    active = np.ones((6, 8), bool)
    active[0] = False

    def chosen(diffusivity, end, **rest):
        with device.on("cpu"):
            values = {"growth": 0.1, "diffusivity": diffusivity}
            simulation = Simulation(
                ModelProblem(FISHER, GRID, values, {"u": 1.0}, end, solver=Solver("auto"), **rest)
            )
        assert "tr-bdf2" in simulation.why
        assert "rkc2" in simulation.why
        return simulation.integrator.name

    assert chosen(1e6, 10.0, active=active) == "tr-bdf2"
    assert chosen(1.0, 10.0, active=active) == "rkc2"
    assert chosen(1e6, 10.0) == "etdrk4"
