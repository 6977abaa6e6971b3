"""The solver of a stage: exact cells, contraction that holds, budgets that close."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import drug, square, values

from rdsolver.domain.grid import Grid
from rdsolver.domain.trabeculae import trabecular
from rdsolver.models.bone.binding import Loss, binding
from rdsolver.models.bone.model import BoneModel
from rdsolver.operators import multigrid
from rdsolver.operators.blocks import Dense
from rdsolver.operators.transport import face_diffusion, open_faces

pytestmark = pytest.mark.usefixtures("double")
AGENTS = (drug("rank_fc"), drug("denosumab"))


def binding_case(shape, seed=0):
    """A block and coefficients of three binders, with RANKL and binders as they are under a drug."""
    rng = np.random.default_rng(seed)
    p = {k: jnp.asarray(v) for k, v in values(AGENTS).items()}
    binders = BoneModel(AGENTS).binders
    active = jnp.asarray(rng.random(shape) > 0.1, float)
    local = {"active": active, "rankl": 0.002 * jnp.asarray(rng.random(shape)) * active, "marrow": jnp.asarray(rng.random(shape)) * active}
    local |= {f"free_{i}": size * jnp.asarray(rng.random(shape)) * active for i, size in enumerate((0.06, 50.0, 5.0))}
    return p, binders, binding(p, binders), local


def test_a_cell_is_solved_exactly():
    """The closed form of the arrow against a dense solution, coefficients over five decades."""
    _, binders, block, local = binding_case((6, 7))
    rng = np.random.default_rng(1)
    n = 1 + 2 * len(binders)
    diagonal = tuple(jnp.asarray(10 ** rng.uniform(-1, 4, (6, 7))) for _ in range(n))
    r = tuple(jnp.asarray(rng.normal(size=(6, 7))) for _ in range(n))
    x = block.solve(block.factor(local, diagonal), r)
    back = block.minus_jacobian(local, x)
    for i in range(n):
        assert np.allclose(diagonal[i] * x[i] + back[i], r[i], rtol=1e-9, atol=1e-9)


def test_a_dense_block_equals_the_arrow():
    """Built from the entries of an arrow, the general block applies and solves the same."""
    _, binders, block, local = binding_case((6, 7))
    n, rng = 1 + 2 * len(binders), np.random.default_rng(4)
    unit = [tuple(jnp.full((6, 7), float(i == k)) for i in range(n)) for k in range(n)]
    columns = [block.minus_jacobian(local, e) for e in unit]
    entries = {f"j_{i}_{k}": columns[k][i] for i in range(n) for k in range(n) if bool(jnp.any(columns[k][i]))}
    dense, diagonal = Dense(n), tuple(jnp.asarray(10 ** rng.uniform(-1, 4, (6, 7))) for _ in range(n))
    v = tuple(jnp.asarray(rng.normal(size=(6, 7))) for _ in range(n))
    assert len(entries) < n * n  # an arrow: entries left out are zero
    for got, want in zip(dense.minus_jacobian(entries, v), block.minus_jacobian(local, v), strict=True):
        assert np.allclose(got, want, rtol=1e-12, atol=1e-12)
    solved = (b.solve(b.factor(c, diagonal), v) for b, c in ((dense, entries), (block, local)))
    for got, want in zip(*solved, strict=True):
        assert np.allclose(got, want, rtol=1e-9, atol=1e-12)


def test_the_block_is_the_jacobian_of_the_reaction():
    grid = square(8)
    model = BoneModel(AGENTS)
    vals = values(AGENTS)
    p = {k: jnp.asarray(v) for k, v in vals.items()}
    section = trabecular(Grid((8, 8), (75.0, 75.0), thickness=10.0), 0.3, 150.0, 1)
    place = model.prepare(grid, jnp.ones((8, 8)), vals, model.blank_reference(jnp.ones((8, 8))))
    rng = np.random.default_rng(2)
    u = {k: jnp.asarray(rng.random((8, 8))) * f.scale for k, f in ((f.name, f) for f in model.fields(vals))} | {
        "bone": jnp.asarray(section.bone)
    }
    aux = model.refresh(u, p, place)
    inputs = {name: jnp.asarray(3.0) for name in model.inputs}
    for group in model.groups:
        if group.solve != "transport":
            continue
        if group.name == "osteoclasts":  # crowding is taken from the predicted osteoclasts, so its derivative is left out
            p = p | {"osteoclast_limit": jnp.asarray(1e30)}
        block, local = model.linearise(group.name, u, p, place, aux, inputs)
        v = tuple(jnp.asarray(rng.normal(size=(8, 8))) for _ in group.fields)

        def react(w, group=group, p=p):
            out = model.reaction(u | dict(zip(group.fields, w, strict=True)), p, place, aux, inputs)
            return tuple(out[k] for k in group.fields)

        _, want = jax.jvp(react, (tuple(u[k] for k in group.fields),), (v,))
        for got, expected in zip(block.minus_jacobian(local, v), want, strict=True):
            assert np.allclose(-got, expected, rtol=1e-10, atol=1e-12 * float(jnp.abs(expected).max()))


def scalar_case(shape, spacing, sigma, contrast=10.0, mask="open", dtype=float):
    """Diffusion through generated bone (D falls by `contrast` in it), loss 10 /d in marrow units of RANKL."""
    grid = Grid(shape, spacing, thickness=10.0 if len(shape) == 2 else None)
    if min(shape) * 9 < max(shape):  # a strip, too thin for a generated section
        bone = np.tile((np.sin(np.arange(shape[-1]) / 3) > 0.5).astype(float), (*shape[:-1], 1))
    else:
        bone = trabecular(grid, 0.25, min(n * h for n, h in zip(shape, spacing, strict=True)) / 4.5, 3).bone
    active = np.ones(shape)
    if mask == "circle":
        x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
        active = (np.sqrt((x[-2:] ** 2).sum(0)) < 0.95).astype(float)
    if mask == "impermeable":
        active = (bone < 0.5).astype(float)
    wrap = (False,) * len(shape)
    active = jnp.asarray(active, dtype)
    c = face_diffusion(jnp.asarray(1 - bone + bone / contrast, dtype), open_faces(active, wrap), spacing, wrap)
    op = multigrid.Operator(jnp.asarray(sigma, dtype), (jnp.asarray(1.123e6, dtype),), Loss())
    level = multigrid.level(c, {"active": active, "loss": 0.01 * active}, None, wrap)
    hierarchy = multigrid.Shape.of(shape, spacing, wrap)
    return op, multigrid.hierarchy(level, hierarchy), hierarchy, active


@pytest.mark.parametrize(
    ("shape", "spacing", "sigma", "mask", "bound"),
    [
        ((64, 64), (10.0, 10.0), 10.0, "open", 0.35),
        ((64, 64), (10.0, 10.0), 0.01, "open", 0.45),
        ((64, 64), (10.0, 10.0), 10.0, "circle", 0.4),
        ((53, 61), (12.0, 12.0), 10.0, "open", 0.45),
        ((64, 64), (10.0, 40.0), 10.0, "open", 0.45),
        ((6, 96), (10.0, 10.0), 10.0, "open", 0.45),
        ((20, 22, 24), (25.0, 25.0, 25.0), 10.0, "open", 0.4),
    ],
)
def test_contraction(shape, spacing, sigma, mask, bound):
    op, levels, hierarchy, _ = scalar_case(shape, spacing, sigma, mask=mask)
    factors = multigrid.contraction(op, levels, hierarchy, 8)
    assert np.prod(factors[2:]) ** (1 / 6) < bound


def test_budgets_close_after_one_cycle_in_either_precision():
    """Summed over the field of view, the linear equations hold to round-off however few the cycles."""
    for dtype, bound in ((jnp.float64, 1e-12), (jnp.float32, 1e-5)):
        op, levels, shape, active = scalar_case((48, 40), (10.0, 10.0), 5.0, mask="circle", dtype=dtype)
        r = (jnp.asarray(np.random.default_rng(3).random(active.shape), dtype) * active,)
        sums = (jnp.sum(r[0], dtype=jnp.float64),)
        v, _, _ = multigrid.solve(op, levels, r, sums, shape, 1, lambda c: jnp.max(jnp.abs(c[0])).astype(jnp.float64))
        local = levels[0].local
        held = float(jnp.sum((op.sigma * local["active"] + local["loss"]) * v[0], dtype=jnp.float64))
        assert held == pytest.approx(float(sums[0]), rel=bound)
        assert float(jnp.abs(v[0] * (1 - active)).max()) == 0


def test_hierarchy_of_odd_thin_and_anisotropic_grids():
    of = multigrid.Shape.of
    assert len(of((128, 128), (10.0, 10.0), (False, False)).halved) == 4
    assert of((64, 64), (10.0, 40.0), (False, False)).halved[:2] == ((True, False), (True, False))  # until cells are square
    assert of((4, 128), (10.0, 10.0), (False, False)).halved[-1] == (False, True)  # down to one cell across
    assert of((9, 16), (10.0, 10.0), (True, False)).halved[0] == (False, True)  # an odd axis that wraps cannot be halved
    assert of((8, 8), (10.0, 10.0), (False, False)).halved == ()
