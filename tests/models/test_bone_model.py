"""The biology, function by function, and the pharmacokinetics."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdsolver.models.bone import cells, matrix
from rdsolver.models.bone.binders import OPG
from rdsolver.models.bone.binding import binding_rate, koff
from rdsolver.models.bone.pharmacokinetics import Plasma, curve
from rdsolver.timestepping.system import Forcing
from tests.support.problems import Dose, drug, values

pytestmark = pytest.mark.usefixtures("double")
P = {k: np.float64(v) for k, v in values().items()}


def test_at_baseline_occupancy_every_response_is_at_its_baseline():
    one = jnp.asarray(1.0)
    assert float(cells.death(P, one)) == pytest.approx(0.16, rel=1e-14)
    still = P | {"survival_most": one, "survival_least": one}  # survival off
    assert [float(cells.death(still, x * one)) for x in (0.0, 0.5, 3.0)] == pytest.approx(
        [0.16] * 3, rel=1e-14
    )
    assert float(cells.differentiation(P, one)) == pytest.approx(P["differentiation"], rel=1e-14)
    assert float(cells.activation(P, one)) == pytest.approx(1.0, rel=1e-14)


def test_responses_are_monotone_and_bounded():
    u = jnp.linspace(0, 20, 400)
    death = np.asarray(cells.death(P, u))
    assert np.all(np.diff(death) < 0)
    assert death[0] == pytest.approx(0.16 * 3.803)
    assert death[-1] > 0.16 * 0.470
    assert np.all(np.diff(cells.differentiation(P, u)) > 0)
    assert float(cells.differentiation(P, u).max()) < P["differentiation_most"] * P["differentiation"]
    assert np.all(np.diff(cells.supply(P, u)) > 0)
    assert float(cells.supply(P, u).max()) < P["precursor_supply_most"]
    assert np.all(np.diff(cells.activation(P, u)) > 0)
    assert float(cells.activation(P, u)[0]) == pytest.approx(1 - P["activation_share"])
    assert float(cells.activation(P, u)[-1]) == pytest.approx(20 ** P["activation_exponent"])


def test_a_ceiling_of_one_leaves_no_answer_to_rankl():
    blind = P | {"precursor_supply_most": 1.0, "differentiation_most": 1.0}
    u = jnp.asarray([0.0, 1e-30, 0.2, 1.0, 30.0])
    assert np.array_equal(cells.supply(blind, u), np.ones(5))
    assert np.array_equal(cells.differentiation(blind, u), np.full(5, P["differentiation"]))


def test_round_off_negatives_give_no_nan():
    below = jnp.asarray(-1e-9)
    for f in (cells.death, cells.differentiation, cells.supply, cells.activation, cells.occupancy):
        assert np.isfinite(float(f(P, below)))


@given(st.floats(-1e4, 1e4))
def test_drift_is_bounded(gradient):
    assert abs(float(cells.drift_speed(P, jnp.asarray(gradient)))) < P["drift_limit"]


def test_binding_equilibrium_is_the_quadratic():
    """Without loss, L A = K Q with totals kept: Q from the quadratic, K = koff/kon."""
    p = P | {"rankl_loss": np.float64(0)}
    K, total_l, total_a = 0.03, 0.05, 0.06
    b = K + total_l + total_a
    q = (b - np.sqrt(b * b - 4 * total_l * total_a)) / 2
    rate = binding_rate(p, OPG, jnp.asarray(total_l - q), jnp.asarray(total_a - q), jnp.asarray(q))
    assert abs(float(rate)) < 1e-12 * float(p["opg_kon"]) * total_l * total_a
    assert float(koff(P, OPG)) == pytest.approx(864 * 0.03 - 10.13)


@given(st.floats(-5, 5), st.floats(0, 1, allow_subnormal=False), st.floats(1e-3, 10))
def test_moved_bone_solves_its_equation_and_stays_within_bounds(net, start, step):
    b = float(matrix.moved_bone(jnp.asarray(net), jnp.asarray(start), jnp.asarray(step)))
    assert 0 <= b <= 1
    assert b == pytest.approx(
        start + step * net * float(matrix.edge_factor(jnp.asarray(net), jnp.asarray(b))), abs=2e-9
    )
    if net == 0:
        assert b == start


def test_formation_in_step_with_resorption_balances_exactly():
    j = jnp.asarray(np.random.default_rng(0).random(100) + 0.01)
    assert np.array_equal(matrix.formed_after(P, j, j, jnp.asarray(0.5)), j)
    assert np.all(np.isfinite(matrix.formed_after(P, 0 * j, j, jnp.asarray(0.5))))


# --- plasma -------------------------------------------------------------------------------------------------


def test_fc_opg_plasma_is_the_published_model():
    """Target T11: 3 mg/kg s.c. gives 605, 320 and 10.0 ng/mL at 24, 96 and 240 h (Zierhut 2008,
    DDMODEL00000233).
    """
    found = curve(
        "fc_opg", values((drug("fc_opg"),)), [Dose("fc_opg", 3.0, "sc", 0.0)], np.array([1.0, 4.0, 10.0])
    )
    assert found == pytest.approx([605, 320, 10.0], rel=0.01)


def test_linear_plasma_is_the_bateman_function():
    v = values((drug("rank_fc"),))
    t = np.array([0.5, 1.0, 3.0, 10.0])
    ka, ke = 1.0, np.log(2) / 2
    exact = 0.8 * 3e6 / 50 * ka / (ka - ke) * (np.exp(-ke * t) - np.exp(-ka * t))
    assert curve("rank_fc", v, [Dose("rank_fc", 3.0, "sc", 0.0)], t) == pytest.approx(exact, rel=1e-7)


def test_doses_add_up_and_iv_is_there_at_once():
    v = values((drug("rank_fc"),))
    t = np.array([0.0, 1.0, 5.0, 8.0])
    one, two = ([Dose("rank_fc", a, r, s)] for a, r, s in ((3.0, "sc", 0.0), (1.0, "iv", 5.0)))
    together = curve("rank_fc", v, one + two, t)
    assert together == pytest.approx(curve("rank_fc", v, one, t) + curve("rank_fc", v, two, t), rel=1e-7)
    assert curve("rank_fc", v, two, np.array([5.0]))[0] == pytest.approx(1e6 / 50)


def test_interpolated_plasma_follows_the_curve():
    """What the device interpolates against the solver's own values, to 1e-5 of the peak."""
    v = values((drug("fc_opg"),))
    plasma = Plasma("fc_opg", v)
    plasma.give(Dose("fc_opg", 3.0, "sc", 0.0))
    rows = [jnp.asarray(x)[None] for x in plasma.advance(0.0, 60.0)]
    forcing = Forcing(*rows, jnp.asarray(60.0), ("plasma_fc_opg",))
    t = np.linspace(0.1, 59.9, 50)
    got = np.array([float(forcing.at(jnp.asarray(x), jnp.float64)["plasma_fc_opg"]) for x in t])
    want = curve("fc_opg", v, [Dose("fc_opg", 3.0, "sc", 0.0)], t) / 90.0
    assert np.abs(got - want).max() < 1e-5 * want.max()


def test_largest_repeated_doses_keep_plasma_finite_and_falling_after_the_last():
    v = values((drug("denosumab"),))
    t = np.linspace(0, 400, 81)
    found = curve("denosumab", v, [Dose("denosumab", 3.0, "sc", 28.0 * i) for i in range(4)], t)
    assert np.all(np.isfinite(found))
    assert found.min() >= 0
    assert np.all(np.diff(found[t > 100]) < 0)


@pytest.mark.parametrize("left", [[-2e-9, -9e-12, -2e-12, -4e-10, 0], [5e-324, 0, 0, 0, 0]])
def test_what_round_off_leaves_of_a_drug_that_is_gone_is_advanced_too(left):
    plasma = Plasma("rank_fc", values((drug("rank_fc"),)), np.array(left))
    _, concentration, slopes = plasma.advance(364.0, 365.0)
    assert np.abs(concentration).max() < 1e-12
    assert np.abs(slopes).max() < 1e-12
