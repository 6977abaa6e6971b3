"""Operators on the grid: conservation, order, positivity, and surfaces that do not depend on the spacing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdsolver.operators import faces as boundaries
from rdsolver.operators import hierarchy, multigrid, no_fusion, reductions, transport
from rdsolver.operators.reductions import mean_squares
from rdsolver.operators.transport import (
    fitted,
    gaussian_taps,
    length,
    own_diffusion,
    own_drift,
    smooth,
    smooth_slopes,
)

pytestmark = pytest.mark.usefixtures("double")

# each one program, where it would be one for every operation in it
diffusion, drift = (jax.jit(f, static_argnums=2) for f in (transport.diffusion, transport.drift))
face_diffusion = jax.jit(transport.face_diffusion, static_argnums=(2, 3))
open_faces = jax.jit(transport.open_faces, static_argnums=1)

CASES = [
    ((9, 12), (False, False)),
    ((9, 12), (True, False)),
    ((7, 8, 5), (False, False, False)),
    ((7, 8, 5), (False, True, True)),
]


def random_case(shape, wrap, seed=0):
    """A field, a mobility between 0.1 and 1, an active mask with holes, and a drift."""
    rng = np.random.default_rng(seed)
    active = jnp.asarray(rng.random(shape) > 0.2, float)
    u = jnp.asarray(rng.random(shape)) * active
    spacing = tuple(1.0 + 0.5 * a for a in range(len(shape)))
    openings = open_faces(active, wrap)
    c = face_diffusion(jnp.asarray(0.1 + 0.9 * rng.random(shape)), openings, spacing, wrap)
    v = tuple(jnp.asarray(rng.normal(size=o.shape)) * o for o in openings)
    return active, u, c, v


@pytest.mark.parametrize(("shape", "wrap"), CASES)
def test_fluxes_conserve_and_stay_inside_the_field_of_view(shape, wrap):
    active, u, c, v = random_case(shape, wrap)
    for moved in (diffusion(u, c, wrap), drift(u, v, wrap)):
        assert abs(float(moved.sum())) < 1e-12 * float(jnp.abs(moved).sum())
        assert float(jnp.abs(moved * (1 - active)).max()) == 0


@pytest.mark.parametrize(("shape", "wrap"), CASES)
def test_diagonals_are_those_of_the_operators(shape, wrap):
    _, u, c, v = random_case(shape, wrap)
    probe = jnp.zeros_like(u).at[(2,) * u.ndim].set(1.0)
    assert diffusion(probe, c, wrap)[(2,) * u.ndim] == pytest.approx(
        -float(own_diffusion(c, wrap)[(2,) * u.ndim]), rel=1e-13
    )
    assert drift(probe, v, wrap)[(2,) * u.ndim] == pytest.approx(
        -float(own_drift(v, wrap)[(2,) * u.ndim]), rel=1e-13
    )


@pytest.mark.parametrize(("shape", "wrap"), CASES)
def test_diffusion_is_symmetric_and_drift_takes_from_no_empty_cell(shape, wrap):
    _, u, c, v = random_case(shape, wrap)
    w = jnp.asarray(np.random.default_rng(1).random(shape))
    assert float((w * diffusion(u, c, wrap)).sum()) == pytest.approx(
        float((u * diffusion(w, c, wrap)).sum()), rel=1e-12
    )
    empty = jnp.asarray(np.random.default_rng(2).random(shape) > 0.5)
    assert float(jnp.where(empty, drift(jnp.where(empty, 0, u), v, wrap), 0).min()) >= 0


@pytest.mark.parametrize("ndim", [2, 3])
def test_diffusion_is_second_order(ndim):
    """cos(pi x) cos(pi y) .. on the unit box with varying D, no flux and periodic borders: error falls by 4
    with h/2.
    """

    def error(n, periodic):
        wrap = (periodic,) * ndim
        x = np.meshgrid(*[(np.arange(n) + 0.5) / n] * ndim, indexing="ij")
        k = 2 * np.pi if periodic else np.pi
        u = np.prod([np.cos(k * q) for q in x], axis=0)
        D = 1 + 0.5 * np.prod([np.cos(k * q) for q in x], axis=0)
        exact = -ndim * k**2 * u * D
        for a in range(ndim):
            slope = (
                -k * np.sin(k * x[a]) * np.prod([np.cos(k * q) for b, q in enumerate(x) if b != a], axis=0)
            )
            exact = exact + 0.5 * slope**2
        c = face_diffusion(jnp.asarray(D), open_faces(jnp.ones((n,) * ndim), wrap), (1 / n,) * ndim, wrap)
        return float(np.sqrt(np.mean((np.asarray(diffusion(jnp.asarray(u), c, wrap)) - exact) ** 2)))

    for periodic in (False, True):
        coarse, fine = (error(n, periodic) for n in ((16, 32) if ndim == 3 else (32, 64)))
        assert np.log2(coarse / fine) > 1.9


def test_fitted_diffusion_with_upwind_drift_has_the_exact_steady_profile():
    """Constant D and v in one direction: C ~ exp(v x / D) solves the fluxes exactly, at any Peclet number."""
    n, h, D = 24, 10.0, 100.0
    wrap = (False, False)
    for v in (0.0, 1.0, 20.0, 200.0):
        x = (np.arange(n) + 0.5) * h
        profile = jnp.asarray(np.tile(np.exp(v * (x - x[-1]) / D), (3, 1)))
        openings = open_faces(jnp.ones((3, n)), wrap)
        faces = (jnp.zeros_like(openings[0]), jnp.full_like(openings[1], v / h))
        c = fitted(tuple(D * k for k in face_diffusion(jnp.ones((3, n)), openings, (h, h), wrap)), faces)
        left = diffusion(profile, c, wrap) + drift(profile, faces, wrap)
        assert float(jnp.abs(left).max()) < 1e-10


def test_a_smoothed_surface_has_the_same_area_and_width_at_any_spacing():
    """The slope of a smoothed step: its sum is the jump; its variance, mean over where the step cuts a cell,
    is length².
    """
    for h in (20.0, 10.0, 5.0):
        variances, taps = [], gaussian_taps(15.0, (h, h))
        slopes = jax.jit(lambda step, taps=taps: smooth_slopes(step, taps, (True, False)))
        for offset in np.arange(8) / 8:
            low = np.arange(int(400 / h)) * h
            step = np.tile(np.clip((200 + offset * h - low) / h, 0, 1), (4, 1))
            slope = -h * np.asarray(slopes(jnp.asarray(step))[1])[0]
            centre = low + h / 2
            assert slope.sum() == pytest.approx(1, abs=2e-4)
            assert (slope * centre).sum() == pytest.approx(200 + offset * h, abs=0.05)
            variances.append((slope * (centre - (slope * centre).sum()) ** 2).sum())
        assert np.sqrt(np.mean(variances)) == pytest.approx(15.0, rel=0.005)


@pytest.mark.parametrize(("shape", "wrap"), CASES)
def test_smoothing_keeps_constants_and_borders_are_no_surface(shape, wrap):
    spacing = (10.0, 20.0, 40.0)[: len(shape)]
    taps = gaussian_taps(15.0, spacing)
    flat = jnp.full(shape, 0.7)
    assert np.allclose(smooth(flat, taps, wrap), 0.7, atol=1e-14)
    assert float(length(smooth_slopes(flat, taps, wrap)).max()) < 1e-15


def test_length_has_a_derivative_at_zero():
    _, slope = jax.jvp(lambda a: length([a, a]), (jnp.zeros(3),), (jnp.ones(3),))
    assert np.all(np.isfinite(slope))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["float32", "float64"]))
@settings(max_examples=25, deadline=None)
def test_the_norm_does_not_depend_on_the_order(seed, dtype):
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        e = (rng.normal(size=997) * 10 ** rng.uniform(-3, 2)).astype(dtype)
        mixed = rng.permutation(e)
        assert float(mean_squares([jnp.asarray(e)], 997)[0]) == float(
            mean_squares([jnp.asarray(mixed)], 997)[0]
        )
        assert float(mean_squares([jnp.asarray(e)], 997)[0]) == pytest.approx(
            np.minimum(e.astype(float) ** 2, 1e4).mean(), rel=1e-6, abs=1e-6
        )


def test_a_nan_is_not_lost_in_the_norm():
    assert float(mean_squares([jnp.array([0.0, np.nan])], 2)[0]) > 1


def test_mirrors_deeper_than_the_array():
    u = jnp.arange(3.0)
    assert np.array_equal(boundaries.beyond(u, 0, 4, (False,)), np.pad(np.arange(3.0), 4, mode="symmetric"))


def test_what_a_gpu_does_in_other_words_gives_the_same_numbers(monkeypatch):
    """Interpolation by padded sums and of all fields at once, sums of several arrays in one pass, transport
    by cells instead of faces.
    """
    rng, closed = np.random.default_rng(0), (False, False)
    coarse = tuple(jnp.asarray(rng.random((5, 7))) for _ in range(3))
    fine = tuple(jnp.asarray(rng.random((9, 14))) for _ in range(3))

    def both():
        found = [multigrid._up(fine, coarse, wrap, (True, True)) for wrap in (closed, (False, True))]
        moved = []
        for wrap in (closed, (False, True)):
            faces = tuple(jnp.asarray(f) for f in faces_of((9, 14), wrap))
            moved += [f(fine[0], faces, wrap) for f in (transport.diffusion, transport.drift)]
        return *found, reductions.totals(fine), reductions.mean_squares(fine, 126), moved

    def faces_of(shape, wrap):
        rng = np.random.default_rng(1)
        return [
            rng.normal(size=[n - (a == b and not w) for b, n in enumerate(shape)]) for a, w in enumerate(wrap)
        ]

    here = both()
    for module in (hierarchy, multigrid, reductions, transport):
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    there = both()
    assert reductions.totals([]) == ()  # a model without budgets
    for a, b in zip(jax.tree.leaves(here[:2]), jax.tree.leaves(there[:2]), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(jax.tree.leaves(here[2:]), jax.tree.leaves(there[2:]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14)


def test_numbers_from_one_array_are_the_numbers(monkeypatch):
    numbers = {"a": jnp.float32(1.5), "b": jnp.float32(-2.0)}
    assert no_fusion.as_one(numbers)(jnp.array(0)) is numbers
    monkeypatch.setattr(no_fusion, "on_cpu", lambda: False)
    assert jax.jit(lambda n: no_fusion.as_one(numbers)(n))(0) == numbers
    assert no_fusion.as_one({})(jnp.array(0)) == {}
