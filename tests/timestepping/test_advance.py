"""The program of a run: what it does on the device, and where it hands over to the host."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.parallel import device
from rdsolver.simulation import program
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping import attempt as a
from rdsolver.timestepping.advance import ROWS, advance
from tests.support.prey import prey

INTEGRATORS = ["tr-bdf2", "rkc2", "etdrk4"]


@pytest.fixture(autouse=True)
def cpu():
    with device.on("cpu"):
        yield


def taken(p, **more):
    simulation = Simulation(p, **more)
    steps = list(simulation.steps())
    return simulation, steps


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_no_bit_depends_on_where_the_calls_end(integrator):
    p = prey(integrator, save=(0.4, 0.41, 2.9))
    want, steps = taken(p)
    for attempts in (1, 3, ROWS):
        got, same = taken(p, attempts=attempts)
        for one, other in zip(same, steps, strict=True):
            assert (one.t, one.dt, one.observed, str(one.stats)) == (
                other.t,
                other.dt,
                other.observed,
                str(other.stats),
            )
        assert got.totals.rejected == want.totals.rejected
        for one, other in zip(same, steps, strict=True):
            assert [t for t, _ in one.saved] == [t for t, _ in other.saved]
            for (_, u), (_, v) in zip(one.saved, other.saved, strict=True):
                assert all(np.array_equal(u[k], v[k]) for k in v)
        assert all(np.array_equal(got.u[k], want.u[k]) for k in want.u)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_saved_times_change_no_step(integrator):
    """Also more of them in one step than the buffer usually holds."""
    few, _ = taken(prey(integrator))
    times = tuple(np.linspace(2.0, 3.0, 8 * program.MOST_SAVED))
    many, steps = taken(prey(integrator, save=times))
    assert many.totals.steps == few.totals.steps
    assert max(len(s.saved) for s in steps) > program.MOST_SAVED
    saved = [x for s in steps for x in s.saved]
    assert tuple(t for t, _ in saved) == times
    assert all(np.array_equal(many.u[k], few.u[k]) for k in few.u)
    assert all(np.array_equal(saved[-1][1][k], few.u[k]) for k in few.u)
    change = [np.abs(v["a"] - u["a"]).max() for (_, u), (_, v) in pairwise(saved)]
    assert min(change) > 0
    assert max(change) < 3 * min(change)  # no jump where a step ends


def leg_and_lane(simulation, **conditions):
    simulation._start()
    return replace(simulation._leg, **conditions), simulation._lane


def test_a_step_that_passes_more_saved_times_than_there_is_room_for_is_not_tried():
    simulation = Simulation(prey())
    leg, lane = leg_and_lane(simulation)
    lane = replace(lane, dt=np.float64(0.1))
    ahead, on, most = np.array([[0.02, 0.04, 0.06]]), np.ones(1, bool), np.int32(9)
    full = advance(simulation.integrator, leg, lane, on, ahead, most, 2)
    assert (bool(full.full), int(full.attempts), int(full.saved.kept[0])) == (True, 0, 0)
    room = advance(simulation.integrator, leg, lane, on, np.append(ahead, [[np.nan, np.nan]], 1), most, 4)
    assert (bool(room.full), int(room.saved.kept[0])) == (False, 3)


def test_a_level_of_an_observable_ends_the_call():
    simulation = Simulation(prey())
    leg, lane = leg_and_lane(simulation, levels={"amount": np.float64(0.6)})
    found = program.call(simulation.integrator, leg, lane, program.Call(64, 1e-9))
    seen = [row["observed.amount"] for row in found.rows if row["outcome"] == a.ACCEPTED]
    assert found.now.status == a.TRIGGERED
    assert max(seen[:-1]) < 0.6 <= seen[-1]
    assert found.now.t < 3
    never = replace(leg, levels={"amount": np.float64(inf)})
    assert program.call(simulation.integrator, never, lane, program.Call(64, 1e-9)).now.status == a.LANDED


def test_an_interpolant_below_zero_makes_the_step_end_at_the_saved_time():
    """A pulse that is eaten within a step: the cubic through its ends goes below zero."""
    simulation = Simulation(prey())
    leg, lane = leg_and_lane(simulation, tol=np.float64(1e-9), longest=np.float64(0.5))
    leg = replace(leg, forced=np.bool_(True))
    u = {"a": jnp.full((9, 8), 1e-3), "b": jnp.full((9, 8), 40.0)}
    f = {"a": jnp.full((9, 8), -0.04), "b": jnp.full((9, 8), -40.0)}
    lane = replace(lane, u=u, dt=np.float64(0.5), step_state=replace(lane.step_state, f=f, middle=f))
    found = program.call(simulation.integrator, leg, lane, program.Call(2, 1e-9, [0.1]))
    outcomes = [(row["outcome"], row["t"]) for row in found.rows]
    assert outcomes == [(a.UNDONE, 0.5), (a.ACCEPTED, 0.1)]
    ((when, state),) = found.saved
    assert when == 0.1
    assert all(np.array_equal(state[k], found.lane.u[k]) for k in state)


def test_the_steady_state_is_found_by_steps_of_infinite_length():
    """a = 2/3 where growth (1 - a) = b = a, whatever the start near it."""
    simulation = Simulation(prey())
    _, lane = leg_and_lane(simulation)
    leg = program.leg(simulation.system, inf, 1e-12, forced=True)
    lane = replace(
        lane, dt=np.float64(inf), landing=np.float64(inf), u={k: 0 * x + 0.6 for k, x in lane.u.items()}
    )
    found = program.call(simulation.integrator, leg, lane, program.Call(64, 1e-9))
    assert found.now.status == a.LANDED
    assert found.now.t == 0
    for x in found.lane.u.values():
        np.testing.assert_allclose(x, 2 / 3, rtol=1e-10)


def test_lanes_end_each_at_its_own_time_and_hold_nobody():
    """Three lanes, one of them empty: the call ends with the first that lands, and its bits are those of any
    other call.
    """
    simulation = Simulation(prey())
    leg, lane = leg_and_lane(simulation)
    stacked = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 3), (leg, lane))
    legs = replace(stacked[0], end=jnp.asarray([3.0, 0.5, 3.0]))
    lanes = replace(stacked[1], landing=legs.end)
    on, ahead = np.array([True, True, False]), np.full((3, 2), np.nan)
    ahead[:2, 0] = 0.3

    def called(lanes, most, on=on):
        return advance(simulation.integrator, legs, lanes, on, ahead, np.int32(most), 8, many=True)

    found = called(lanes, 64)
    assert found.lane.status.tolist() == [a.RUNNING, a.LANDED, a.IDLE]
    assert found.lane.t[1] == 0.5
    assert 0.3 < found.lane.t[0] < 3
    assert found.saved.kept.tolist() == [1, 1, 0]
    assert sorted(found.saved.lane[:2].tolist()) == [0, 1]
    outcomes = np.asarray(found.rows.values)[: int(found.attempts), :, 0]
    assert (outcomes[:, 2] == a.NOTHING).all()
    one = lanes
    for _ in range(int(found.attempts)):
        one = called(one, 1).lane
    for x, y in zip(jax.tree.leaves(one.u), jax.tree.leaves(found.lane.u), strict=True):
        assert np.array_equal(x, y)
