"""RKC2: stable to the last stage, an error estimate that float32 can afford, bounds that hold."""

import re
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.verification import DECOY, DECOY_VALUES, decoy_sources
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation.time_loop import Simulation
from rdsolver.studies.verification.replay import replay
from rdsolver.timestepping import rkc
from rdsolver.timestepping.advance import on_a_cpu
from rdsolver.timestepping.rkc import CAUTION, COURANT, MOST_STAGES, RKC2, longest, schemes, stages_for
from tests.support.problems import (
    Dose,
    errors,
    fixed_steps,
    problem,
    replace,
    run,
    series,
    square,
    state,
    under_a_drug,
)

pytestmark = pytest.mark.long

DOSED = {"agents": ("fc_opg",), "doses": (Dose("fc_opg", 1.0, "sc", 1.0),), "integrator": "rkc2"}


def decoy(n=24, h=10.0, end=3600.0, tolerance=1e-3, precision="float64"):
    grid = Grid((n, n), (h, h), thickness=10.0)
    return ModelProblem(
        DECOY,
        grid,
        DECOY_VALUES,
        {},
        end,
        arrays=decoy_sources(grid),
        solver=Solver("rkc2", tolerance, precision),
    )


def far(a, b):
    """Relative L2 over all fields."""
    return np.sqrt(sum(((a[k] - b[k]) ** 2).sum() for k in b) / sum((b[k] ** 2).sum() for k in b))


# --- the method on y' = λ y ---------------------------------------------------------------------------------


def stages(s, x):
    """Each stage's y for y' = λ y from y = 1, with x = dt λ."""
    y = np.ones((s + 1, len(x)))
    table = schemes().of(s).table
    y[1] = 1 + table[1, 2] * x
    for j in range(2, s + 1):
        mu, nu, weight, beginning, _ = table[j]
        y[j] = (1 - mu - nu) + mu * y[j - 1] + nu * y[j - 2] + (weight * y[j - 1] + beginning) * x
    return y


def estimate(s, x):
    method, y = schemes().of(s), stages(s, x)
    return method.weights @ (y[[*method.inner, s]] - 1)


@pytest.mark.parametrize("s", [5, 7, 21, 101, MOST_STAGES])
def test_stable_up_to_the_longest_step(s):
    reach = longest(s, 1.0)
    assert stages_for(reach * 0.999, 1.0) == s
    assert np.abs(stages(s, -np.linspace(1e-3, 1, 20001) * reach)[-1]).max() < 1


@pytest.mark.parametrize("s", [5, 7, 21, 101, MOST_STAGES])
def test_drift_that_empties_no_cell_is_stable_too(s):
    """The symbol of upwind drift at the largest step and any diffusion, over all waves."""
    wave = np.linspace(0, np.pi, 401)
    for diffusion in np.linspace(0, (longest(s, 1.0) - 2 * COURANT) / 4, 7):
        symbol = -(COURANT + 2 * diffusion) * (1 - np.cos(wave)) - 1j * COURANT * np.sin(wave)
        y, table = np.ones((2, len(wave)), complex), schemes().of(s).table
        y[1] = 1 + table[1, 2] * symbol
        for mu, nu, weight, beginning, _ in table[2 : s + 1]:
            y = np.stack([y[1], (1 - mu - nu) + mu * y[1] + nu * y[0] + (weight * y[1] + beginning) * symbol])
        assert np.abs(y[1]).max() < 1 + 1e-10


@pytest.mark.parametrize("s", [5, 9, 21, 101, MOST_STAGES])
def test_the_estimate_is_the_error_of_slow_modes_and_bounded_for_stiff_ones(s):
    x = np.array([-0.05])
    assert estimate(s, x) == pytest.approx(CAUTION * (np.exp(x) - stages(s, x)[-1]), rel=0.1)
    stiff = -np.linspace(0.01, 1, 501) * longest(s, 1.0)
    assert np.abs(estimate(s, stiff)).max() < 20
    textbook = 0.8 * (1 - stages(s, stiff)[-1]) + 0.4 * stiff * (1 + stages(s, stiff)[-1])
    assert s < 100 or np.abs(textbook).max() > 1000


