"""Times that are the same but for rounding are one; schedules are exact; nothing is leapt over."""

from fractions import Fraction
from itertools import pairwise
from math import inf, nextafter

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rdsolver import simulate
from rdsolver.config.load import config_from
from rdsolver.errors import InputError
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.base import Field
from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.components.tumour import SerumCalcium
from rdsolver.models.bone.extension import Extension
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.pharmacokinetics import Treatment, curve
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import DRIVEN
from rdsolver.parallel import device
from rdsolver.problem import Change, ModelProblem, Solver
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.simulation.model_scenario import ModelScenario
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.choice import choose
from rdsolver.utils.instants import SIMULTANEOUS, Instants
from tests.support.driven import GRID, NONE, driven
from tests.support.problems import Dose, problem, replace, run, series

pytestmark = pytest.mark.long

END = 4.0
UNITS = {
    "s": Fraction(1, 86400),
    "min": Fraction(1, 1440),
    "h": Fraction(1, 24),
    "d": Fraction(1),
    "week": Fraction(7),
}
SLAB = {"kind": "slab", "size": ["160 um", "160 um"], "spacing": "20 um", "thickness": "10 um"}


def nudged(t: float, by: int) -> float:
    """A time as another way to compute it might give it: by so many last digits, or by a share of what counts
    as the same.
    """
    if abs(by) <= 4:
        for _ in range(abs(by)):
            t = nextafter(t, inf if by > 0 else 0.0)
        return t
    return t + by / 100 * SIMULTANEOUS * END


NUMBERS = ["1", "2", "3", "5", "7", "8", "0.1", "0.3", "0.7", "1e1", "90", "1234.5"]
intervals = st.tuples(st.sampled_from(NUMBERS), st.sampled_from([*UNITS]))
repeats = st.lists(st.tuples(intervals, intervals, st.integers(1, 60)), min_size=1, max_size=3)
echoes = st.lists(
    st.tuples(st.sampled_from(["dose", "change", "save"]), st.integers(0, 200), st.integers(-40, 40)),
    max_size=4,
)


def exactly(interval: tuple[str, str]) -> Fraction:
    return Fraction(interval[0]) * UNITS[interval[1]]


def planned(schedules, again) -> tuple[dict, dict, list[Fraction]]:
    """The tables of a run by intervals; those of the same run by lists of times, where what falls together is
    the same number; and all times of doses, exact. again: a dose, a change or a saved time at the time of an
    earlier dose, or a rounding beside it.
    """
    due, tables, plain = (
        [],
        {"dose": [], "change": [], "time": {"end": END}},
        {"dose": [], "change": [], "time": {"end": END}},
    )
    for first, every, times in schedules:
        exact = [exactly(first) + i * exactly(every) for i in range(times)]
        exact = [t for t in exact if t < END * (1 - 1e-6)]
        if exact:
            given = {"agent": "fc_opg", "amount": "1 mg/kg"}
            tables["dose"].append(
                given | {"at": " ".join(first), "every": " ".join(every), "times": len(exact)}
            )
            plain["dose"].append(given | {"at": [float(t) for t in exact]})
            due += exact
    assume(due)
    saved = {float(t) for t in (0.0, END / 3)}, {float(t) for t in (0.0, END / 3)}
    for what, which, by in again:
        t = float(due[which % len(due)])
        for into, at, save in ((tables, nudged(t, by), saved[0]), (plain, t, saved[1])):
            if what == "dose":
                into["dose"].append({"agent": "rank_fc", "amount": "2 mg/kg", "at": at})
            elif what == "change":
                into["change"].append({"parameter": "rankl_production", "factor": 2, "at": at})
            else:
                save.add(at)
    for into, save in ((tables, saved[0]), (plain, saved[1])):
        into["time"]["save"] = sorted(save)
    return tables, plain, sorted({*due})


def of(tables: dict):
    return config_from({"section": SLAB} | tables, "made here").problem()


