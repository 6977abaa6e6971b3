"""Targets of a section without tumour or drug.

They are the steady state, the RANKL/OPG ratio, RANKL given to mice, a front, and Lemaire 2004.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ...problem import Change
from ..verification.exact import lemaire_2004
from ..verification.results import Curve, Row
from .scenes import Scene, SceneRunner, Where
from .target import Target, least_fall, percent

YEAR = 365.0
THICKNESS = {"human": 120.0, "mouse": 60.0, "rat": 60.0}  # thickness of trabeculae, um


def t0(run_scene: SceneRunner) -> Iterator[Target]:
    (row,) = (r for r in lemaire_2004(run_scene.quick) if isinstance(r, Row))
    what, cited = "well-mixed limit against Lemaire 2004", "exact (10.1016/j.jtbi.2004.03.023)"
    yield Target("T0", what, cited, 100 * row.observed, None, 0.1, "%", "verification")


def _drift(run_scene: SceneRunner, scene: Scene) -> float:
    """The largest drift of BV/TV, %."""
    return 100 * float(np.abs(run_scene(scene).relative("bone_volume_fraction") - 1).max())


def t1(run_scene: SceneRunner) -> Iterator[Target]:
    drift = _drift(run_scene, Scene(YEAR))
    yield Target(
        "T1", "BV/TV of an untreated section, drift in a year", "steady", drift, None, 0.05, "%", "property"
    )
    pulse = run_scene(Scene(YEAR, changes=(Change("rankl_production", 2.0, 10.0, 20.0),)))
    back = percent(float(pulse.relative("osteoclast_number")[-1]))
    yield Target(
        "T1", "osteoclasts a year after RANKL x 2 for 10 days", "recovery", back, -2.0, 2.0, "%", "property"
    )


def m3(run_scene: SceneRunner) -> Iterator[Target]:
    """The drift of every preset without disease; in the full set also in a small block."""
    places: tuple[Where, ...] = ("section",) if run_scene.quick else ("section", "block")
    for place in places:
        for preset, thickness in THICKNESS.items():
            drift = _drift(run_scene, Scene(YEAR, preset, thickness=thickness, place=place))
            yield Target(
                "M3",
                f"BV/TV of an untreated {place}, drift in a year, {preset}",
                "steady",
                drift,
                None,
                0.05,
                "%",
                "property",
            )


RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
RATIO_DAYS = 180.0


def ratio(
    run_scene: SceneRunner, preset: str, factor: float, changed: tuple[tuple[str, float], ...] = ()
) -> tuple[float, float]:
    """BV/TV, and the number of osteoclasts, after half a year of another RANKL/OPG ratio."""
    change = (Change("rankl_production", factor, 0.0),)
    run = run_scene(Scene(RATIO_DAYS, preset, thickness=THICKNESS[preset], changes=change, changed=changed))
    return run.end("bone_volume_fraction"), run.end("osteoclast_number")


def t2(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited = "osteoclasts up, BV/TV down with RANKL/OPG (Boaretti 2023, 10.3389/fbioe.2023.1091294)"
    tuned = ("differentiation_exponent", "chemotaxis", "drift_limit")
    for preset in ("human", "mouse"):
        bone, cells = zip(*(ratio(run_scene, preset, r) for r in RATIOS), strict=True)
        what = f"least fall of BV/TV from step to step, ratio 0.25 to 16, {preset}"
        yield Target("T2", what, cited, least_fall(bone), 1e-9, None, "%", "calibration", tuned)
        rise = min(percent(b / a) for a, b in pairwise(cells))
        yield Target(
            "T2",
            f"least rise of osteoclasts from step to step, {preset}",
            cited,
            rise,
            None,
            None,
            "%",
            "prediction",
        )
        most = max(cells) / cells[RATIOS.index(1.0)]
        yield Target(
            "T2",
            f"osteoclasts at their most over baseline, {preset}",
            cited,
            most,
            None,
            None,
            "1",
            "prediction",
        )
        yield Curve("T2: RANKL/OPG ratio (x), BV/TV after 180 d", preset, RATIOS, bone)


def t12(run_scene: SceneRunner) -> Iterator[Target]:
    run = run_scene(Scene(10.0, "mouse", thickness=60.0, changes=(Change("rankl_production", 20.0, 0.0),)))
    tuned = ("differentiation_most", "precursor_supply_most", "turnover_speed", "formation_delay")
    for name, series, published, low, high in (
        ("BV/TV", "bone_volume_fraction", "-84 %", None, -50),
        ("osteoclasts", "osteoclast_number", "TRAP-5b +49 to +84 %", 40, 200),
        ("BSAP", "bsap", "ALP +300 to +400 %", 60, None),
        ("NTX", "ntx", "not measured; eroded endocortical surface +79 to +83 %", None, None),
    ):
        ours = percent(float(run.relative(series)[-1]))
        cited = f"{published} (Lloyd 2008, 10.1007/s00223-008-9133-6)"
        what = f"{name} after 10 days of RANKL x 20, mouse"
        yield Target("T12", what, cited, ours, low, high, "%", "calibration", tuned)


def t15(run_scene: SceneRunner) -> Iterator[Target]:
    def front(h: float) -> float:
        """The distance that it advances from day 60 to 120, as a share of the box."""
        half, end = 60.0, 120.0
        nothing = Change("rankl_production", 1.0, half)  # so that a step ends there
        run = run_scene(
            Scene(end, changes=(Change("rankl_production", 10.0, 0.0), nothing), place="front", spacing=h)
        )
        return run.at("bone_volume_fraction", half) - run.end("bone_volume_fraction")

    coarse, fine = (front(h) for h in (10.0, 5.0))
    what, tuned = (
        "speed of a resorption front, 10 um against 5 um",
        ("osteoclast_motility", "chemotaxis", "drift_limit"),
    )
    yield Target("T15", what, "the same", percent(coarse / fine), -2.0, 2.0, "%", "property", tuned)
