"""Infusions and steady states in plasma and on bone, held against closed forms and against many doses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdsolver.errors import InputError
from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.components.bisphosphonate import ROWS, OnBone
from rdsolver.models.bone.pharmacokinetics import Dose, Plasma, curve, due, under_way
from rdsolver.utils.instants import Instants
from tests.support.problems import values

ONE = {  # one compartment: ke = CL/Vc = 0.4 /d
    "rank_fc_bioavailability": 0.6,
    "rank_fc_absorption": 1.5,
    "rank_fc_central_volume": 50.0,
    "rank_fc_clearance": 20.0,
}
KE, KA = 0.4, 1.5


def one(**changed: float) -> dict[str, float]:
    return values((drug("rank_fc"),), **(ONE | changed))


def infused(t: np.ndarray, route: str) -> np.ndarray:
    """The plasma amount after t days of an infusion of 1 ng/(kg d), in closed form."""
    t = np.maximum(t, 0)
    constant = -np.expm1(-KE * t) / KE
    if route == "iv":
        return constant
    return 0.6 * (constant - (np.exp(-KA * t) - np.exp(-KE * t)) / (KE - KA))


@pytest.mark.parametrize("route", ["iv", "sc"])
@pytest.mark.parametrize("duration", [15 / 1440, 0.5, 3.0])
def test_an_infusion_follows_the_closed_form_during_it_and_after(route, duration):
    t = np.concatenate([np.linspace(1, 1 + duration, 7), np.linspace(1 + duration, 12, 23)[1:]])
    found = curve("rank_fc", one(), [Dose("rank_fc", 3.0, route, 1.0, duration)], t)
    rate = 3e6 / duration
    exact = rate * (infused(t - 1, route) - infused(t - 1 - duration, route)) / 50.0
    assert found == pytest.approx(exact, rel=1e-7, abs=1e-7 * exact.max())
    assert exact.max() > 1e3


def test_a_short_infusion_becomes_the_bolus():
    t = np.array([1.0, 4.0])
    bolus, short, shortest = (
        curve("fc_opg", values((drug("fc_opg"),)), [Dose("fc_opg", 3.0, "iv", 0.0, d)], t)
        for d in (0.0, 1e-6, 1e-12)
    )
    assert short == pytest.approx(bolus, rel=1e-5)
    assert shortest == pytest.approx(bolus)


DOSES = st.builds(
    lambda *given: Dose("rank_fc", *given),
    st.floats(0.1, 10),
    st.sampled_from(["iv", "sc"]),
    st.floats(0, 5),
    st.sampled_from([0.0, 0.02, 1.0, 7.0]),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(DOSES, min_size=2, max_size=4))
def test_overlapping_infusions_add(doses):
    t = np.array([0.5, 2.5, 4.999, 7.0, 13.0])
    alone = sum(curve("rank_fc", one(), [d], t) for d in doses)
    assert curve("rank_fc", one(), doses, t) == pytest.approx(alone, rel=1e-6, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.lists(DOSES, min_size=1, max_size=4))
def test_without_elimination_all_that_was_given_is_there(doses):
    """Under the skin or in plasma, with all of it absorbed."""
    still = one(rank_fc_clearance=0.0, rank_fc_bioavailability=1.0)
    plasma, now = Plasma("rank_fc", still), 0.0
    for t in sorted({t for d in doses for t in (d.time, d.end)} | {13.0}):
        if t > now:
            plasma.advance(now, t, infusions=under_way(doses, "rank_fc", (now + t) / 2))
        for dose in due(doses, t):
            plasma.give(dose)
        now = t
        given_so_far = sum(
            d.amount * (1.0 if t >= d.end else (t - d.time) / d.duration) for d in doses if d.time <= t
        )
        assert plasma.amounts.sum() == pytest.approx(1e6 * given_so_far, rel=1e-8)


def test_the_interpolated_curve_of_an_infusion_follows_it():
    """Its slopes are right, so that cubic Hermite between its knots is: in the free drug, with a target."""
    v = values((drug("denosumab"),))
    dose = Dose("denosumab", 1.0, "iv", 0.0, 0.5)
    times, found, slopes = Plasma("denosumab", v).advance(0.0, 0.5, infusions=(dose,))
    middle = (times[1:] + times[:-1]) / 2
    h = np.diff(times)
    between = (found[1:] + found[:-1]) / 2 + h * (slopes[:-1] - slopes[1:]) / 8
    want = curve("denosumab", v, [dose], middle) / v["denosumab_molar_mass"]
    late = middle > 1e-3
    assert between[late] == pytest.approx(want[late], rel=1e-5)


# --- steady state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["iv", "sc"])
def test_a_linear_steady_state_is_the_geometric_sum(route):
    t, interval = np.linspace(0.01, 13.9, 15), 14.0
    found = curve("rank_fc", one(), [Dose("rank_fc", 2.0, route, 0.0, 0.0, interval)], t)
    fast, slow = (np.exp(-k * t) / -np.expm1(-k * interval) for k in (KA, KE))
    exact = 2e6 / 50 * (slow if route == "iv" else 0.6 * KA / (KA - KE) * (slow - fast))
    assert found == pytest.approx(exact, rel=1e-7)


def test_a_steady_state_of_infusions_that_meet_is_constant():
    """At the rate of the infusion over the clearance."""
    dose = Dose("rank_fc", 2.0, "iv", 0.0, 7.0, 7.0)
    found = curve("rank_fc", one(), [dose], np.array([0.0, 2.0, 6.9]))
    assert found == pytest.approx(2e6 / 7 / 20.0, rel=1e-7)


@pytest.mark.parametrize("duration", [0.0, 0.25])
@pytest.mark.parametrize(("name", "interval"), [("denosumab", 28.0), ("denosumab", 180.0), ("fc_opg", 3.5)])
def test_a_steady_state_is_what_sixty_doses_come_to(name, interval, duration):
    """Where elimination saturates, and where a target binds the drug."""
    v, n = values((drug(name),)), 60
    t = np.array([duration + 0.01, interval / 2, interval * 0.999])
    many = [Dose(name, 1.0, "sc", i * interval, duration) for i in range(n)]
    steady = [Dose(name, 1.0, "sc", 0.0, duration, interval)]
    assert curve(name, v, steady, t) == pytest.approx(curve(name, v, many, t + (n - 1) * interval), rel=1e-6)


def test_a_steady_state_goes_on_as_it_begins_and_replaces_what_was_there():
    course = [Dose("fc_opg", 3.0, "sc", 7.0 * i, 0.0, 7.0 if i == 1 else 0.0) for i in range(4)]
    before = [Dose("fc_opg", 50.0, "iv", 6.0, 9.0)]  # ended by it, though it would last until day 15
    v = values((drug("fc_opg"),))
    found = curve("fc_opg", v, before + course, np.array([6.5, 8.0, 15.0, 22.0]))
    assert found[2:] == pytest.approx(found[1], rel=1e-6)
    assert found[0] > 2 * found[1]


@pytest.mark.parametrize(
    ("changed", "amount"), [({"rank_fc_clearance": 0.0}, 1.0), ({"rank_fc_clearance": 1e-9}, 1.0)]
)
def test_a_drug_that_accumulates_without_end_has_no_steady_state(changed, amount):
    with pytest.raises(InputError, match="has no steady state"):
        Plasma("rank_fc", one(**changed)).give(Dose("rank_fc", amount, "sc", 0.0, 0.0, 7.0))


def test_more_than_saturated_elimination_takes_has_no_steady_state():
    v = values((drug("fc_opg"),), fc_opg_clearance=0.0)  # at most 4,560 ng/(kg d) leave
    with pytest.raises(InputError, match="has no steady state"):
        Plasma("fc_opg", v).give(Dose("fc_opg", 0.01, "iv", 0.0, 0.0, 1.0))
    Plasma("fc_opg", v).give(Dose("fc_opg", 0.001, "iv", 0.0, 0.0, 1.0))


def test_no_drug_is_a_steady_state():
    plasma = Plasma("denosumab", values((drug("denosumab"),)))
    plasma.give(Dose("denosumab", 0.0, "sc", 0.0, 0.0, 28.0))
    assert not plasma.amounts.any()


# --- a bisphosphonate ---------------------------------------------------------------------------------------

BONE = {row.name: row.value for row in ROWS}
K, STANDARD = BONE["bisphosphonate_release"], BONE["bisphosphonate_dose"]


def test_an_infused_bisphosphonate_follows_the_closed_form():
    dose, duration = Dose("bisphosphonate", 2 * STANDARD, "iv", 0.0, 15 / 1440), 15 / 1440
    bone = OnBone(BONE)
    bone.give(dose)
    assert bone.amounts == 0
    times, found, slopes = bone.advance(0.0, duration, infusions=(dose,))
    rate = 2 / duration
    assert found == pytest.approx(rate / K * -np.expm1(-K * times), rel=1e-12)
    assert slopes == pytest.approx(rate - K * found, rel=1e-12)
    times, after, _ = bone.advance(duration, 100.0)
    assert after == pytest.approx(found[-1] * np.exp(-K * (times - duration)), rel=1e-12)


def test_what_a_bisphosphonate_keeps_and_lets_go_is_what_was_infused():
    bone = OnBone(BONE)
    dose = Dose("bisphosphonate", 3 * STANDARD, "iv", 0.0, 40.0)
    times = np.linspace(0.0, 40.0, 20_001)
    _, found, _ = bone.advance(0.0, 40.0, times, (dose,))
    assert found[-1] + K * np.trapezoid(found, times) == pytest.approx(3.0, rel=1e-8)
    still = OnBone(BONE | {"bisphosphonate_release": 0.0})
    still.advance(0.0, 40.0, infusions=(dose,))
    assert still.amounts == pytest.approx(3.0, rel=1e-15)


@pytest.mark.parametrize("duration", [0.0, 5.0, 28.0])
def test_a_bisphosphonate_in_steady_state_comes_back_to_itself(duration):
    dose = Dose("bisphosphonate", STANDARD, "iv", 0.0, duration, 28.0)
    bone = OnBone(BONE)
    bone.amounts = np.array([99.0])  # replaced
    bone.give(dose)
    begun = bone.amounts
    if duration:
        bone.advance(0.0, duration, infusions=(dose,))
    bone.advance(duration, 28.0)
    assert bone.amounts + (0.0 if duration else 1.0) == pytest.approx(begun, rel=1e-12)
    if not duration:
        assert begun == pytest.approx(1 / -np.expm1(-28.0 * K), rel=1e-12)
    with pytest.raises(InputError, match="has no steady state"):
        OnBone(BONE | {"bisphosphonate_release": 0.0}).give(dose)


# --- doses ------------------------------------------------------------------------------------------------


@given(st.floats(0, 99), st.floats(1e-3, 99), st.floats(-5e-8, 5e-8))
def test_an_infusion_begins_and_ends_at_instants(time, duration, off):
    """To a rounding of the end, which is a sum."""
    end = time + duration
    instant = Instants(100.0, [time, end + off])
    moved = Dose("rank_fc", 1.0, "iv", time, duration).at(instant)
    assert moved.time == instant(time)
    assert moved.end == pytest.approx(instant(end), rel=4e-16)


def test_two_steady_states_at_one_time_are_refused_and_a_dose_beside_one_comes_after_it():
    steady = Dose("rank_fc", 1.0, "iv", 0.0, 0.0, 7.0)
    alone, beside = (
        curve("rank_fc", one(), doses, np.array([0.0]))[0]
        for doses in ([steady], [Dose("rank_fc", 2.0, "iv", 0.0), steady])
    )
    assert beside == pytest.approx(alone + 2e6 / 50)
