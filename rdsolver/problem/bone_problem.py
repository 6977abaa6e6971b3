"""One run of the bone model, or of another tissue, in plain objects: what a config is turned into and what
the simulation takes.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, shown, unknown
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..geometry.tumour_seeding import Nests
from ..models.base import Parameter
from ..models.bone.binders import OPG, Binder
from ..models.bone.parameters import PRESETS, TISSUES, parameters
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose, Treatment
from ..utils import checks
from ..utils.instants import Instants
from .base import AnyProblem
from .checks import (
    check_borders,
    check_changes,
    check_parameters,
    check_times,
    check_user_model,
    dissociation,
    fixed,
    several,
    too_late,
)
from .fields import bone_diffusing, bone_fields
from .output import check_output
from .times import at_instants, breaks_of

if TYPE_CHECKING:
    from ..models.bone.extension import Extension


@dataclass(frozen=True)
class Problem(AnyProblem):
    """Everything that one run of the bone model needs, or of another tissue.

    tissue      "bone", or one of models.bone.tissue.TISSUES: then the section's bone is the share of target
                tissue
    extension   what is added to the bone model
    agents      the drugs whose fields the run carries
    doses       in the order of time; treatments: doses that wait for a lesion
    parameters  a value for each of `rows`
    end         d
    save        times of saved states, d, increasing, within [0, end]
    bisphosphonate  whether one may be given; membrane: whether part of RANKL stays on cells
    tumour      where it begins, on day 0; None: there is none, and the run carries no field of it
    initial     run.h5 of the run that this one goes on from

    Times that are the same but for rounding are made the same (instants.py).
    """

    section: Section
    parameters: dict[str, float]
    end: float
    save: tuple[float, ...]
    _: KW_ONLY
    preset: str = "human"
    tissue: str = "bone"
    extension: Extension | None = None
    agents: tuple[Binder, ...] = ()
    doses: tuple[Dose, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    bisphosphonate: bool = False
    membrane: bool = False
    tumour: Nests | None = None
    initial: Path | None = None

    def __post_init__(self) -> None:
        self._check()
        declared = breaks_of(self.extension, self.parameters, self.changes) if self.extension else ()
        given = [d.time for d in self.doses]
        instant, found = at_instants(self.end, self.changes, self.save, declared, given)
        doses = (replace(d, time=instant(d.time)) for d in self.doses)
        checks.settle(self, doses=tuple(sorted(doses, key=lambda dose: dose.time)), **found)

    def _check(self) -> None:
        """Checks every value, and brings it into its type, in place."""
        checks.kind("section", self.section, Section, "a Section")
        if not 0 < self.section.bone_volume_fraction < 1:
            raise InputError(
                "section: it does not contain both bone and marrow, and the model needs a surface. Use"
                " another section."
            )
        checks.word("tissue", self.tissue, ("bone", *TISSUES), "tissue")
        checks.word("preset", self.preset, PRESETS, "preset")
        if self.tumour is not None:
            checks.kind("tumour", self.tumour, Nests, "Nests or None")
        checks.settle(
            self,
            agents=several("agents", self.agents, Binder),
            doses=several("doses", self.doses, Dose),
            treatments=several("treatments", self.treatments, Treatment),
            bisphosphonate=checks.flag("bisphosphonate", self.bisphosphonate),
            membrane=checks.flag("membrane", self.membrane),
        )
        if self.extension is not None:
            check_user_model(self.extension, extends=True)
        self._check_common()
        end, save = check_times(self.end, self.save)
        checks.settle(self, end=end, save=save)
        binders = (*self.agents, *(self.extension.binders if self.extension else ()))
        rows = {r.name: r for r in self.rows}
        checks.settle(self, parameters=check_parameters(self.parameters, rows, rows))
        if self.tissue == "bone" or f"{OPG.name}_kon" in rows:
            for b, text in dissociation(binders, self.parameters):
                raise InputError(f"parameters.{b}_K_eff {text}")
        over = Instants(self.end).over
        drugs = [*(a.name for a in self.agents), *((BISPHOSPHONATE,) if self.bisphosphonate else ())]
        for i, dose in enumerate((*self.doses, *(d for t in self.treatments for d in t.doses))):
            if dose.agent not in drugs:
                kind = "drug of this run" if drugs else "drug of this run, which carries none (agents)"
                raise InputError(f"doses.{i}.agent = {shown(dose.agent)} {unknown(kind, dose.agent, drugs)}")
            if over(dose.time) and i < len(self.doses):
                raise InputError(f"doses.{i}.time {too_late('the dose', dose.time, self.end)}")
        never = {name: why for name in rows if (why := fixed(name, self.agents))}
        check_changes(self.changes, self.end, self.parameters, rows, never, binders)
        tumour = self.tumour is not None
        signed = {f.name for f in self.extension.unknowns if f.signed} if self.extension else set()
        diffusing = bone_diffusing(self.tissue, binders, tumour, self.extension)
        check_borders(self.borders, diffusing, signed, self.section.grid, self.section.active)
        check_output(
            self.output,
            bone_fields(self.tissue, binders, self.membrane, tumour, self.extension),
            self.section.grid,
        )

    @property
    def grid(self) -> Grid:
        return self.section.grid

    @property
    def rows(self) -> tuple[Parameter, ...]:
        """What the run's parameters are."""
        added = self.extension.rows if self.extension else ()
        return parameters(
            self.agents, self.tumour is not None, self.bisphosphonate, self.membrane, self.tissue, added
        )


SOLVES_AT_START, SOLVES_A_JUMP = 40, 150  # stage solves measured: 172 with one dose, 684 with four in a year


def expected_solves(problem: Problem) -> int:
    """Estimate of the stage solves of a run, by tr-bdf2 at tolerance 1e-3."""
    jumps = {d.time for d in problem.doses} | {
        t for c in problem.changes for t in (c.start, c.end) if t < problem.end
    }
    return SOLVES_AT_START + SOLVES_A_JUMP * len(jumps)


def describe_doses(problem: Problem) -> str:
    """The doses in words, e.g. "RANK-Fc 3 mg/kg sc at 20 d"."""
    labels = {a.name: a.label for a in problem.agents} | {BISPHOSPHONATE: BISPHOSPHONATE}
    groups: dict[tuple[str, float, str, str], list[float]] = {}
    for since, doses in (
        ("", problem.doses),
        *((f" after a lesion of {t.lesion:g} mm2", t.doses) for t in problem.treatments),
    ):
        for d in doses:
            groups.setdefault((d.agent, d.amount, d.route, since), []).append(d.time)
    return "; ".join(
        f"{labels[agent]} {amount:g} mg/kg {route} at"
        f" {', '.join(f'{t:g}' for t in times[:4])}{' ...' if len(times) > 4 else ''} d{since}"
        for (agent, amount, route, since), times in groups.items()
    )
