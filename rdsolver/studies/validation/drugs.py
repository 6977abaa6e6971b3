"""Targets of drugs in the healthy section: bone markers after Fc-OPG and denosumab, withdrawal, plasma."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...models.bone.binders import drug
from ...models.bone.parameters import parameters
from ...models.bone.pharmacokinetics import Dose, curve
from ..verification.results import Curve
from .scenes import Scene, SceneResult, SceneRunner, every
from .target import Target, percent

BEKKER = "Bekker 2001, 10.1359/jbmr.2001.16.2.348"
FITTED = ("fc_opg_K_eff", "activation_share", "formation_delay")


def fc_opg(run_scene: SceneRunner, amount: float, changed: tuple[tuple[str, float], ...] = ()) -> SceneResult:
    """The six weeks after one dose (mg/kg)."""
    return run_scene(Scene(42.0, doses=(Dose("fc_opg", amount, "sc", 0.0),), changed=changed))


def nadir(run: SceneResult) -> float:
    """The lowest NTX, % of change."""
    return percent(float(run.series["ntx"].min()))


def t3(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    run = fc_opg(run_scene, 3.0)
    for series, day, published, low, high in (
        ("ntx", 0.5, "falls", None, -15),
        ("ntx", 4.0, "-80 %", -88, -70),
        ("ntx", 42.0, "-14 %, not placebo-corrected", -25, 10),
        ("bsap", 21.0, "about 0", -25, None),
        ("bsap", 42.0, "-30 %", -40, -20),
    ):
        what = f"{series.upper()} on day {day:g} after Fc-OPG 3 mg/kg"
        ours = percent(run.at(series, day))
        yield Target("T3", what, f"{published} ({BEKKER})", ours, low, high, "%", "calibration", FITTED)
    for series in ("ntx", "bsap"):
        yield Curve(
            "T3: days after Fc-OPG 3 mg/kg (x), marker over baseline",
            series.upper(),
            run.series["time"],
            run.series[series],
        )


def t4(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited = "typical values of the model of Zierhut 2008, 10.1007/s10928-008-9093-5"
    for amount, published, low, high in (
        (0.1, -21, -30, -5),
        (0.3, -51, -60, -30),
        (1.0, -81, None, -60),
        (3.0, -94, None, -75),
    ):
        run = fc_opg(run_scene, amount)
        what = f"NTX nadir after Fc-OPG {amount:g} mg/kg"
        yield Target(
            "T4", what, f"{published} % ({cited})", nadir(run), low, high, "%", "calibration", FITTED
        )
        yield Curve(
            "T4: days after Fc-OPG (x), NTX over baseline",
            f"{amount:g} mg/kg",
            run.series["time"],
            run.series["ntx"],
        )


def t5(run_scene: SceneRunner) -> Iterator[Target]:
    run = run_scene(Scene(183.0, doses=(Dose("denosumab", 3.0, "sc", 0.0),)))
    cited = (
        "-81 %, placebo -10 % (Bekker 2004, 10.1359/JBMR.040305); the plateau calibrated by ntx_background,"
        " the duration predicted"
    )
    what = "NTX 6 months after denosumab 3 mg/kg"
    yield Target(
        "T5", what, cited, percent(run.end("ntx")), -88, -75, "%", "calibration", ("ntx_background",)
    )


FROZEN = (
    ("precursor_loss", 12.5),
    ("precursor_supply", 8800.0),
    ("precursor_supply_most", 1.0),
    ("young_osteocyte_opg_share", 0.0),
)
"""A precursor pool that nothing moves, and no memory of OPG: supply and loss are a thousand times as fast,
and the supply ignores RANKL.
"""


def t10(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited, tuned = (
        "more than 1, by the precursor pool (10.3389/fbioe.2022.886579)",
        ("young_osteocyte_opg_share", "precursor_loss"),
    )
    what = "osteoclasts after two doses of denosumab 1 mg/kg, half a year apart, most over baseline"
    panel = "T10: days (x), osteoclasts over baseline; denosumab on days 0 and 182"
    runs = [
        run_scene(Scene(900.0, doses=every("denosumab", 1.0, 182.0, 364.0), changed=changed))
        for changed in ((), FROZEN)
    ]
    free, frozen = (run.relative("osteoclast_number") for run in runs)
    yield Target("T10", what, cited, float(free.max()), 1.05, None, "1", "calibration", tuned)
    what = "the same, with the pool frozen and no OPG of young osteocytes"
    yield Target("T10", what, "none", float(frozen.max()), None, 1.01, "1", "mechanism")
    yield Curve(panel, "pool fills", runs[0].series["time"], free)
    yield Curve(panel, "pool frozen", runs[1].series["time"], frozen)


def t11(run_scene: SceneRunner) -> Iterator[Target]:
    rows = parameters((drug("fc_opg"),))
    found = curve(
        "fc_opg",
        {p.name: p.value for p in rows},
        (Dose("fc_opg", 3.0, "sc", 0.0),),
        np.array([1.0, 4.0, 10.0]),
    )
    for hours, published, ours in zip((24, 96, 240), (605.0, 320.0, 10.0), found, strict=True):
        what = f"Fc-OPG in plasma at {hours} h, 3 mg/kg sc"
        cited = f"{published:g} ng/mL (our run of the published model DDMODEL00000233; no data)"
        yield Target(
            "T11", what, cited, float(ours), 0.99 * published, 1.01 * published, "ng/mL", "verification"
        )
