"""Random schedules: doses, changes and saved times that fall together, or a rounding apart."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import inf, isclose, nextafter
from pathlib import Path
from random import Random
from typing import Any

UNITS = {"s": 86400, "min": 1440, "h": 24, "d": 1, "week": 1 / 7}
NUMBERS = ("1", "2", "3", "7", "8", "0.1", "0.3", "0.7", "1e1", "45", "90", "1234.5", "1e-3", "1e4")
MOST = 40
"""Doses of one table."""


def schedule(folder: Path, rng: Random) -> Path:
    """A config of a run with one to three schedules, and up to six events at or beside those, or at 0 or the
    end.
    """
    end, text, known = float(rng.choice((1, 2, 3, 10, 365, 0.3))), "", [0.0]
    for _ in range(rng.randint(1, 3)):
        (first, every), unit = (rng.choice(NUMBERS) for _ in range(2)), rng.choice([*UNITS])
        start, step = float(first) / UNITS[unit], float(every) / UNITS[unit]
        times = min(rng.randint(1, MOST), int((end - start) / step))
        if times > 0:
            text += dose(rng, f'at = "{first} {unit}"\nevery = "{every} {unit}"\ntimes = {times}')
            known += [start + i * step for i in range(times)]
    saved = {0.0}
    for _ in range(rng.randint(0, 6)):
        t = beside(rng.choice([*known, end]), end, rng)
        match rng.randrange(4):
            case 0:
                text += dose(rng, f"at = [{t!r}, {beside(rng.choice(known), end, rng)!r}]")
            case 1:
                until = beside(rng.choice([*known, end]), end, rng)
                text += (
                    f'[[change]]\nparameter = "rankl_production"\nfactor = {rng.choice((0, 0.5, 2))}\nat ='
                    f" {t!r}\n"
                )
                text += f"until = {until!r}\n" if until > t and rng.random() < 0.7 else ""
            case _:
                saved.add(min(t, end))
    path, interval = folder / "schedule.toml", rng.choice(('"8 h"', '"0.1 d"', sorted(saved)))
    path.write_text(
        '[section]\nkind = "slab"\nsize = ["160 um", "160 um"]\nspacing = "20 um"\nthickness = "10 um"\n'
        f"[time]\nend = {end}\nsave = {interval if end < 100 else sorted(saved)}\n{text}"
    )
    return path


def dose(rng: Random, when: str) -> str:
    agent = rng.choice(("rank_fc", "fc_opg", "bisphosphonate"))
    return f'[[dose]]\nagent = "{agent}"\namount = "{rng.choice((0, 1, 3))} mg/kg"\n{when}\n'


def beside(t: float, end: float, rng: Random) -> float:
    """That time, or one a few last digits or a share of what counts as the same away."""
    match rng.randrange(4):
        case 0:
            return t
        case 1:
            return max(t + rng.uniform(-0.4e-9, 0.4e-9) * end, 0.0)
        case 2:
            return max(t + rng.choice((-3e-9, 3e-9, 1e-7)) * end, 0.0)
    for _ in range(rng.randint(1, 4)):
        t = nextafter(t, rng.choice((0.0, inf)))
    return t


def walk(path: Path) -> None:
    """Through all events of the run: every drug's curve from one to the next; and a source that the changes
    act on, to the end.

    Raises AssertionError where a run would lose a dose, make a step of nothing, miss a saved time or a
    change.
    """
    from rdsolver.config.load import load_config
    from rdsolver.parallel import device
    from rdsolver.simulation.bone_scenario import BoneScenario

    config = load_config(path)
    p: Any = config.problem()
    assert len(p.doses) == sum(len(d.schedule()) for d in config.dose), "a dose is lost"
    with device.on("cpu"):
        scenario = BoneScenario(p, begin=False)
        for begin, end in pairwise([0.0, *scenario.events]):
            assert end - begin > 1e-9 * p.end, f"an interval of {end - begin:g} d"
            scenario.between(begin, end)
        given = sum(
            d.amount for d in p.doses if d.agent == "bisphosphonate" and p.end - d.time < 1e-3 * p.end
        )
        plasma = scenario.plasma_at(p.end)
        assert (
            not given
            or plasma["bisphosphonate"].amounts[0] > 0.9 * given / p.parameters["bisphosphonate_dose"]
        ), "a dose is not given"
        follow(p)


@cache
def source() -> Any:
    from rdsolver.models.base import Field
    from rdsolver.models.pointwise import ReactionDiffusion

    made = ReactionDiffusion(
        "source",
        (Field("u", "1", 1.0, "u"),),
        lambda u, p, at: {"u": p["rankl_production"] * at["active"] + 0 * p["mark"]},
        {"u": "D"},
    )
    return made


def follow(p: Any) -> None:
    """du/dt = 1, times what the changes make of it, with an event at each dose."""
    from rdsolver.geometry.grid import Grid
    from rdsolver.problem import Change, ModelProblem, Solver
    from rdsolver.problem.changes import in_force
    from rdsolver.simulation.time_loop import Simulation

    changes = (*p.changes, *(Change("mark", 1.0, d.time) for d in p.doses))
    values = {"D": 1.0, "mark": 1.0, "rankl_production": 1 / p.end}
    grid = Grid((2, 4), (1.0, 1.0), thickness=1.0)
    problem = ModelProblem(
        source(),
        grid,
        values,
        {"u": 0.0},
        p.end,
        p.save,
        changes=changes,
        solver=Solver("rkc2", 1e-2, "float64"),
    )
    simulation = Simulation(problem)
    chunks = list(simulation.steps())
    assert tuple(t for c in chunks for t, _ in c.saved) == p.save, "a saved time is missed"
    assert min(c.dt for c in chunks[1:]) > 0.4e-9 * p.end, "a step of nothing"
    times = sorted({0.0, p.end, *(t for c in p.changes for t in (c.start, c.end) if t < p.end)})
    exact = sum((b - a) * in_force(values, p.changes, a)["rankl_production"] for a, b in pairwise(times))
    assert isclose(float(simulation.u["u"][0, 0]), exact, rel_tol=1e-9, abs_tol=1e-9), "a change is missed"
