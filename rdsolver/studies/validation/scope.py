"""The scope of the targets' figures: finer grids, other affinities, the range of RANK-Fc's constant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...models.bone.pharmacokinetics import Dose
from ..verification.results import Curve
from .drugs import fc_opg, nadir
from .healthy import RATIOS, ratio
from .scenes import Scene, SceneRunner
from .target import Target, least_fall, percent
from .tumour import NEST, myeloma

SPREAD = replace(NEST, spread=1e-3)
"""Tumour cells at a low density in all of the marrow too: the front of a nest alone is driven by the solver's
error in its tail.
"""
SPREAD_DAYS, NEST_DAYS = 70.0, 90.0


def grids(run_scene: SceneRunner) -> Iterator[Target]:
    """The same bone, made at 5 um and averaged down: h = 20, 10 and 5 um."""

    def figures(h: float) -> dict[str, float]:
        dosed = run_scene(Scene(14.0, doses=(Dose("fc_opg", 3.0, "sc", 0.0),), spacing=h))
        ill = run_scene(Scene(SPREAD_DAYS, tumour=SPREAD, spacing=h))
        return {
            "NTX nadir after Fc-OPG 3 mg/kg": float(dosed.series["ntx"].min()),
            f"lesion of a spread metastasis after {SPREAD_DAYS:g} d": ill.end("lesion_area"),
            f"osteoclasts beside it after {SPREAD_DAYS:g} d": ill.end("osteoclast_number"),
            f"lesion of a nest alone after {NEST_DAYS:g} d": (
                run_scene(Scene(NEST_DAYS, tumour=NEST, spacing=h)).end("lesion_area")
            ),
        }

    found = {h: figures(h) for h in (20.0, 10.0, 5.0)}
    for h, finer in ((20.0, 10.0), (10.0, 5.0)):
        for what, ours in found[h].items():
            off = percent(ours / found[finer][what])
            low, high = (-5.0, 5.0) if finer == 5.0 else (None, None)
            yield Target(
                "GRID", f"{what}, {h:g} um against {finer:g} um", "the same", off, low, high, "%", "property"
            )


AFFINITIES: Mapping[str, Mapping[str, float]] = {
    "ours": {},
    "RANK tighter": {"opg_K_eff": 1.0, "opg_production": 80.0, "fc_opg_K_eff": 1.0, "rank_fc_K_eff": 0.03},
    "OPG tighter": {"rank_K": 15.0, "rank_fc_K_eff": 10.0},
}
"""Sets of constants, nM. Ours: RANK on cells 0.0293, OPG 0.03, Fc-OPG 0.014, RANK-Fc 0.1.

RANK tighter (Lemaire 2004, Pivonka 2008): OPG and Fc-OPG at 1, RANK-Fc as RANK; OPG production is raised by
the same factor, so that O0/K_O stays 2. OPG tighter (Nelson 2012): RANK at 500 times OPG's constant, RANK-Fc
at the end of its range. As O0/K_O is kept, the healthy free RANKL is the same in all three.
"""


def _of(affinity: Mapping[str, float], *agents: str) -> dict[str, float]:
    """The set without the constants of drugs that a run does not have."""
    others = {"fc_opg_K_eff", "rank_fc_K_eff"} - {f"{a}_K_eff" for a in agents}
    return {k: x for k, x in affinity.items() if k not in others}


def affinities(run_scene: SceneRunner) -> Iterator[Target]:
    """The open conflict: the main figures under each set."""
    for label, constants in AFFINITIES.items():
        plain, dosed = (tuple(_of(constants, *agents).items()) for agents in ((), ("fc_opg",)))

        def row(what: str, published: str, ours: float, unit: str = "%", label: str = label) -> Target:
            return Target("SETS", f"{label}: {what}", published, ours, None, None, unit, "prediction")

        run = fc_opg(run_scene, 3.0, dosed)
        yield row("NTX on day 4 after Fc-OPG 3 mg/kg", "-80 % (T3)", percent(run.at("ntx", 4.0)))
        yield row("NTX on day 42", "-14 % (T3)", percent(run.end("ntx")))
        for amount, published in ((0.3, "-51 % (T4)"), (1.0, "-81 % (T4)")):
            yield row(
                f"NTX nadir after Fc-OPG {amount:g} mg/kg", published, nadir(fc_opg(run_scene, amount, dosed))
            )
        bone, _ = zip(*(ratio(run_scene, "human", r, plain) for r in RATIOS), strict=True)
        yield row("least fall of BV/TV from step to step, ratio 0.25 to 16", "above 0 (T2)", least_fall(bone))
        none, treated = (
            myeloma(run_scene, 0.0, _of(constants)),
            myeloma(run_scene, 0.1, _of(constants, "rank_fc")),
        )
        yield row("lesion of untreated myeloma", "grows (T7)", none.end("lesion_area"), "mm2")
        yield row(
            "the same under RANK-Fc 0.1 mg/kg, over untreated",
            "less (T7)",
            100 * treated.end("lesion_area") / none.end("lesion_area"),
        )


CONSTANTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # nM


def rank_fc_constant(run_scene: SceneRunner) -> Iterator[Target | Curve]:
    """The effect of a weak dose over the range of RANK-Fc's constant, which was never measured on cells."""
    none, left = myeloma(run_scene, 0.0), []
    for constant in CONSTANTS:
        treated = myeloma(run_scene, 0.03, {"rank_fc_K_eff": constant})
        left.append(100 * treated.end("lesion_area") / none.end("lesion_area"))
        what = f"lesion of myeloma under RANK-Fc 0.03 mg/kg over untreated, K_eff {constant:g} nM"
        yield Target("K_EFF", what, "never measured on cells", left[-1], None, None, "%", "prediction")
    yield Curve(
        "K_EFF: K_eff of RANK-Fc, nM (x), lesion under 0.03 mg/kg twice a week, % of untreated",
        "myeloma",
        CONSTANTS,
        left,
    )
