"""The effect of each mechanism on a metastasis, found by switching it off with a parameter.

python -m rdsolver.studies.validation.mechanisms > docs/mechanisms.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
        "activation", "an osteoclast resorbs as at baseline whatever the occupancy", {"activation_share": 0.0}
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
    Switch(
        "uncoupling by the tumour",
        "formation beside the tumour is not suppressed",
        {"formation_suppression": 0.0},
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
        "(on) RANKL on membranes",
        "nine tenths of RANKL stay where they are made until shed or lost, and act on neighbours"
        " (`model.membrane_rankl = true`)",
        components=("membrane_rankl",),
    ),
)


def figures(run: SceneResult) -> dict[str, float]:
    """The figures at the end of a run, by column."""
    return {
        "lesion, mm²": run.end("lesion_area"),
        "osteoclasts, /mm³": run.end("osteoclast_number"),
        "BV/TV": run.end("bone_volume_fraction"),
        "tumour, share of the section": run.end("tumour_burden"),
        "serum calcium, mmol/L": float(run.series["serum_calcium"].max()),
    }


def table(run_scene: SceneRunner, days: float = DAYS) -> Iterator[tuple[Switch, dict[str, float]]]:
    """The figures of the whole model, then with each mechanism switched off."""
    for switch in (Switch("none", "the whole model"), *SWITCHES):
        yield (
            switch,
            figures(
                run_scene(
                    Scene(days, tumour=NEST, changed=tuple(switch.off.items()), components=switch.components)
                )
            ),
        )


HEAD = """# What each mechanism does

A metastasis on a human section (1280 um, cells of 20 um, BV/TV 0.25, seed 1; one nest of radius 80 um),
{days:g} days from its planting, with one mechanism switched off at a time; the last row has one switched on
that is off by default. A switch is a parameter, so a config can do the same under `[model.parameters]`.
Figures are those of the last day, of serum calcium the highest; in brackets the change against the whole
model. The healthy baseline is found with the same parameters, so each row starts from a section at rest.
Figures of one section: for the size of an effect, not its third digit.

This page is the output of `python -m rdsolver.studies.validation.mechanisms`.
"""


def as_markdown(rows: list[tuple[Switch, dict[str, float]]], days: float = DAYS) -> str:
    (_, whole), *_ = rows
    lines = [
        HEAD.format(days=days),
        f"| off | parameters | {' | '.join(whole)} |",
        f"| --- | --- |{' --- |' * len(whole)}",
    ]
    for switch, found in rows:
        off = ", ".join(f"`{k}` {x:g}" for k, x in switch.off.items())
        changed = switch.name != "none"
        cells = [
            f"{x:.3g}" + (f" ({100 * (x / whole[k] - 1):+.0f} %)" if changed and whole[k] else "")
            for k, x in found.items()
        ]
        lines.append(f"| {switch.name} | {off} | {' | '.join(cells)} |")
    lines += ["", "What each of them leaves:", "", *(f"- **{s.name}**: {s.meaning}." for s, _ in rows[1:])]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_markdown(list(table(SceneRunner(True, 1)))))