# --- order, error against tolerance -------------------------------------------------------------------------


def test_second_order_in_every_field():
    """Fixed steps over two days of a falling drug: also what follows the bone at once (RANKL) is of second
    order.
    """
    with device.on("cpu"):
        simulation = under_a_drug()
        begin = RKC2(), simulation.scenario.between(2.0, 4.0), 2.0, simulation.u
        reference = fixed_steps(*begin, 4.0, 256)
        coarse, fine = (errors(fixed_steps(*begin, 4.0, n), reference, simulation) for n in (16, 32))
    for name, error in coarse.items():
        assert np.log2(error / fine[name]) > 1.7, name


def test_error_against_tolerance_of_decoy_binding():
    """Slope over four decades, at the end and inside the transient."""
    for end in (600.0, 21600.0):
        want = state(run(decoy(end=end, tolerance=1e-8))[0])
        found = [far(state(run(decoy(end=end, tolerance=tol))[0]), want) for tol in (1e-2, 1e-4, 1e-6)]
        assert found[0] > found[1] > found[2]
        assert np.log10(found[0] / found[2]) / 4 > 0.5
        assert found[1] < 5e-4


def test_error_against_tolerance_of_a_dose():
    """Log-log slope in NTX and in the worst field over four decades."""

    def result(tolerance):
        simulation, chunks = run(problem(**DOSED, end=4.0, tolerance=tolerance))
        return simulation, series(chunks)

    reference, want = result(1e-8)  # at 1e-7 the line between its steps is no better than a run at 1e-6
    ntx, fields = [], []
    for tol in (1e-2, 1e-4, 1e-6):
        simulation, s = result(tol)
        ntx.append(np.abs(np.interp(s["time"], want["time"], want["ntx"]) - s["ntx"]).max())
        fields.append(max(errors(state(simulation), state(reference), simulation).values()))
    for found in (ntx, fields):
        assert all(a > b for a, b in pairwise(found))
        assert np.log10(found[0] / found[-1]) / 4 >= 0.55


# --- float32 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_float32_takes_no_more_sweeps(tolerance):
    for make in (
        lambda precision: decoy(h=2.5, end=21600.0, tolerance=tolerance, precision=precision),
        lambda precision: problem(**DOSED, end=3.0, tolerance=tolerance, precision=precision),
    ):
        (double, _), (single, _) = (run(make(p)) for p in ("float64", "float32"))
        assert single.totals.solves <= 1.05 * double.totals.solves
        assert far(state(single), state(double)) < 0.1 * tolerance + 1e-5


def test_float32_replays_steps_of_a_thousand_stages():
    """Three steps of 999 stages, dt ρ of 6e5, from rest and on: within a tenth of the default tolerance."""
    found = {}
    with device.on("cpu"):
        for precision in ("float64", "float32"):
            simulation = Simulation(decoy(n=32, h=1.0, precision=precision))
            system, u, integrator = simulation.system_at_start(), simulation.u, simulation.integrator
            dt = found.get("dt", 0.99 * float(integrator.limits(system, np.float64(0), u).longest))
            steps = replay(integrator, system, u, [dt] * 3, 1e-3)
            assert all(step.row["finite"] and step.row["stages"] > 990 for step in steps)
            found |= {
                "dt": 0.9 * dt if precision == "float32" else dt,
                precision: {k: np.asarray(v, float) for k, v in steps[-1].u.items()},
            }
    assert far(found["float32"], found["float64"]) < 1e-4


# --- bounds -------------------------------------------------------------------------------------------------