@settings(max_examples=150)
@given(repeats, echoes)
def test_a_schedule_is_what_the_list_of_its_exact_times_is(schedules, again):
    """Whatever intervals and units say, and whatever falls together or a rounding apart."""
    tables, plain, due = planned(schedules, again)
    assume(all(b - a > 3 * SIMULTANEOUS * END for a, b in pairwise([*due, Fraction(END)])))
    assume(all(t == 0 or t > 3 * SIMULTANEOUS * END for t in due))
    got, want = of(tables), of(plain)
    assert [(d.agent, d.amount) for d in got.doses] == [(d.agent, d.amount) for d in want.doses]
    pairs = [
        *zip([d.time for d in got.doses], [d.time for d in want.doses], strict=True),
        *zip(got.save, want.save, strict=True),
    ]
    pairs += [(c.start, w.start) for c, w in zip(got.changes, want.changes, strict=True)]
    assert all(abs(a - b) <= SIMULTANEOUS * END for a, b in pairs)
    events = sorted({0.0, END, *got.save, *(d.time for d in got.doses), *(c.start for c in got.changes)})
    assert len(events) == len(
        {0.0, END, *want.save, *(d.time for d in want.doses), *(c.start for c in want.changes)}
    )
    assert all(b - a > SIMULTANEOUS * END for a, b in pairwise(events))
    if not again:
        assert got.doses == want.doses


def test_a_thousand_doses_do_not_drift():
    p = of(
        {
            "dose": [{"agent": "fc_opg", "amount": "1 mg/kg", "every": "8 h", "times": 1000}],
            "time": {"end": "400 d", "save": "8 h"},
        }
    )
    assert [d.time for d in p.doses] == [float(Fraction(i, 3)) for i in range(1000)]
    assert p.save == tuple(float(Fraction(i, 3)) for i in range(1201))


def test_the_time_with_the_fewest_digits_stands_for_the_others_and_the_ends_for_themselves():
    instant = Instants(1.0, [0.1 + 0.2, 0.3, 1e-10, 1 - 1e-10, 0.5])
    assert [instant(t) for t in (0.1 + 0.2, 0.3, 0.3 + 1e-10)] == [0.3] * 3
    assert [instant(t) for t in (0.0, 1e-10, 1 - 1e-10, 1.0, 1 + 5e-10)] == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert [instant(t) for t in (0.3 + 2e-9, 0.7)] == [0.3 + 2e-9, 0.7]
    with pytest.raises(InputError, match=r"3 times from 0\.5 to .* cannot be distinguished"):
        Instants(1.0, [0.5, 0.5 + 0.9e-9, 0.5 + 1.8e-9])


# --- whole runs ---------------------------------------------------------------------------------------------


def dosed(doses, changes=(), save=(0.0, END)):
    return problem(
        agents=("fc_opg",),
        doses=tuple(Dose("fc_opg", 1.0, "sc", t) for t in doses),
        changes=changes,
        save=save,
        end=END,
    )


def told(p) -> dict[str, np.ndarray]:
    return series(run(p)[1])


def test_doses_changes_and_saves_that_meet_by_rounding_run_as_if_they_met_exactly():
    """A dose every 8 h, a dose and changes on day 1, and a saved time that sums to it."""
    eight_hours = 0.333333333333333  # 15 digits, as a file may have them
    near = dosed(
        (*(i * eight_hours for i in range(6)), 1.0),
        (
            Change("rankl_production", 2.0, nextafter(1.0, 0.0)),
            Change("opg_production", 2.0, 0.9, 1.0 + 2e-12),
        ),
        (0.0, sum([0.1] * 10), 0.3, 0.1 + 0.2, END),
    )
    exact = dosed(
        (0.0, 1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3, 1.0),
        (Change("rankl_production", 2.0, 1.0), Change("opg_production", 2.0, 0.9, 1.0)),
        (0.0, 0.3, 1.0, END),
    )
    got, want = told(near), told(exact)
    assert near.save == exact.save
    assert len(got["time"]) == len(want["time"])
    for name, x in want.items():
        np.testing.assert_allclose(got[name], x, rtol=1e-6, atol=1e-9)
    assert np.diff(got["time"]).min() > 1e-6


def test_a_change_that_lasts_no_time_is_refused():
    with pytest.raises(
        InputError,
        match=r"rankl_production begins at 0\.3 and ends at 0\.30000000000000004, which is one instant",
    ):
        dosed((), (Change("rankl_production", 2.0, 0.3, 0.1 + 0.2),))
    tables = {
        "change": [{"parameter": "rankl_production", "factor": 2, "at": 0.3, "until": 0.1 + 0.2}],
        "time": {"end": END},
    }
    with pytest.raises(
        InputError, match=r"change\.0\.until = 0\.30000000000000004 d is the same time as at = 0\.3 d"
    ):
        of(tables)


