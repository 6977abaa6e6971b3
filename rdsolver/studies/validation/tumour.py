"""Targets of a tumour in bone: decoys, dose response, its own OPG and RANKL, calcium, treatment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...geometry.tumour_seeding import Nests
from ...models.bone.binders import drug
from ...models.bone.pharmacokinetics import Dose
from ..verification.results import Curve
from .scenes import SLABS, Scene, SceneResult, SceneRunner, Where, every
from .target import Target, largest_rise, percent

NEST = Nests(count=1, radius=80.0, seed=1)
MOUSE_DAYS, HUMAN_DAYS = 28.0, 75.0
POOL = ("pthrp_precursors",)  # parameter chosen so that lesions grow to several 100 um

# in the box of the slab, 1.1 mm from bone, where there is no TGF-beta
FAR = Nests(at=((40.0, 1400.0),), radius=80.0)
BESIDE = Nests(at=((40.0, SLABS["slab"][0] + 100.0),), radius=80.0)


def mouse(*doses: Dose) -> Scene:
    return Scene(MOUSE_DAYS, "mouse", doses, NEST, thickness=60.0)


def far(*doses: Dose) -> Scene:
    """The tumour of `mouse` outside bone."""
    return Scene(MOUSE_DAYS, "mouse", doses, FAR, place="slab")


def human(
    *doses: Dose,
    kind: str = "metastasis",
    end: float = HUMAN_DAYS,
    changed: Mapping[str, float] | None = None,
) -> Scene:
    return Scene(end, "human", doses, NEST, kind, tuple((changed or {}).items()))


def t6(run_scene: SceneRunner) -> Iterator[Target]:
    alone, outside = run_scene(mouse()), run_scene(far())
    cited = "Morony 2001, Cancer Res 61:4432; Clohisy 2000, J Orthop Res 18:967"
    for agent in ("fc_opg", "rank_fc"):
        doses, label = every(agent, 10.0, 2.0, MOUSE_DAYS), drug(agent).label
        run = run_scene(mouse(*doses))
        for what, figure, fall, most in (
            ("osteoclasts at the tumour", lambda r: r.near_tumour("osteoclasts"), 90, -85),
            ("tumour in bone", lambda r: r.end("tumour_burden"), 75, -60),
        ):
            text, expected = f"{what} under {label}, mouse", f"-{fall} % or more ({cited})"
            change = percent(figure(run) / figure(alone))
            yield Target("T6", text, expected, change, None, most, "%", "mechanism")
        growth = percent(run_scene(far(*doses)).end("tumour_burden") / outside.end("tumour_burden"))
        what = f"the same tumour 1.1 mm from bone under {label}"
        yield Target("T6", what, f"growth outside bone unchanged ({cited})", growth, -1, 1, "%", "mechanism")


DOSES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # mg/kg
MYELOMA_DAYS = 90.0


def myeloma(run_scene: SceneRunner, amount: float, changed: Mapping[str, float] | None = None) -> SceneResult:
    """A myeloma under RANK-Fc twice a week, mg/kg."""
    doses = every("rank_fc", amount, 3.5, MYELOMA_DAYS) if amount else ()
    return run_scene(human(*doses, kind="myeloma", end=MYELOMA_DAYS, changed=changed))


def t7(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited = "Pearse 2001, PNAS 98:11581; Sordillo & Pearse 2003, 10.1002/cncr.11134"
    runs = [myeloma(run_scene, amount) for amount in DOSES]
    lesions = [run.end("lesion_area") for run in runs]
    what = "lesion of myeloma from dose to dose of RANK-Fc, largest rise"
    yield Target("T7", what, f"monotone ({cited})", largest_rise(lesions), None, 0.0, "%", "mechanism")
    left = 100 * lesions[-1] / lesions[0]
    yield Target(
        "T7",
        "lesion at the top dose over untreated",
        f"prevented ({cited})",
        left,
        None,
        20.0,
        "%",
        "mechanism",
    )
    yield Curve("T7: RANK-Fc, mg/kg twice a week (x), lesion after 90 d, mm2", "myeloma", DOSES, lesions)


OPG = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # OPG production of a tumour over the host's
RYSER = {"tumour_rankl": 50.0, "pthrp_rankl": 30.0}
"""A tumour with much RANKL of its own beside a host that responds strongly to its PTHrP: chosen so that T8 is
seen.
"""


def t8(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited = "Ryser 2012, 10.1371/journal.pcbi.1002703"

    def runs(place: Where, **changed: float) -> list[SceneResult]:
        def scene(opg: float) -> Scene:
            given = tuple((RYSER | {"tumour_opg": opg} | changed).items())
            nest = NEST if place == "section" else BESIDE
            return Scene(HUMAN_DAYS, "human", (), nest, changed=given, place=place)

        return [run_scene(scene(opg)) for opg in OPG]

    def rises(name: str, found: list[float], where: str) -> Iterator[Target]:
        most, end = (percent(x / found[0]) for x in (max(found[1:-1]), found[-1]))
        what, published = (
            f"{name} with tumour OPG, highest over none, {where}",
            f"rises, then falls ({cited})",
        )
        yield Target("T8", what, published, most, None, None, "%", "prediction")
        yield Target(
            "T8", f"the same at 100 x the host's, {where}", published, end, None, 0.0, "%", "mechanism"
        )

    places: tuple[tuple[Where, str], ...] = (("section", "2D section"), ("slab", "1D slab"))
    for place, where in places:
        with_it = runs(place)
        found = [r.end("lesion_area") if place == "section" else r.lost() for r in with_it]
        yield from rises("lesion" if place == "section" else "bone lost", found, where)
        if place == "section":  # a lesion is where much bone was lost; the total loss rises less
            most = percent(max(r.lost() for r in with_it[1:-1]) / with_it[0].lost())
            what = f"bone lost with tumour OPG, highest over none, {where}"
            yield Target("T8", what, f"rises, then falls ({cited})", most, None, None, "%", "prediction")
        panel = f"T8: tumour OPG over the host's (x), bone lost over that without, {where}"
        for label, changed in (
            ("whole", {}),
            ("no chemotaxis", {"chemotaxis": 0.0}),
            ("no PTHrP", {"pthrp_rankl": 0.0, "pthrp_precursors": 0.0}),
        ):
            lost = [r.lost() for r in (runs(place, **changed) if changed else with_it)]
            yield Curve(panel, label, OPG, [x / lost[0] for x in lost])
            if changed:
                what, published = (
                    f"bone lost with {label}, largest rise with OPG, {where}",
                    f"no maximum ({cited})",
                )
                yield Target("T8", what, published, largest_rise(lost), None, 0.0, "%", "mechanism")

    doses = every("fc_opg", 0.5, 3.5, HUMAN_DAYS)
    none, treated = (
        run_scene(human(changed=RYSER | {"tumour_opg": 0.0})),
        run_scene(human(*doses, changed=RYSER)),
    )
    level = treated.mean("tissue_fc_opg")
    yield Target(
        "T8",
        "Fc-OPG 0.5 mg/kg twice a week: mean in marrow",
        "0.25 nM or more",
        level,
        0.25,
        None,
        "nM",
        "mechanism",
    )
    less = percent(treated.end("lesion_area") / none.end("lesion_area"))
    yield Target(
        "T8", "lesion under this systemic decoy", f"lower ({cited})", less, None, 0.0, "%", "mechanism"
    )


def t9(run_scene: SceneRunner) -> Iterator[Target]:
    with_it, without = (
        run_scene(human(changed=changed)).end("lesion_area") for changed in ({}, {"tumour_rankl": 0.0})
    )
    cited = "host RANKL drives osteolysis (BMC Cancer 2007, 7:148)"
    yield Target(
        "T9",
        "lesion without the tumour's own RANKL",
        cited,
        percent(without / with_it),
        -25,
        25,
        "%",
        "calibration",
        ("tumour_rankl",),
    )


def t13(run_scene: SceneRunner) -> Iterator[Target]:
    def highest(*doses: Dose) -> float:
        return float(run_scene(human(*doses)).series["serum_calcium"].max())

    what = "serum calcium with PTHrP, untreated"
    yield Target("T13", what, "hypercalcaemia", highest(), 3.0, None, "mmol/L", "calibration", POOL)
    for label, doses, cited in (
        (
            "Fc-OPG",
            every("fc_opg", 3.0, 7.0, HUMAN_DAYS),
            "normal calcium (Morony 1999, 10.1359/jbmr.1999.14.9.1478)",
        ),
        ("RANK-Fc", every("rank_fc", 3.0, 3.5, HUMAN_DAYS), "normal calcium, as under OPG"),
        (
            "a bisphosphonate",
            every("bisphosphonate", 4 / 70, 28.0, HUMAN_DAYS),
            "normal or nearly normal calcium (general knowledge)",
        ),
    ):
        yield Target(
            "T13", f"the same under {label}", cited, highest(*doses), None, 2.7, "mmol/L", "mechanism"
        )


def t14(run_scene: SceneRunner) -> Iterator[Target]:
    begin, end = 100.0, 210.0
    for days, often, low, high in (
        (3.5, "twice a week: it stays on", -10, 10),
        (7.0, "weekly: troughs", None, None),
    ):
        run = run_scene(human(*every("fc_opg", 3.0, days, end, begin), end=end))
        change = percent(run.end("lesion_area") / run.at("lesion_area", begin + 10))
        what, tuned = (
            f"lesion over 100 days of Fc-OPG 3 mg/kg {often}; tumour present",
            (("formation_reach",) if low else ()),
        )
        yield Target(
            "T14",
            what,
            "arrests, does not heal",
            change,
            low,
            high,
            "%",
            "calibration" if low else "prediction",
            tuned,
        )
        if low:
            between = min(run.at("lesion_area", begin + d) for d in range(10, 111))
            least = percent(between / run.at("lesion_area", begin + 10))
            yield Target(
                "T14",
                "the same at its least in between",
                "arrests, does not heal",
                least,
                None,
                None,
                "%",
                "prediction",
            )


HYPERCALCAEMIA = 68.0  # d: the day on which serum calcium of the untreated tumour passes 3.0 mmol/L
NORMAL = 2.7  # mmol/L


def t20(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    cited = "normal in 45 % by day 4, in 88 % by day 10 (Major 2001, J Clin Oncol 19:558)"
    end, panel = HYPERCALCAEMIA + 21.0, "T20: days (x), serum calcium, mmol/L; treated on day 68"
    found = {}
    for label, dose in (
        ("zoledronate 4 mg", Dose("bisphosphonate", 4 / 70, "iv", HYPERCALCAEMIA)),
        ("Fc-OPG 3 mg/kg", Dose("fc_opg", 3.0, "sc", HYPERCALCAEMIA)),
    ):
        run = run_scene(human(dose, end=end))
        time, level = run.series["time"] - HYPERCALCAEMIA, run.series["serum_calcium"]
        normal = (time > 0) & (level < NORMAL)
        found[label] = float(time[normal][0]) if normal.any() else float("nan")
        yield Curve(panel, label, run.series["time"], level)
        if label.startswith("zoledronate"):
            for day, most in ((4.0, None), (10.0, NORMAL)):
                what = f"serum calcium {day:g} days after {label}"
                ours = run.at("serum_calcium", HYPERCALCAEMIA + day)
                yield Target(
                    "T20", what, cited, ours, None, most, "mmol/L", "calibration", ("bisphosphonate_effect",)
                )
    sooner = found["zoledronate 4 mg"] - found["Fc-OPG 3 mg/kg"]
    what, faster = (
        "days by which a decoy is sooner below 2.7 mmol/L",
        "a decoy is faster (Morony 2005, recalled)",
    )
    yield Target("T20", what, faster, sooner, 0.0, None, "d", "mechanism")


def t23(run_scene: SceneRunner) -> Iterator[Target]:
    """One nest beside the same wall of bone, in a section of 1.28 and of 2.56 mm."""

    def calcium(place: Where) -> float:
        _, (width, _) = SLABS[place]
        nest = Nests(at=((width / 2, SLABS[place][0] + 100.0),), radius=80.0)
        run = run_scene(Scene(HUMAN_DAYS, tumour=nest, place=place))
        return float(run.series["serum_calcium"].max())

    small, large = calcium("wall"), calcium("long wall")
    what = "serum calcium of one nest in 1.28 mm, against 2.56 mm of the same bone"
    yield Target("T23", what, "the same patient", percent(small / large), -5.0, 5.0, "%", "property")
