"""The effect of each mechanism on a metastasis, found by switching it off with a parameter.

python -m rdsolver.studies.validation.mechanisms > docs/mechanisms.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .denosumab import COURSE, YEAR, change, course, rebound
from .scenes import Scene, SceneResult, SceneRunner
from .tumour import NEST

DAYS = 75.0


@dataclass(frozen=True)
class Switch:
    """A mechanism that is switched off.

    off       the parameters that switch it off
    meaning   the behaviour that is left
    components  components that are otherwise off
    """

    name: str
    meaning: str
    off: Mapping[str, float] = field(default_factory=dict)
    components: tuple[str, ...] = ()


SWITCHES = (
    Switch(
        "differentiation",
        "precursors become osteoclasts at the baseline rate whatever the occupancy",
        {"differentiation_exponent": 0.0},
    ),
    Switch(
        "supply of precursors",
        "it stays at its baseline whatever the occupancy",
        {"precursor_supply_most": 1.0},
    ),
    Switch(
        "activation",
        "an osteoclast resorbs as at baseline whatever the occupancy",
        {"activation_share": 0.0, "activation_exponent": 0.0},
    ),
    Switch(
        "survival",
        "an osteoclast dies at the baseline rate whatever the occupancy",
        {"survival_exponent": 0.0},
    ),
    Switch("chemotaxis", "osteoclasts move at random alone", {"chemotaxis": 0.0}),
    Switch(
        "coupling",
        "formation stays at its baseline rate (the exponent at its least)",
        {"coupling_exponent": 0.01},
    ),
    Switch("formation of its own", "all formation follows resorption", {"formation_basal": 0.0}),
    Switch("RANKL of osteocytes", "all RANKL is made at the surface", {"osteocyte_rankl_share": 0.0}),
    Switch(
        "OPG of young osteocytes",
        "OPG does not follow formation",
        {"young_osteocyte_opg_share": 0.0},
    ),
)
"""Mechanisms of bone."""

TUMOUR = (
    Switch(
        "uncoupling by the tumour",
        "formation beside the tumour is not suppressed",
        {"formation_suppression": 0.0},
    ),
    Switch(
        "uncoupling at a distance",
        "formation is suppressed where the tumour is in contact with bone alone",
        {"formation_reach": 0.0},
    ),
    Switch("PTHrP on host RANKL", "PTHrP raises precursors alone", {"pthrp_rankl": 0.0}),
    Switch("PTHrP on precursors", "PTHrP raises RANKL alone", {"pthrp_precursors": 0.0}),
    Switch(
        "PTHrP",
        "the tumour acts by its own RANKL alone",
        {"pthrp_rankl": 0.0, "pthrp_precursors": 0.0, "calcium_pthrp": 0.0},
    ),
    Switch("TGF-beta", "what resorption sets free does not feed the tumour", {"tgf_beta_half": 1e9}),
    Switch("tumour RANKL", "the tumour makes no RANKL", {"tumour_rankl": 0.0}),
    Switch(
        "(on) uptake of OPG",
        "a solid tumour takes up and degrades free OPG at 300 /d, as myeloma does by heparan sulfate",
        {"tumour_opg_uptake": 300.0},
    ),
    Switch("(on) TRAIL", "TRAIL that OPG leaves free kills tumour cells, 0.1 /d", {"trail_death": 0.1}),
    Switch(
        "(on) osteoblastic",
        "the tumour makes bone form at ten times the healthy rate, and suppresses nothing",
        {"tumour_formation": 10.0, "formation_suppression": 0.0},
    ),
)
"""Mechanisms of a tumour."""

ADDED = (
    Switch(
        "(on) RANKL on membranes",
        "nine tenths of RANKL stay where they are made until shed or lost, and act on neighbours",
        components=("membrane_rankl",),
    ),
    Switch(
        "(on) osteomorphs",
        "osteoclasts that die for want of RANKL leave dormant daughters, which fuse again",
        components=("osteomorphs",),
    ),
)
"""Components that are off unless a config has them."""


def figures(run: SceneResult) -> dict[str, float]:
    """The figures at the end of a run, by column."""
    return {
        "lesion, mm²": run.end("lesion_area"),
        "osteoclasts, /mm³": run.end("osteoclast_number"),
        "BV/TV": run.end("bone_volume_fraction"),
        "tumour, share of the section": run.end("tumour_burden"),
        "serum calcium, mmol/L": float(run.series["serum_calcium"].max()),
    }


def after_denosumab(run: SceneResult) -> dict[str, float]:
    """The figures of four doses of denosumab and the year after them, by column."""
    peak, _, lost = rebound(run)
    return {
        "NTX before a fifth dose, %": change(run, "ntx", COURSE),
        "BSAP then, %": change(run, "bsap", COURSE),
        "bone mineral then, %": change(run, "bone_mineral", COURSE),
        "NTX at its most after it, %": peak,
        "gain lost in a year, %": lost,
    }


Row = tuple[Switch, dict[str, float]]
WHOLE = Switch("none", "the whole model")


def table(run_scene: SceneRunner, days: float = DAYS) -> Iterator[Row]:
    """The figures of a metastasis with the whole model, then with each mechanism switched."""
    for switch in (WHOLE, *SWITCHES, *TUMOUR, *ADDED):
        changed = tuple(switch.off.items())
        yield (
            switch,
            figures(run_scene(Scene(days, tumour=NEST, changed=changed, components=switch.components))),
        )


def rebounds(run_scene: SceneRunner) -> Iterator[Row]:
    """The figures of denosumab and of its end, with the whole model, then with each mechanism switched."""
    for switch in (WHOLE, *SWITCHES, *ADDED):
        changed = tuple(switch.off.items())
        yield switch, after_denosumab(course(run_scene, 60.0, COURSE + YEAR, changed, switch.components))


HEAD = """# What each mechanism does