def spectrum(system, t, u):
    """Largest |eigenvalue| of the right-hand side's Jacobian, with what follows the slow fields kept."""
    aux, names = system.update_coefficients(u), list(u)
    flat = jnp.concatenate([u[k].ravel() for k in names])
    shape, size = u[names[0]].shape, u[names[0]].size

    def rates(v):
        f = system.rates(
            t, {k: v[i * size : (i + 1) * size].reshape(shape) for i, k in enumerate(names)}, aux
        )
        return jnp.concatenate([f[k].ravel() for k in names])

    return np.abs(np.linalg.eigvals(np.asarray(jax.jacfwd(rates)(flat)))).max()


@pytest.mark.parametrize("masked", [False, True])
def test_the_spectral_bound_holds_and_is_not_loose(masked):
    with device.on("cpu"):
        grid = square(8, 60.0)
        y, x = np.meshgrid(*[np.linspace(-1, 1, 8)] * 2, indexing="ij")
        active = y**2 + x**2 < 1.3 if masked else np.ones((8, 8), bool)
        section = Section(grid, trabecular(grid, 0.3, 120.0, 1).bone * active, active)
        p = problem(section=section, agents=("fc_opg",), doses=(Dose("fc_opg", 3.0, "sc", 0.0),), end=1.0)
        simulation = Simulation(p)
        for _ in simulation.steps():
            pass
        system = simulation.scenario.between(1.0, 2.0)
        # drift that counts
        system = replace(
            system, p=system.p | {"chemotaxis": jnp.asarray(1e9), "drift_limit": jnp.asarray(1e6)}
        )
        radius, leaving = (float(v) for v in system.bounds(simulation.u, np.float64(1.0)))
        actual = spectrum(system, np.float64(1.0), simulation.u)
    assert actual <= radius
    assert radius < 4 * actual
    assert leaving > 0.1 * radius


def test_a_step_that_the_stages_do_not_hold_is_cut():
    with device.on("cpu"):
        simulation = Simulation(decoy(n=16, h=0.1, end=300.0, tolerance=0.1))
        system, integrator = simulation.system_at_start(), simulation.integrator
        bound = float(integrator.limits(system, np.float64(0), simulation.u).longest)
        assert bound < 300
        chunks = list(simulation.steps())
    assert max(c.dt for c in chunks) <= bound * (1 + 1e-9)
    assert max(c.stats.get("stages", 0) for c in chunks) <= 1000
    assert all(np.isfinite(v).all() for v in state(simulation).values())


# --- what is compiled ---------------------------------------------------------------------------------------


def test_one_compilation_serves_every_number_of_stages():
    with device.on("cpu"):
        simulation = Simulation(decoy(n=12))
        system, integrator = simulation.system_at_start(), simulation.integrator
        sizes = []
        for dt in (1.0, 10.0, 300.0):
            (step,) = replay(integrator, system, simulation.u, [dt], 1e-3)
            sizes.append((on_a_cpu._cache_size(), step.row["stages"]))
    assert len({size for size, _ in sizes}) == 1
    assert len({s for _, s in sizes}) == 3


def test_the_loop_over_stages_copies_no_field():
    with device.on("cpu"):
        simulation = Simulation(decoy(n=40))
        system, u = simulation.system_at_start(), simulation.u
        kept, z, older = rkc._begin(
            system, np.float64(0), u, system.rates(np.float64(0), u), np.float64(1), np.float64(1)
        )
        rest = np.float64(1), schemes().of(5).table, np.int64(2), np.int64(2)
        given = system, np.float64(0), u, kept, z, older, *rest
        text = jax.jit(rkc.sweeps.__wrapped__).lower(*given).compile().as_text()
    assert text
    body = re.search(r"while\(.*body=%?([\w.\-]+)", text)
    assert body
    loop = next(
        part for part in re.split(r"\n(?=%|ENTRY)", text) if part.lstrip("%").startswith(body[1] + " ")
    )
    assert "fusion(" in loop
    assert not re.findall(r"f64\[40,40\]\S* copy\(", loop)
