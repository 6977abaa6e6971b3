"""The solver of a stage: exact cells, contraction that holds, budgets that close."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.bone.binding import binding
from rdsolver.models.bone.model import BoneModel
from rdsolver.operators import krylov, multigrid
from rdsolver.operators.blocks import Dense
from rdsolver.studies.verification.multigrid_cases import CASES, Case
from tests.support.problems import drug, square, values

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("double")]
AGENTS = (drug("rank_fc"), drug("denosumab"))


def binding_case(shape, seed=0):
    """A block and coefficients of three binders, with RANKL and binders as they are under a drug."""
    rng = np.random.default_rng(seed)
    p = {k: jnp.asarray(v) for k, v in values(AGENTS).items()}
    binders = BoneModel(AGENTS).binders
    active = jnp.asarray(rng.random(shape) > 0.1, float)
    local = {
        "active": active,
        "rankl": 0.002 * jnp.asarray(rng.random(shape)) * active,
        "marrow": jnp.asarray(rng.random(shape)) * active,
    }
    local |= {
        f"free_{i}": size * jnp.asarray(rng.random(shape)) * active
        for i, size in enumerate((0.06, 50.0, 5.0))
    }
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
    entries = {
        f"j_{i}_{k}": columns[k][i] for i in range(n) for k in range(n) if bool(jnp.any(columns[k][i]))
    }
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
    place = model.prepare(
        grid, jnp.ones((8, 8)), jnp.asarray(section.bone), vals, model.blank_reference(jnp.ones((8, 8)))
    )
    rng = np.random.default_rng(2)
    u = {
        k: jnp.asarray(rng.random((8, 8))) * f.scale for k, f in ((f.name, f) for f in model.fields(vals))
    } | {"bone": jnp.asarray(section.bone)}
    aux = model.update_coefficients(u, p, place)
    inputs = {name: jnp.asarray(3.0) for name in model.inputs}
    for group in model.groups:
        if group.solve != "transport":
            continue
        # crowding is taken from the predicted osteoclasts, so its derivative is left out
        if group.name == "osteoclasts":
            p = p | {"osteoclast_limit": jnp.asarray(1e30)}
        block, local = model.linearise(group.name, u, p, place, aux, inputs)
        v = tuple(jnp.asarray(rng.normal(size=(8, 8))) for _ in group.fields)

        def react(w, group=group, p=p):
            out = model.reaction(u | dict(zip(group.fields, w, strict=True)), p, place, aux, inputs)
            return tuple(out[k] for k in group.fields)

        _, want = jax.jvp(react, (tuple(u[k] for k in group.fields),), (v,))
        for got, expected in zip(block.minus_jacobian(local, v), want, strict=True):
            assert np.allclose(-got, expected, rtol=1e-10, atol=1e-12 * float(jnp.abs(expected).max()))


QUICK = [case for case in CASES if case.quick]


@pytest.mark.parametrize("case", QUICK, ids=[case.name for case in QUICK])
def test_contraction(case):
    assert case.observe() <= case.bound


def largest(change):
    return jnp.max(jnp.abs(change[0])).astype(jnp.float64)


@pytest.mark.parametrize("accelerated", [False, True])
def test_budgets_close_after_one_cycle_in_either_precision(accelerated):
    """Summed over the field of view, the linear equations hold to round-off however few the cycles; with
    given values too.
    """
    for precision, bound in (("float64", 1e-12), ("float32", 1e-5)):
        case = Case("", 0, (48, 40), sigma=5.0, mask="circle", held="sides", precision=precision)
        op, levels, shape, scales = case.build()
        local, active = levels[0].local, levels[0].local["active"]
        r = (jnp.asarray(np.random.default_rng(3).random(active.shape), active.dtype) * active,)
        sums = (jnp.sum(r[0], dtype=jnp.float64),)
        rest = sums, shape, 1, largest, scales if accelerated else None
        v, _, _ = jax.jit(lambda r, op=op, levels=levels, rest=rest: multigrid.solve(op, levels, r, *rest))(r)
        stays = float(
            jnp.sum((op.sigma * active + local["j_0_0"] + levels[0].held[0]) * v[0], dtype=jnp.float64)
        )
        assert stays == pytest.approx(float(sums[0]), rel=bound)
        assert float(jnp.abs(v[0] * (1 - active)).max()) == 0


def matrix(op, level, wrap):
    """The operator as a dense matrix, by its action on unit vectors."""
    n, shape = len(op.diffusivity), level.local["active"].shape
    size = int(np.prod(shape))
    unit = jnp.eye(n * size).reshape(n * size, n, *shape)
    rows = jax.vmap(lambda e: jnp.stack(multigrid.apply(op, level, tuple(e), wrap)))(unit)
    return np.asarray(rows).reshape(n * size, n * size).T


@pytest.mark.parametrize("accelerated", [False, True])
def test_cycles_reach_the_solution_and_one_program_serves_any_number(accelerated):
    """Three coupled fields with vessels that hold values, against a dense solution; the number of cycles is
    no constant.
    """
    op, levels, shape, scales = Case("", 0, (18, 22), group="decoy", held="vessels").build()
    active = levels[0].local["active"]
    rng = np.random.default_rng(5)
    r = tuple(jnp.asarray(rng.random(active.shape)) * active for _ in range(3))
    sums = tuple(jnp.sum(x) for x in r)
    a = matrix(op, levels[0], shape.wrap)
    inside = np.tile(np.asarray(active).ravel() > 0, 3)
    want = np.zeros(len(a))
    want[inside] = np.linalg.solve(
        a[np.ix_(inside, inside)], np.concatenate([np.asarray(x).ravel() for x in r])[inside]
    )
    run = jax.jit(
        lambda cycles: multigrid.solve(
            op, levels, r, sums, shape, cycles, largest, scales if accelerated else None
        )
    )
    errors = []
    for cycles in (1, 4, 16):
        got, _, _ = run(jnp.asarray(cycles))
        errors.append(
            np.abs(np.concatenate([np.asarray(x).ravel() for x in got]) - want).max() / np.abs(want).max()
        )
    assert run._cache_size() == 1
    assert errors[2] < 1e-7
    assert errors[2] < errors[1] < errors[0]


def test_conjugate_residuals_solve_a_matrix_that_is_not_symmetric():
    """In as many iterations as it has rows, without a preconditioner, even where the residual alone would
    stall for good.
    """
    # v . (turn v) = 0 in two of them
    turn = np.array([[0.0, 1.0, 0, 0], [-1.0, 0.0, 0, 0], [0, 0, 2.0, 1.0], [0, 0, -1.0, 2.0]])
    want = np.array([1.0, 2.0, 3.0, 4.0])
    now = krylov.begin((jnp.asarray(turn @ want),))
    for _ in range(5):
        now = krylov.step(now, lambda v: (jnp.asarray(turn) @ v[0],), lambda r: r, (jnp.asarray(1.0),))
    assert np.allclose(now.v[0], want, atol=1e-10)


def test_hierarchy_of_odd_thin_and_anisotropic_grids():
    of = multigrid.Shape.of
    assert len(of((128, 128), (10.0, 10.0), (False, False)).halved) == 4
    # until cells are square
    assert of((64, 64), (10.0, 40.0), (False, False)).halved[:2] == ((True, False), (True, False))
    assert of((4, 128), (10.0, 10.0), (False, False)).halved[-1] == (False, True)  # down to one cell across
    # an odd axis that wraps cannot be halved
    assert of((9, 16), (10.0, 10.0), (True, False)).halved[0] == (False, True)
    assert of((8, 8), (10.0, 10.0), (False, False)).halved == ()