One mechanism is switched off at a time; rows marked (on) have one switched on that is off by default. A
switch is a parameter, so a config can do the same under `[model.parameters]`, or a component
(`model.components`). In brackets the change against the whole model. The healthy baseline is found with the
same parameters, so each row starts from a section at rest. Figures of one section (1280 um, cells of 20 um,
BV/TV 0.25, seed 1): for the size of an effect, not its third digit.

This page is the output of `python -m rdsolver.studies.validation.mechanisms`.

## A metastasis

A human section with one nest of radius 80 um, {days:g} days from its planting; of serum calcium the highest.
"""

DENOSUMAB = """
## Denosumab, and after

Four doses of 60 mg, half a year apart, and the year after the fifth was due; changes since the start.
"""


def as_markdown(rows: list[Row], days: float = DAYS, courses: list[Row] | None = None) -> str:
    lines = [HEAD.format(days=days), *_table(rows, relative=True)]
    if courses:
        lines += [DENOSUMAB, *_table(courses, relative=False)]
    left = {s.name: s.meaning for s, _ in (*rows, *(courses or ())) if s is not WHOLE}
    lines += ["", "What each of them leaves:", "", *(f"- **{name}**: {x}." for name, x in left.items())]
    return "\n".join(lines)


def _table(rows: list[Row], relative: bool) -> Iterator[str]:
    """The lines of a table; relative: with the change against the whole model."""
    (_, whole), *_ = rows
    yield f"| switched | parameters | {' | '.join(whole)} |"
    yield f"| --- | --- |{' --- |' * len(whole)}"
    for switch, found in rows:
        off = ", ".join(
            (*(f"`{k}` {x:g}" for k, x in switch.off.items()), *(f"`{c}`" for c in switch.components))
        )
        changed = relative and switch is not WHOLE
        cells = [
            f"{x:.3g}" + (f" ({100 * (x / whole[k] - 1):+.0f} %)" if changed and whole[k] else "")
            for k, x in found.items()
        ]
        yield f"| {switch.name} | {off} | {' | '.join(cells)} |"


if __name__ == "__main__":
    scenes = SceneRunner(True, 1)
    print(as_markdown(list(table(scenes)), courses=list(rebounds(scenes))))
