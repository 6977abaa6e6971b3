"""Any model from its rates: what the bone model needs by hand comes from differentiation."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.errors import InputError
from rdsolver.geometry.boundary_conditions import Border
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import DECAY, DECOY, DECOY_VALUES, GRAY_SCOTT, decoy_sources
from rdsolver.operators import multigrid
from rdsolver.operators.reductions import Pockets, sums
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation.model_scenario import ModelScenario
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping import linear_solver_control
from tests.support.problems import state

GRID = Grid((24, 20), (10.0, 10.0), thickness=10.0)


def run(model, values, initial, end, integrator="tr-bdf2", tolerance=1e-4, grid=GRID, **rest):
    with device.on("cpu"):
        simulation = Simulation(
            ModelProblem(
                model, grid, values, initial, end, solver=Solver(integrator, tolerance, "float64"), **rest
            )
        )
        chunks = list(simulation.steps())
    return simulation, chunks


def far(a, b):
    return max(np.linalg.norm(a[k] - b[k]) / np.linalg.norm(b[k]) for k in b)


def gray_scott_start():
    rng = np.random.default_rng(0)
    v = 0.4 * rng.random((32, 32)) * (np.hypot(*(np.mgrid[:32, :32] - 16)) < 6)
    values = {"u_diffusivity": 0.16, "v_diffusivity": 0.08, "feed": 0.035, "kill": 0.06}
    return (
        Grid((32, 32), (1.0, 1.0), borders=("periodic", "periodic"), thickness=1.0),
        values,
        {"u": 1 - v, "v": v},
    )


def test_implicit_and_explicit_integrators_agree():
    grid, values, start = gray_scott_start()
    explicit, _ = run(GRAY_SCOTT, values, start, 60.0, "rkc2", 1e-5, grid)
    implicit, _ = run(GRAY_SCOTT, values, start, 60.0, "tr-bdf2", 1e-5, grid)
    assert far(state(implicit), state(explicit)) < 3e-4
    assert implicit.totals.rejected < implicit.totals.steps / 4


def test_the_order_in_which_fields_are_declared_does_not_matter():
    grid, values, start = gray_scott_start()
    first, _ = run(GRAY_SCOTT, values, start, 20.0, grid=grid)
    other, _ = run(replace(GRAY_SCOTT, unknowns=GRAY_SCOTT.unknowns[::-1]), values, start, 20.0, grid=grid)
    assert other.totals.solves == first.totals.solves
    assert far(state(other), state(first)) < 1e-12


@pytest.mark.parametrize(("integrator", "leak"), [("rkc2", 0.0), ("tr-bdf2", 1e-5)])
def test_a_mask_is_impermeable(integrator, leak):
    """Exactly, but for what the linear solver leaves (far below the tolerance of 1e-4 nM)."""
    active = np.ones(GRID.shape, bool)
    active[:, 9:11] = False  # a wall: what is made on one side stays there
    sources = decoy_sources(GRID)
    sources["rankl_source"][:, :11] = 0
    simulation, _ = run(DECOY, DECOY_VALUES, {}, 600.0, integrator, active=active, arrays=sources)
    rankl = state(simulation)["rankl"]
    assert np.abs(rankl[:, :11]).max() <= leak
    assert rankl[:, 11:].max() > 0.05  # and there is something to leak


@pytest.mark.parametrize("integrator", ["tr-bdf2", "rkc2"])
@pytest.mark.parametrize(
    ("borders", "want"),
    [
        (
            (Border("u", "value", "x", "low", value=2.0), Border("u", "value", "x", "high", value=4.0)),
            lambda x: 2 + 2 * x,
        ),
        # flux q in at the left, u = 1 at the right: u = 1 + q (L - x)/D
        (
            (Border("u", "flux", "x", "low", flux=3.0), Border("u", "value", "x", "high", value=1.0)),
            lambda x: 1 + 3.0 * 200 * (1 - x) / 500,
        ),
        # Robin at the left, exchange a with 5, against 1 at the right: (5 - u0) a = D (u0 - 1)/L
        (
            (
                Border("u", "exchange", "x", "low", value=5.0, exchange=2.5),
                Border("u", "value", "x", "high", value=1.0),
            ),
            lambda x: 1 + 2.0 * (1 - x),
        ),
    ],
)
def test_borders_let_through_what_they_should(borders, want, integrator):
    """Linear profiles are exact: the scheme is linear between a cell and the face."""
    simulation, _ = run(
        DECAY,
        {"diffusivity": 500.0, "loss": 0.0},
        {},
        2000.0,
        integrator,
        1e-6,
        arrays={"source": np.zeros(())},
        borders=borders,
    )
    x = GRID.centres(1) / 200
    assert np.allclose(state(simulation)["u"], want(x)[None, :], rtol=1e-4)


def test_a_mask_holds_its_value():
    active = np.ones(GRID.shape, bool)
    active[8:12, 8:12] = False
    simulation, _ = run(
        DECAY,
        {"diffusivity": 500.0, "loss": 0.0},
        {"u": 3.0},
        4000.0,
        arrays={"source": np.zeros(())},
        active=active,
        borders=(Border("u", "value", mask=~active, value=7.0),),
    )
    assert np.allclose(state(simulation)["u"][active], 7.0, rtol=1e-4)


def test_borders_are_checked():
    wrapped = Grid((8, 8), (1.0, 1.0), borders=("periodic", "no-flux"), thickness=1.0)
    active = np.ones((8, 8), bool)
    with pytest.raises(InputError, match="periodic"):
        Border("u", "value", "y", "low").contact(wrapped, active)
    with pytest.raises(InputError, match="Allowed: axis y, x; side low, high"):
        Border("u", "value", "z", "low").contact(wrapped, active)
    with pytest.raises(InputError, match="not solved"):
        Border("u", "value", mask=active).contact(wrapped, active)
    with pytest.raises(InputError, match="no cell"):
        Border("u", "value", mask=np.zeros((8, 8), bool)).contact(wrapped, active)


def test_the_bound_holds_the_jacobian():
    """The Gershgorin bound against the eigenvalues of the reaction in every cell; scales differ by a
    thousand.
    """
    model = ReactionDiffusion(
        "two scales",
        (Field("a", "nM", 1.0, "a"), Field("b", "1/mm^3", 1000.0, "b")),
        lambda u, p, at: {"a": -u["a"] * u["b"] / 100, "b": 40 * u["a"] - u["b"]},
        {},
    )
    with device.on("cpu"):
        rng = np.random.default_rng(1)
        u = {"a": jnp.asarray(rng.random((4, 4))), "b": jnp.asarray(1000 * rng.random((4, 4)))}
        place = model.prepare(Grid((4, 4), (1.0, 1.0), thickness=1.0), jnp.ones((4, 4)), None, {})
        bound = float(model.reaction_bound(u, {}, place, place, {}))
        cells = [
            np.array([[-b / 100, -a / 100], [40, -1]])
            for a, b in zip(np.ravel(u["a"]), np.ravel(u["b"]), strict=True)
        ]
    worst = max(np.abs(np.linalg.eigvals(c)).max() for c in cells)
    assert worst <= bound <= 100 * worst


def test_pockets_are_found_through_faces_and_around():
    active = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0]], bool)
    with device.on("cpu"):
        open_, wrapped = Pockets.of(active, (False, False)), Pockets.of(active, (False, True))
        assert Pockets.of(np.ones((4, 4), bool), (False, False)) is None
    assert open_ is not None
    assert wrapped is not None
    assert (open_.count, wrapped.count) == (5, 3)
    label = np.asarray(wrapped.label)
    assert label[0, 0] == label[0, 1] == label[0, 3]
    assert label[2, 0] == label[2, 3] != label[3, 1]
    assert (label[~active] == wrapped.count).all()
    assert set(label[active]) == {0, 1, 2}


@pytest.mark.parametrize("shape", [(70, 90), (2, 40)])
def test_sums_over_pockets_add_every_cell_once(shape):
    """From pockets of one cell to one of thousands; inactive cells count nowhere."""
    rng = np.random.default_rng(3)
    active = rng.random(shape) < 0.6
    u = rng.random(shape)
    with device.on("cpu"):
        pockets = Pockets.of(active, (False, False))
        assert pockets is not None
        found = np.asarray(sums(jnp.asarray(u), pockets))
        text = jax.jit(lambda x: sums(x, pockets)).lower(jnp.asarray(u)).as_text()
    label = np.asarray(pockets.label)
    np.testing.assert_allclose(found, [u[label == k].sum() for k in range(pockets.count)], rtol=1e-13)
    assert "scatter" not in text


def test_the_plan_gives_more_work_where_the_solver_is_slow_and_takes_it_back():
    model = DECOY
    with device.on("cpu"):
        scenario = ModelScenario(ModelProblem(model, GRID, DECOY_VALUES, {}, 1.0, arrays=decoy_sources(GRID)))
        system = scenario.system
        floor = system.cycles
        assert floor == {"fields": 2}

        def more(cycles, left, factor):
            report = {"fields": np.float64(left), "fields.contraction": np.float64(factor)}
            return linear_solver_control.more({"fields": np.int32(cycles)}, report)

        slow = more(2, 4.0, 0.7)
        assert slow.better
        assert slow.slow["fields"]
        cycles = int(slow.cycles["fields"])
        assert 4.0 * 0.7 ** (cycles - 2) <= linear_solver_control.AIM
        assert 4.0 * 0.7 ** (cycles - 3) > linear_solver_control.AIM
        assert not more(2, 4.0, 0.3).slow["fields"]
        assert not more(2, 4.0, 1.3).better  # more of it does not help
        assert not more(2, np.inf, 0.3).better
        assert not more(linear_solver_control.MOST_CYCLES, 4.0, 0.3).better
        assert not more(2, 0.4, 0.3).better  # it is solved

        def fewer(cycles, left, factor):
            report = {"fields": np.float64(left), "fields.contraction": np.float64(factor)}
            return int(linear_solver_control.fewer({"fields": np.int32(cycles)}, floor, report)["fields"])

        assert fewer(cycles, 1e-4, 0.7) == cycles - 1
        assert fewer(cycles, 0.4, 0.7) == cycles
        assert fewer(2, 0.0, 0.1) == 2


def test_a_hard_section_is_solved_with_more_cycles_not_with_shorter_steps(monkeypatch):
    """With one weak V-cycle a stage is not solved at the first try; the plan changes, the steps and the
    answer do not.
    """
    grid, values, start = gray_scott_start()
    want, _ = run(GRAY_SCOTT, values, start, 60.0, "tr-bdf2", 1e-4, grid)
    monkeypatch.setattr(multigrid, "WEIGHTS", {2: (0.05, 0.05)})
    got, _ = run(
        replace(GRAY_SCOTT, name="Gray-Scott, badly smoothed"), values, start, 60.0, "tr-bdf2", 1e-4, grid
    )
    assert got.cycles["fields"] > 2
    assert got.totals.steps < 1.3 * want.totals.steps
    assert far(state(got), state(want)) < 1e-3