def test_a_dose_a_rounding_before_the_end_is_at_the_end():
    with pytest.raises(InputError, match=r"puts the dose at 4 d, when the run is over"):
        of({"dose": [{"agent": "fc_opg", "amount": "1 mg/kg", "at": END - 1e-12}], "time": {"end": END}})


@pytest.mark.usefixtures("double")
def test_doses_that_wait_for_a_lesion_meet_what_is_there_by_rounding():
    """The lesion is seen on day 0.1; a dose is due 0.2 later, another drug's fixed dose at 0.3."""
    waiting = Treatment(0.01, (Dose("fc_opg", 1.0, "sc", 0.2), Dose("fc_opg", 1.0, "sc", END - 0.1 - 1e-12)))
    scenario = BoneScenario(replace(dosed((0.3,)), treatments=(waiting,)), begin=False)
    scenario.watched(0.1, 0.1, {"lesion_area": 0.02, "bone_volume_fraction": 0.3})
    assert scenario.surprised
    assert [d.time for d in scenario.doses] == [0.3, 0.3]  # and the one at the end is not given
    assert scenario.events == [0.3, END]


@pytest.mark.usefixtures("double")
def test_serum_calcium_follows_the_parameters_of_its_step():
    """A step of this length from an event on day 30: its end minus its length is before the event."""
    days = 5.398
    assert (30 + days) - days < 30
    p = problem(end=60.0, tumour=Nests(count=1), changes=(Change("calcium_intake", 2.0, 30.0),))
    scenario = BoneScenario(p, begin=False)
    scenario.hosts = {"tumour": SerumCalcium(p.section.bone_volume_fraction, p.parameters, 2.4)}
    scenario.hosts["tumour"].load_state({"calcium": 2.4, "bone": 0.3, "planted": 0.3})
    scenario.between(0.0, 30.0)
    scenario.between(30.0, 60.0)
    seen = {"lesion_area": 0.0, "bone_volume_fraction": 0.3, "mean_pthrp": 0.0}
    assert scenario.watched(30 + days, days, seen)["serum_calcium"] > 2.401


# --- rates that follow time ---------------------------------------------------------------------------------


def test_break_times_are_events_also_those_that_a_change_of_a_parameter_brings():
    p = replace(driven(pulse=1.0), changes=(Change("on", 0.5, 10.0),))
    with device.on("cpu"):
        assert ModelScenario(p).events == [10.0, 23.3 / 2, 23.3, 23.9, 60.0]
    assert driven().breaks == ()


def test_rates_see_the_time_before_a_jump_until_the_step_has_landed_on_it():
    with device.on("cpu"):
        scenario = ModelScenario(driven(pulse=5.0))
        before, after = scenario.between(0.0, 23.3), scenario.between(23.3, 23.9)
        u = {"u": jnp.zeros(GRID.shape, jnp.float32)}
        left, right = (float(s.rates(np.float64(23.3), u)["u"][0, 0]) for s in (before, after))
    assert (left, right) == (0.0, 5.0)


@pytest.mark.parametrize(
    "declared", ["3", (1.0, float("nan")), [[1.0]], lambda p: p["nowhere"], lambda p: "soon"]
)
def test_break_times_that_are_none_are_refused(declared):
    model = replace(DRIVEN, breaks=declared)
    with pytest.raises(InputError, match="the break times of driven by time"):
        ModelProblem(model, GRID, NONE, {}, 60.0)


def test_no_step_is_longer_than_asked():
    with device.on("cpu"):
        chunks = list(Simulation(driven(Solver("etdrk4", longest_step=0.7), dose=1.0)).steps())
    assert 0.6 < max(c.dt for c in chunks) <= 0.7
    with pytest.raises(InputError, match=r"solver\.longest_step = 0\.0 must be above 0"):
        Solver(longest_step=0)


