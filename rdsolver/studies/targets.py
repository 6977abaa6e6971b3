"""The targets of the model, T0 to T15: what was published, what we get, and the band in which it counts as met.

kind: calibration (it was used in tuning), prediction, mechanism, property, verification. A target missed is said to be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..domain.grid import Grid
from ..domain.nests import Nests
from ..domain.section import slab
from ..models.bone.binders import drug
from ..models.bone.parameters import parameters
from ..models.bone.pharmacokinetics import Dose, curve
from ..problem import Change, Problem, Solver
from .rows import Row
from .runs import saved
from .scenes import Scene, Stage, every
from .verify_exact import lemaire_2004

Kind = Literal["calibration", "prediction", "mechanism", "property", "verification"]


@dataclass(frozen=True)
class Target:
    """One figure against its band. published: with its citation; low, high: the band, in `unit` (None: open, both None: report)."""

    name: str
    what: str
    published: str
    ours: float
    low: float | None
    high: float | None
    unit: str
    kind: Kind

    @property
    def passed(self) -> bool:
        ok = np.isfinite(self.ours)
        return bool(ok and (self.low is None or self.ours >= self.low) and (self.high is None or self.ours <= self.high))

    @property
    def band(self) -> str:
        if self.low is None and self.high is None:
            return "report"
        if self.low is None or self.high is None:
            return f"<= {self.high:g}" if self.low is None else f">= {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


Study = Callable[[Stage], Iterator[Target]]


def percent(x: float) -> float:
    return 100 * (x - 1)


# --- the healthy section ------------------------------------------------------------------------------------------------


def t0(stage: Stage) -> Iterator[Target]:
    (row,) = (r for r in lemaire_2004(stage.quick) if isinstance(r, Row))
    yield Target(
        "T0",
        "well-mixed limit against Lemaire 2004",
        "exact (10.1016/j.jtbi.2004.03.023)",
        100 * row.observed,
        None,
        0.1,
        "%",
        "verification",
    )


def t1(stage: Stage) -> Iterator[Target]:
    still = stage(Scene(365.0))
    drift = np.abs(still.relative("bone_volume_fraction") - 1).max()
    yield Target("T1", "BV/TV of an untreated section, drift in a year", "steady", 100 * float(drift), None, 0.05, "%", "property")
    pulse = stage(Scene(365.0, changes=(Change("rankl_production", 2.0, 10.0, 20.0),)))
    back = percent(float(pulse.relative("osteoclast_number")[-1]))
    yield Target("T1", "osteoclasts a year after RANKL x 2 for 10 days", "recovery", back, -2.0, 2.0, "%", "property")


RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def t2(stage: Stage) -> Iterator[Target]:
    for preset, thickness in (("human", 120.0), ("mouse", 60.0)):
        runs = [stage(Scene(180.0, preset, thickness=thickness, changes=(Change("rankl_production", r, 0.0),))) for r in RATIOS]
        bone, cells = ([run.end(name) for run in runs] for name in ("bone_volume_fraction", "osteoclast_number"))
        cited = "osteoclasts up, BV/TV down with RANKL/OPG (Boaretti 2023, 10.3389/fbioe.2023.1091294)"
        least = min(percent(a / b) for a, b in pairwise(bone))
        yield Target(
            "T2", f"least fall of BV/TV from step to step, ratio 0.25 to 16, {preset}", cited, least, 1e-9, None, "%", "prediction"
        )
        most = max(cells) / cells[RATIOS.index(1.0)]
        yield Target("T2", f"osteoclasts at their most over baseline, {preset}", cited, most, None, None, "1", "prediction")


# --- drugs in the healthy section ----------------------------------------------------------------------------------------


def t3(stage: Stage) -> Iterator[Target]:
    run = stage(Scene(42.0, doses=(Dose("fc_opg", 3.0, "sc", 0.0),)))
    bekker = "Bekker 2001, 10.1359/jbmr.2001.16.2.348"
    for series, day, published, low, high in (
        ("ntx", 0.5, "falls", None, -15),
        ("ntx", 4.0, "-80 %", -88, -70),
        ("ntx", 42.0, "-14 %, not placebo-corrected", -25, 10),
        ("bsap", 21.0, "about 0", -25, None),
        ("bsap", 42.0, "-30 %", -40, -20),
    ):
        what = f"{series.upper()} on day {day:g} after Fc-OPG 3 mg/kg"
        yield Target("T3", what, f"{published} ({bekker})", percent(run.at(series, day)), low, high, "%", "calibration")


def t4(stage: Stage) -> Iterator[Target]:
    cited = "Zierhut 2008, 10.1007/s10928-008-9093-5; Body 2003, 10.1002/cncr.11138"
    for amount, published, low, high in ((0.1, -21, -30, None), (0.3, -51, -60, -30), (1.0, -81, None, -60), (3.0, -94, None, -75)):
        nadir = percent(float(stage(Scene(42.0, doses=(Dose("fc_opg", amount, "sc", 0.0),))).series["ntx"].min()))
        yield Target("T4", f"NTX nadir after Fc-OPG {amount:g} mg/kg", f"{published} % ({cited})", nadir, low, high, "%", "calibration")


def t5(stage: Stage) -> Iterator[Target]:
    run = stage(Scene(183.0, doses=(Dose("denosumab", 3.0, "sc", 0.0),)))
    cited = "-81 %, placebo -10 % (Bekker 2004, 10.1359/JBMR.040305); the plateau calibrated by f_bg, the duration predicted"
    yield Target("T5", "NTX 6 months after denosumab 3 mg/kg", cited, percent(run.end("ntx")), -88, -75, "%", "prediction")


def t10(stage: Stage) -> Iterator[Target]:
    doses = every("denosumab", 1.0, 182.0, 364.0)
    cited = "more than 1 (10.3389/fbioe.2022.886579)"
    run = stage(Scene(900.0, doses=doses))
    yield Target(
        "T10",
        "osteoclasts after denosumab is stopped, most over baseline",
        cited,
        float(run.relative("osteoclast_number").max()),
        1.05,
        None,
        "1",
        "prediction",
    )


def t11(stage: Stage) -> Iterator[Target]:
    rows = parameters((drug("fc_opg"),))
    found = curve("fc_opg", {p.name: p.value for p in rows}, (Dose("fc_opg", 3.0, "sc", 0.0),), np.array([1.0, 4.0, 10.0]))
    for hours, published, ours in zip((24, 96, 240), (605.0, 320.0, 10.0), found, strict=True):
        yield Target(
            "T11",
            f"Fc-OPG in plasma at {hours} h, 3 mg/kg sc",
            f"{published:g} ng/mL (DDMODEL00000233)",
            float(ours),
            0.99 * published,
            1.01 * published,
            "ng/mL",
            "verification",
        )


def t12(stage: Stage) -> Iterator[Target]:
    run = stage(Scene(10.0, "mouse", thickness=60.0, changes=(Change("rankl_production", 20.0, 0.0),)))
    cited = "-84 % (Lloyd 2008, 10.1007/s00223-008-9133-6); a known miss until recruitment is understood"
    yield Target(
        "T12",
        "BV/TV after 10 days of RANKL x 20, mouse",
        cited,
        percent(float(run.relative("bone_volume_fraction")[-1])),
        None,
        None,
        "%",
        "prediction",
    )


def t15(stage: Stage) -> Iterator[Target]:
    def front(h: float) -> float:
        section = slab(Grid((4, int(640 / h)), (h, h), thickness=10.0), thickness=400.0)
        values = {p.name: p.default("human") for p in parameters()}
        problem = Problem(
            section, values, 120.0, (0.0, 60.0, 120.0), changes=(Change("rankl_production", 10.0, 0.0),), solver=Solver("tr-bdf2")
        )
        bone = [float(np.asarray(u["bone"]).mean(0).sum()) * h for _, u in saved(problem)]
        return bone[1] - bone[2]

    coarse, fine = (front(h) for h in (10.0, 5.0))
    yield Target("T15", "speed of a resorption front, 10 um against 5 um", "the same", percent(coarse / fine), -2.0, 2.0, "%", "property")


# --- a tumour -------------------------------------------------------------------------------------------------------------

NEST = Nests(count=1, radius=80.0, seed=1)
MOUSE_DAYS, HUMAN_DAYS = 28.0, 120.0


def mouse(*doses: Dose) -> Scene:
    return Scene(MOUSE_DAYS, "mouse", doses, NEST, thickness=60.0)


def t6(stage: Stage) -> Iterator[Target]:
    alone = stage(mouse())
    cited = "Morony 2001, Cancer Res 61:4432; Clohisy 2000, J Orthop Res 18:967"
    for agent in ("fc_opg", "rank_fc"):
        run = stage(mouse(*every(agent, 10.0, 2.0, MOUSE_DAYS)))
        cells = percent(run.near_tumour("osteoclasts") / alone.near_tumour("osteoclasts"))
        burden = percent(run.end("tumour_burden") / alone.end("tumour_burden"))
        label = drug(agent).label
        yield Target(
            "T6", f"osteoclasts at the tumour under {label}, mouse", f"-90 % or more ({cited})", cells, None, -85, "%", "mechanism"
        )
        yield Target("T6", f"tumour in bone under {label}, mouse", f"-75 % or more ({cited})", burden, None, -60, "%", "mechanism")


def human(*doses: Dose, kind: str = "metastasis", end: float = HUMAN_DAYS, changed: Mapping[str, float] | None = None) -> Scene:
    return Scene(end, "human", doses, NEST, kind, tuple((changed or {}).items()))


DOSES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # mg/kg


def t7(stage: Stage) -> Iterator[Target]:
    cited = "Pearse 2001, PNAS 98:11581; Sordillo & Pearse 2003, 10.1002/cncr.11134"
    end = 90.0
    lesions = [
        stage(human(*(every("rank_fc", amount, 3.5, end) if amount else ()), kind="myeloma", end=end)).end("lesion_area")
        for amount in DOSES
    ]
    rises = max(100 * (b - a) / lesions[0] for a, b in pairwise(lesions))
    yield Target(
        "T7", "lesion of myeloma from dose to dose of RANK-Fc, largest rise", f"monotone ({cited})", rises, None, 0.0, "%", "mechanism"
    )
    left = 100 * lesions[-1] / lesions[0]
    yield Target("T7", "lesion at the top dose over untreated", f"prevented ({cited})", left, None, 20.0, "%", "mechanism")


OPG = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of a tumour, times the host's


def t8(stage: Stage) -> Iterator[Target]:
    cited, end = "Ryser 2012, 10.1371/journal.pcbi.1002703", 75.0

    def lesions(**changed: float) -> list[float]:
        return [stage(human(end=end, changed={"tumour_opg": opg} | changed)).end("lesion_area") for opg in OPG]

    found = lesions()
    most = percent(max(found[1:-1]) / found[0])
    yield Target("T8", "lesion with tumour OPG, highest over none", f"rises, then falls ({cited})", most, 15.0, None, "%", "mechanism")
    still = lesions(chemotaxis=0.0)
    rises = max(100 * (b - a) / still[0] for a, b in pairwise(still))
    yield Target("T8", "the same without chemotaxis, largest rise", f"falls ({cited})", rises, None, 0.0, "%", "mechanism")


def t9(stage: Stage) -> Iterator[Target]:
    end = 75.0
    with_it, without = (stage(human(end=end, changed=changed)).end("lesion_area") for changed in ({}, {"tumour_rankl": 0.0}))
    cited = "host RANKL drives osteolysis (BMC Cancer 2007, 7:148)"
    yield Target("T9", "lesion without the tumour's own RANKL", cited, percent(without / with_it), -25, 25, "%", "prediction")


def t13(stage: Stage) -> Iterator[Target]:
    end, cited = 75.0, "normal calcium (Morony 1999, 10.1359/jbmr.1999.14.9.1478)"
    alone, treated = stage(human(end=end)), stage(human(*every("fc_opg", 3.0, 7.0, end), end=end))
    yield Target(
        "T13",
        "serum calcium with PTHrP, untreated",
        "hypercalcaemia",
        float(alone.series["serum_calcium"].max()),
        3.0,
        None,
        "mmol/L",
        "mechanism",
    )
    yield Target("T13", "the same under Fc-OPG", cited, float(treated.series["serum_calcium"].max()), None, 2.7, "mmol/L", "mechanism")


def t14(stage: Stage) -> Iterator[Target]:
    begin, end = 75.0, 185.0  # the lesion has some hundred cells by then
    run = stage(human(*every("fc_opg", 3.0, 7.0, end, begin), end=end))
    settled = run.at("lesion_area", begin + 10)
    yield Target(
        "T14",
        "lesion over 100 days of decoy, tumour present",
        "arrests, does not heal",
        percent(run.end("lesion_area") / settled),
        -10,
        10,
        "%",
        "mechanism",
    )


STUDIES: Sequence[Study] = (t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15)
