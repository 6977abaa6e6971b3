"""Exponential integrators: diffusion exact for any step, order 2 and 4 in the rest, the same answer as the
others.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import hyp1f1

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import DECAY, DECOY, DECOY_VALUES, GRAY_SCOTT, decoy_sources
from rdsolver.operators import spectral
from rdsolver.operators.transport import diffusion, face_diffusion, open_faces
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation import program
from rdsolver.simulation.model_scenario import ModelScenario
from rdsolver.studies.verification.replay import replay
from rdsolver.timestepping import etd
from rdsolver.timestepping.advance import on_a_cpu
from rdsolver.timestepping.attempt import LANDED, RUNNING
from rdsolver.timestepping.base import start
from rdsolver.timestepping.etd import ETDRK2, ETDRK4
from rdsolver.timestepping.rkc import RKC2

pytestmark = pytest.mark.long

GRID = Grid((24, 20), (10.0, 10.0), thickness=10.0)


@pytest.fixture(autouse=True)
def cpu():
    with device.on("cpu"):
        yield


def posed(model, values, initial, grid=GRID, precision="float64", **rest):
    """System and start."""
    scenario = ModelScenario(
        ModelProblem(model, grid, values, initial, 1.0, solver=Solver("rkc2", 1e-3, precision), **rest)
    )
    return scenario.system, scenario.u


def decoy(grid=GRID, precision="float64"):
    return posed(DECOY, DECOY_VALUES, {}, grid, precision, arrays=decoy_sources(grid))


def gray_scott():
    rng = np.random.default_rng(0)
    v = 0.4 * rng.random((30, 31)) * (np.hypot(*(np.mgrid[:30, :31] - 15)) < 6)
    values = {"u_diffusivity": 0.16, "v_diffusivity": 0.08, "feed": 0.035, "kill": 0.06}
    return posed(
        GRAY_SCOTT,
        values,
        {"u": 1 - v, "v": v},
        Grid((30, 31), (1.0, 1.0), borders=("periodic", "periodic"), thickness=1.0),
    )


def step(integrator, system, u, dt, tol=1e-3, t=0.0):
    (done,) = replay(integrator.prepared(system), system, u, [dt], tol, t)
    return done


def fixed(integrator, system, u, steps, end, tol=1e-3):
    done = replay(integrator.prepared(system), system, u, [end / steps] * steps, tol)
    return {k: np.asarray(x, float) for k, x in done[-1].u.items()}


def adaptive(integrator, system, u, end, tol, dt):
    ready = integrator.prepared(system)
    step_state = start(system, np.float64(0), u, implicit=False)
    leg, lane = program.leg(system, end, tol), program.lane(0.0, dt, u, step_state, {}, end)
    status = RUNNING
    while status == RUNNING:
        found = program.call(ready, leg, lane, program.Call(64, 1e-9))
        lane, status = found.lane, found.now.status
    assert status == LANDED
    return {k: np.asarray(x, float) for k, x in lane.u.items()}


def far(a, b):
    return np.sqrt(sum(np.sum((a[k] - b[k]) ** 2) for k in b) / sum(np.sum(b[k] ** 2) for k in b))


@pytest.mark.parametrize("borders", ["no-flux", "periodic"])
@pytest.mark.parametrize("shape", [(12, 7), (101, 128), (5, 4, 6), (3, 100, 2)])
def test_the_basis_diagonalises_the_laplacian_of_the_grid(shape, borders):
    """Even and odd, short and folded axes; every field."""
    spacing, wrap = (10.0, 7.0, 5.0)[: len(shape)], (borders == "periodic",) * len(shape)
    u, active = jnp.asarray(np.random.default_rng(1).random(shape)), jnp.ones(shape)
    basis = spectral.basis(shape, spacing, wrap, np.dtype("float64"))

    @jax.jit
    def laplacians(u):
        """That of the faces, that of the basis, and u there and back."""
        faces = face_diffusion(active, open_faces(active, wrap), spacing, wrap)
        modes = spectral.forward(u, basis)
        found = (spectral.inverse(m, basis) for m in (spectral.eigenvalues(basis) * modes, modes))
        return diffusion(u, faces, wrap), *found

    expected, found, back = laplacians(u)
    np.testing.assert_allclose(back, u, atol=1e-13)
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_phi_functions():
    z = -np.concatenate([[0.0], np.geomspace(1e-9, 30, 400)])
    for found in (etd.phi(jnp.asarray(z)), etd.doubled(etd.phi(jnp.asarray(z / 2)))):
        for k, factorial in enumerate((1, 1, 2, 6)):
            np.testing.assert_allclose(found[k], hyp1f1(1, k + 1, z) / factorial, rtol=3e-14 if k else 1e-13)
    single = etd.phi(jnp.asarray(z, jnp.float32))
    for k in range(4):
        np.testing.assert_allclose(
            single[k], etd.phi(jnp.asarray(z, jnp.float32).astype(float))[k], rtol=2e-6
        )


@pytest.mark.parametrize("integrator", [ETDRK2(), ETDRK4()])
@pytest.mark.parametrize("dt", [1e-2, 10.0, 1e4])
@pytest.mark.parametrize("borders", ["no-flux", "periodic"])
def test_linear_diffusion_is_exact_for_any_step(integrator, dt, borders):
    """A cosine mode falls by exp(λ D dt), λ the eigenvalue of the grid."""
    grid = Grid((24, 20), (10.0, 10.0), borders=(borders, borders), thickness=10.0)
    y, x = np.mgrid[:24, :20] + 0.5
    waves, half = (2, 4), 1 if borders == "periodic" else 2  # of the whole length, or of twice of it
    mode = np.cos(2 * np.pi / half * waves[0] * y / 24) * np.cos(2 * np.pi / half * waves[1] * x / 20)
    rate = sum(-4 / 100 * np.sin(np.pi * w / (half * n)) ** 2 for w, n in zip(waves, (24, 20), strict=True))
    system, u = posed(
        DECAY,
        {"diffusivity": 30.0, "loss": 0.0},
        {"u": 1 + mode},
        grid,
        arrays={"source": np.zeros((24, 20))},
    )
    attempt = step(integrator, system, u, dt)
    np.testing.assert_allclose(attempt.u["u"], 1 + np.exp(30 * rate * dt) * mode, rtol=1e-12)
    assert attempt.row["error"] < 1e-9


@pytest.mark.parametrize(("integrator", "order", "steps"), [(ETDRK2(), 2, 8), (ETDRK4(), 4, 8)])
def test_order(integrator, order, steps):
    """With steps far beyond the explicit limit of diffusion (0.1 s)."""
    system, u = decoy()
    u = {k: x + 1.0 + 0.5 * np.cos(np.pi * (np.arange(20) + 0.5) / 20) for k, x in u.items()}
    exact = fixed(ETDRK4(), system, u, 32 * steps, 800.0)
    errors = [far(fixed(integrator, system, u, n, 800.0), exact) for n in (steps, 2 * steps, 4 * steps)]
    observed = np.log2(np.array(errors[:-1]) / errors[1:])
    assert order - 0.15 < observed[1] < order + 0.5, (errors, observed)


@pytest.mark.parametrize(("integrator", "tol"), [(ETDRK2(), 1e-4), (ETDRK4(), 1e-4)])
def test_agreement_with_rkc2(integrator, tol):
    """The discrete Laplacian is the same, so the answer is: no-flux W1 from an empty start, and periodic
    Gray-Scott.
    """
    for (system, u), end, dt in ((decoy(), 600.0, 1.0), (gray_scott(), 100.0, 0.1)):
        other = adaptive(RKC2(), system, u, end, 1e-6, dt)
        assert far(adaptive(integrator, system, u, end, tol, dt), other) < 3 * tol


def test_error_follows_the_tolerance():
    system, u = gray_scott()
    exact = adaptive(ETDRK4(), system, u, 100.0, 1e-9, 0.1)
    errors = [far(adaptive(ETDRK4(), system, u, 100.0, tol, 0.1), exact) for tol in (1e-3, 1e-5, 1e-7)]
    slope = -np.log10(np.array(errors[1:]) / errors[:-1]) / 2
    assert min(slope) > 0.7, errors


def test_float32_follows_float64():
    (double, u), (single, v) = decoy(), decoy(precision="float32")
    assert v["rankl"].dtype == np.float32
    assert far(fixed(ETDRK4(), single, v, 12, 6000.0), fixed(ETDRK4(), double, u, 12, 6000.0)) < 3e-6


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_steady_state_stays(precision):
    """Sources, losses and diffusion in balance; steps of a hundred decay times."""
    source = 1e-3 * (np.hypot(*(np.mgrid[:24, :20] - 9.0)) < 5)
    values = {"diffusivity": 30.0, "loss": 1e-3}
    basis = spectral.basis((24, 20), (10.0, 10.0), (False, False), np.dtype("float64"))
    steady = spectral.inverse(
        spectral.forward(jnp.asarray(source), basis) / (1e-3 - 30.0 * spectral.eigenvalues(basis)), basis
    )
    system, u = posed(DECAY, values, {"u": steady}, precision=precision, arrays={"source": source})
    attempt = step(ETDRK4(), system, u, 1e5)
    np.testing.assert_allclose(attempt.u["u"], steady, rtol=1e-11 if precision == "float64" else 1e-4)


def test_mirrored_and_transposed_problems_have_mirrored_and_transposed_answers():
    grid = Grid((20, 20), (10.0, 10.0), thickness=10.0)
    rng = np.random.default_rng(2)
    sources = {k: rng.random(grid.shape) * s for k, s in (("rankl_source", 2e-3), ("opg_source", 1e-3))}
    answers = []
    for turn in (lambda x: x, np.transpose, lambda x: x[::-1], lambda x: x[:, ::-1]):
        system, u = posed(DECOY, DECOY_VALUES, {}, grid, arrays={k: turn(x) for k, x in sources.items()})
        answers.append({k: turn(x) for k, x in fixed(ETDRK4(), system, u, 3, 600.0).items()})
    for other in answers[1:]:
        assert far(other, answers[0]) < 1e-13


def test_fields_that_do_not_move():
    """Settling on the spot: mass leaves the moving field for the fixed one, and nothing is lost."""
    settling = ReactionDiffusion(
        "settling",
        (Field("free", "nM", 1.0, "free"), Field("settled", "nM", 1.0, "settled")),
        lambda u, p, at: {"free": -p["rate"] * u["free"], "settled": p["rate"] * u["free"]},
        {"free": "diffusivity"},
    )
    free = 1 + np.outer(
        np.cos(np.pi * (np.arange(24) + 0.5) / 24), np.cos(np.pi * (np.arange(20) + 0.5) / 20)
    )
    system, u = posed(settling, {"diffusivity": 30.0, "rate": 1e-2}, {"free": free})
    found = fixed(ETDRK4(), system, u, 20, 200.0)
    assert found["free"].sum() + found["settled"].sum() == pytest.approx(free.sum(), rel=1e-12)
    assert found["free"].sum() == pytest.approx(free.sum() * np.exp(-2.0), rel=1e-5)
    assert far(found, adaptive(RKC2(), system, u, 200.0, 1e-7, 0.1)) < 1e-5


def test_one_compilation_for_every_step():
    system, u = decoy()
    step(ETDRK4(), system, u, 1.0)
    compiled = on_a_cpu._cache_size()
    step(ETDRK4(), system, u, 37.5, 1e-5, t=3.0)
    assert on_a_cpu._cache_size() == compiled


def test_only_boxes():
    active = np.ones(GRID.shape, bool)
    active[:, 9:11] = False
    system, u = posed(DECOY, DECOY_VALUES, {}, active=active, arrays=decoy_sources(GRID))
    assert etd.cost(system, 0.0, u, 600.0, 1e-3) == np.inf
    with pytest.raises(ValueError, match="box of constant diffusivities"):
        ETDRK4().prepared(system)


def test_predicted_cost_grows_with_the_stiffness_of_the_reaction():
    system, u = decoy()
    stiff, _ = posed(DECOY, DECOY_VALUES | {"kon": 0.1}, {}, arrays=decoy_sources(GRID))
    assert 3 * etd.cost(system, 0.0, u, 21600.0, 1e-3) < etd.cost(stiff, 0.0, u, 21600.0, 1e-3) < np.inf