def test_longest_step_counts_where_integrators_are_chosen():
    """A step of rkc2 that is short anyway is cheaper than two solves."""
    with device.on("cpu"):
        system, u = (scenario := ModelScenario(driven(day=1.0))).system, scenario.u
        _, why = choose(Solver(longest_step=1e-3), system, u, 60.0, 1)
        _, free = choose(Solver(), system, u, 60.0, 1)
    works = [
        {w.split()[0]: float(w.split()[1].replace(",", "")) for w in text.split(": ")[1].split(", ")}
        for text in (why, free)
    ]
    assert all(works[0][name] > 50 * works[1][name] for name in works[0])


class Heard:
    """A reporter that keeps its warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def say(self, *_): ...
    def progress(self, *_): ...


def warned(problem) -> list[str]:
    heard = Heard()
    with simulate(problem, reporter=heard) as done:
        assert done.provenance["warnings"] == heard.warnings
    return heard.warnings


def test_rates_that_follow_time_earn_a_warning_unless_something_says_how_closely():
    def rates(u, p, at):
        return {"u": jnp.where(at["time"] > 0.5, 1.0, 0.0) * at["active"]}

    def at_rest(u, p, at):
        return {"u": 0 * u["u"] + at["active"]}

    model = ReactionDiffusion("on", (Field("u", "1", 1.0, "u"),), rates, {"u": "D"})
    base = ModelProblem(model, GRID, {"D": 1.0}, {}, 1.0)
    (said,) = warned(base)
    assert said.startswith("the rates of on depend on time, and it is not stated how fast")
    assert warned(replace(base, solver=Solver(longest_step=0.1))) == []
    assert warned(replace(base, model=replace(model, breaks=(0.5,)))) == []
    assert warned(replace(base, model=replace(model, rates=at_rest))) == []


@pytest.mark.usefixtures("double")
def test_what_an_extension_does_in_time_is_asked_too():
    def joint(u, p, at):
        return {"rankl": jnp.sin(at["time"]) ** 2 * at["marrow"]}

    p = problem(extension=Extension("joint", joint))
    assert "the rates of joint depend on time" in BoneScenario(p, begin=False).warnings[0]
    declared = replace(p, components=(Extension("joint", joint, breaks=(3.0, 7.0)),))
    assert BoneScenario(declared, begin=False).warnings == ()
    assert BoneScenario(declared, begin=False).events == [3.0, 7.0, 10.0]


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.4, 0.8])
@pytest.mark.parametrize("period", [0.5, 1.0, 2.0])
def test_etdrk4_sees_what_follows_time_alone_whatever_its_period_and_phase(period, phase):
    """It grew its steps over many days and was 69 % off; with one look a step at some phases still 1 %."""
    model = ReactionDiffusion(
        "swing",
        (Field("u", "1", 1.0, "u"),),
        lambda u, p, at: {
            "u": 1 + jnp.sin(2 * jnp.pi * (at["time"] / p["period"] + p["phase"])) - 0.1 * u["u"]
        },
        {"u": "D"},
    )
    times = tuple(np.linspace(0, 60, 13)[1:] - 0.77)
    p = ModelProblem(
        model, GRID, {"D": 100.0, "period": period, "phase": phase}, {}, 60.0, times, solver=Solver("etdrk4")
    )
    with device.on("cpu"):
        got = {t: u["u"][0, 0] for c in Simulation(p).steps() for t, u in c.saved}
    w, k, t = 2 * np.pi / period, 0.1, np.array(times)
    swing = (k * np.sin(w * t + 2 * np.pi * phase) - w * np.cos(w * t + 2 * np.pi * phase)) / (k**2 + w**2)
    start = (k * np.sin(2 * np.pi * phase) - w * np.cos(2 * np.pi * phase)) / (k**2 + w**2)
    want = (1 - np.exp(-k * t)) / k + swing - start * np.exp(-k * t)
    assert np.abs(np.array([got[x] for x in times]) / want - 1).max() < 5e-3


def test_a_plasma_curve_begins_at_a_dose_that_is_due_but_for_rounding():
    rows = parameters((drug("fc_opg"),))
    found = curve(
        "fc_opg",
        {p.name: p.value for p in rows},
        (Dose("fc_opg", 1.0, "iv", 0.1 + 0.2),),
        np.array([0.1, 0.3, 0.5]),
    )
    assert found[0] == 0
    assert found[1] > found[2] > 0
