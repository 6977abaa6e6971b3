"""Targets of denosumab in women: exposure, markers and bone mineral under it, and what follows its end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...models.bone.binders import drug
from ...models.bone.parameters import parameters
from ...models.bone.pharmacokinetics import Dose, curve
from ..verification.results import Curve
from .scenes import Scene, SceneResult, SceneRunner
from .target import Target, percent

WEIGHT = 64.0  # kg, the weight that the pharmacokinetics are given for
INTERVAL = 182.0  # d
COURSE = 4 * INTERVAL  # d: four doses, until the fifth would be due
YEAR = 365.0

CHOI = "Choi 2025, 10.3389/fphar.2025.1631034"
LABEL = "the label of 60 mg, healthy volunteers (recalled)"
HEALTHY_VOLUNTEERS = {
    "absorption": 0.014 * 24,
    "target": 0.98,
    "target_loss": 0.24 / 0.98,
    "peripheral_clearance_1": 1130 * 24 / WEIGHT,
}
"""What differs in the healthy volunteers of Choi 2025; the default is that of women with osteoporosis."""
PHASE_2 = "median, phase 2 (McClung 2006, 10.1056/NEJMoa044459; as digitised in OpenBoneMin, months of 28 d)"
TUNED = (
    *("denosumab_K_eff", "precursor_loss", "precursor_supply_most", "young_osteocyte_opg_share"),
    *("young_osteocyte_life", "formation_basal", "bsap_background", "ntx_background", "turnover_speed"),
)

COMPONENTS: tuple[tuple[str, tuple[tuple[str, float], ...], tuple[str, ...]], ...] = (
    ("neither", (("young_osteocyte_opg_share", 0.0),), ()),
    ("osteomorphs alone", (("young_osteocyte_opg_share", 0.0),), ("osteomorphs",)),
    ("both", (), ("osteomorphs",)),
)
"""What the rebound is compared with: name, changed parameters, further components."""


def course(
    run_scene: SceneRunner,
    milligrams: float,
    end: float,
    changed: tuple[tuple[str, float], ...] = (),
    components: tuple[str, ...] = (),
) -> SceneResult:
    """Four doses, half a year apart, and what follows until `end` (d)."""
    times = (i * INTERVAL for i in range(4))
    doses = tuple(Dose("denosumab", milligrams / WEIGHT, "sc", t) for t in times if t < end)
    return run_scene(Scene(end, doses=doses, changed=changed, components=components))


def change(run: SceneResult, name: str, day: float) -> float:
    """The change of a series since the start, just before anything that happens on this day, %."""
    return percent(run.at(name, day - 0.01) / float(run.series[name][0]))


def t16(run_scene: SceneRunner) -> Iterator[Target]:
    rows = {p.name: p.value for p in parameters((drug("denosumab"),))}
    days = np.arange(0.0, 112.25, 0.25)
    for who, changed in (("healthy volunteers", HEALTHY_VOLUNTEERS), ("women with osteoporosis", {})):
        values = rows | {f"denosumab_{k}": x for k, x in changed.items()}
        level = curve("denosumab", values, (Dose("denosumab", 60 / WEIGHT, "sc", 0.0),), days) / 1e3
        for what, ours, published, unit in (
            ("Cmax", float(level.max()), 6.75, "ug/mL"),
            ("AUC to week 16", float(np.trapezoid(level, days)), 316.0, "ug d/mL"),
        ):
            band = (0.85 * published, 1.15 * published) if changed else (None, None)
            text = f"{what} of denosumab 60 mg, {who}"
            yield Target("T16", text, f"{published:g} {unit} ({LABEL})", ours, *band, unit, "prediction")


def t17(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    run = course(run_scene, 60.0, COURSE + YEAR)
    for what, day, published, low, high in (
        ("a month after the first dose", 30.0, "-88 %", -90, -75),
        ("before the second dose", INTERVAL, "-70 %", -80, -55),
        ("before a fifth dose", COURSE, "-58 %", -80, -55),
    ):
        ours = change(run, "ntx", day)
        text = f"NTX {what}, denosumab 60 mg every 182 d"
        yield Target("T17", text, f"CTX {published} ({PHASE_2})", ours, low, high, "%", "calibration", TUNED)
    low_dose = course(run_scene, 14.0, 2 * INTERVAL)
    for month, published in ((91.0, -76), (122.0, -62), (182.0, -35), (364.0, -14)):
        text = f"NTX on day {month:g}, denosumab 14 mg every 182 d"
        ours = change(low_dose, "ntx", month)
        yield Target(
            "T17", text, f"CTX {published} % ({PHASE_2})", ours, None, None, "%", "calibration", TUNED
        )
    for series, label in (("ntx", "NTX"), ("bsap", "BSAP"), ("bone_mineral", "bone mineral")):
        panel = "T17 to T19: days (x), over baseline; denosumab 60 mg on days 0, 182, 364 and 546"
        yield Curve(panel, label, run.series["time"], run.relative(series))


def t18(run_scene: SceneRunner) -> Iterator[Target]:
    run = course(run_scene, 60.0, COURSE + YEAR)
    for series, day, published, low, high in (
        ("bone mineral", COURSE, "lumbar BMD +7.2 %", 5, 10),
        ("bone mineral", INTERVAL, "lumbar BMD +3.7 %", None, None),
        ("BSAP", 0.5 * INTERVAL, "-57 %", -80, -40),
        ("BSAP", 1.5 * INTERVAL, "-66 %, its least", -80, -40),
        ("BSAP", COURSE, "-38 %", -80, -40),
        ("BV/TV", COURSE, "not known", None, None),
    ):
        name = {"bone mineral": "bone_mineral", "BSAP": "bsap", "BV/TV": "bone_volume_fraction"}[series]
        text = f"{series} on day {day:g}, denosumab 60 mg every 182 d"
        cited = f"{published} ({PHASE_2})" if series != "BV/TV" else published
        yield Target("T18", text, cited, change(run, name, day), low, high, "%", "calibration", TUNED)


def rebound(run: SceneResult) -> tuple[float, float, float]:
    """(Highest NTX after the course, % over baseline; its day after the dose that was not given; share of the
    bone mineral gained that is lost in a year, %).
    """
    after = run.series["time"] >= COURSE
    ntx, days = run.relative("ntx")[after], run.series["time"][after]
    gained, left = (change(run, "bone_mineral", day) for day in (COURSE, COURSE + YEAR))
    return percent(float(ntx.max())), float(days[ntx.argmax()] - COURSE), 100 * (1 - left / gained)


def t19(run_scene: SceneRunner) -> Iterator[Target]:
    cited = "about +60 % (Bone 2011, 10.1210/jc.2010-1502; recalled)"
    gone = "all of it (Bone 2011, recalled); -6.7 % at the spine after 8 years (McClung 2017)"
    peak, day, lost = rebound(course(run_scene, 60.0, COURSE + YEAR))
    what = "after four doses of denosumab 60 mg"
    yield Target("T19", f"NTX at its most {what}", cited, peak, 30, 100, "%", "calibration", TUNED)
    yield Target(
        "T19",
        "the same, days after the dose that was not given",
        "90 to 180 (review of the overshoot after denosumab, abstract)",
        day,
        None,
        None,
        "d",
        "prediction",
    )
    text = f"bone mineral gained that is lost in a year {what}"
    yield Target("T19", text, gone, lost, 70, None, "%", "calibration", TUNED)


def readings(run_scene: SceneRunner) -> Iterator[Target]:
    """The same with other readings of the rebound."""
    for name, changed, components in COMPONENTS:
        run = course(run_scene, 60.0, COURSE + YEAR, changed, components)
        peak, _, lost = rebound(run)
        trough = change(run, "ntx", COURSE)
        for label, published, ours in (
            ("NTX before a fifth dose", "-58 %", trough),
            ("NTX at its most after it", "+60 %", peak),
            ("gain lost in a year", "all", lost),
        ):
            text = f"{label}, OPG of young osteocytes and osteomorphs: {name}"
            yield Target("T19", text, published, ours, None, None, "%", "prediction")
