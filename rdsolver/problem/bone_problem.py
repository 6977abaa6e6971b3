"""The problem of one run of the bone model, or of another tissue, in plain objects.

A config is converted to it, and the simulation starts from it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from ..errors import InputError, shown, unknown
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..models.base import Parameter
from ..models.bone.binders import OPG, Binder
from ..models.bone.component import Component
from ..models.bone.parameters import PRESETS, TISSUES, parameters
from ..models.bone.pharmacokinetics import Dose, Treatment, check_steady
from ..utils import checks
from ..utils.dose_words import dose_words
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


@dataclass(frozen=True)
class Problem(AnyProblem):
    """Everything that one run of the bone model, or of another tissue, needs.

    tissue      "bone", or one of models.bone.tissue.TISSUES: then the section's bone is the share of target
                tissue
    from_birth  True: the parameters have acted since birth, so the run starts from the steady state of
                cytokines and cells with them, not from the healthy one
    components  components beside the core of the model (models/bone/component.py)
    agents      the drugs whose fields the run carries
    doses       in the order of time; treatments: doses that wait for a lesion
    parameters  a value for each of `rows`
    end         d
    save        saved times, d, increasing, within [0, end]
    initial     run.h5 of the run from which this one continues

    Times that differ only by rounding are made equal (instants.py).
    """

    section: Section
    parameters: dict[str, float]
    end: float
    save: tuple[float, ...]
    _: KW_ONLY
    preset: str = "human"
    tissue: str = "bone"
    from_birth: bool = False
    components: tuple[Component, ...] = ()
    agents: tuple[Binder, ...] = ()
    doses: tuple[Dose, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    initial: Path | None = None

    def __post_init__(self) -> None:
        self._check()
        declared = [t for part in self.components for t in breaks_of(part, self.parameters, self.changes)]
        given = [t for d in self.doses for t in (d.time, d.end)]
        instant, found = at_instants(self.end, self.changes, self.save, declared, given)
        doses = (d.at(instant) for d in self.doses)
        checks.settle(self, doses=tuple(sorted(doses, key=lambda dose: dose.time)), **found)

    def _check(self) -> None:
        """Check every value, and convert it to its type, in place."""
        checks.kind("section", self.section, Section, "a Section")
        if not 0 < self.section.bone_volume_fraction < 1:
            raise InputError(
                "section: it does not contain both bone and marrow, and the model needs a surface. Use"
                " another section."
            )
        checks.word("tissue", self.tissue, ("bone", *TISSUES), "tissue")
        checks.word("preset", self.preset, PRESETS, "preset")
        checks.settle(
            self,
            agents=several("agents", self.agents, Binder),
            doses=several("doses", self.doses, Dose),
            treatments=several("treatments", self.treatments, Treatment),
            components=several("components", self.components, Component),
        )
        self._check_components()
        self._check_common()
        if self.from_birth and self.initial is not None:
            raise InputError(
                "from_birth: a run that continues another starts from its end. Give one of from_birth and"
                " initial."
            )
        end, save = check_times(self.end, self.save)
        checks.settle(self, end=end, save=save)
        binders = (*self.agents, *(b for part in self.components for b in part.binders))
        rows = {r.name: r for r in self.rows}
        checks.settle(self, parameters=check_parameters(self.parameters, rows, rows))
        if self.tissue == "bone" or f"{OPG.name}_kon" in rows:
            for b, text in dissociation(binders, self.parameters):
                raise InputError(f"parameters.{b}_K_eff {text}")
        check_steady(self.doses)
        over = Instants(self.end).over
        for i, dose in enumerate((*self.doses, *(d for t in self.treatments for d in t.doses))):
            if dose.agent not in self.drugs:
                kind = f"drug of this run{'' if self.drugs else ', which carries none (agents)'}"
                raise InputError(
                    f"doses.{i}.agent = {shown(dose.agent)} {unknown(kind, dose.agent, self.drugs)}"
                )
            if over(dose.time) and i < len(self.doses):
                raise InputError(f"doses.{i}.time {too_late('the dose', dose.time, self.end)}")
        never = {name: why for name in rows if (why := fixed(name, self.agents, self.components))}
        check_changes(self.changes, self.end, self.parameters, rows, never, binders)
        signed = {f.name for part in self.components for f in part.unknowns if f.signed}
        diffusing = bone_diffusing(self.tissue, binders, self.components)
        check_borders(self.borders, diffusing, signed, self.section.grid, self.section.active)
        check_output(self.output, bone_fields(self.tissue, binders, self.components), self.section.grid)

    def _check_components(self) -> None:
        """Check that each component appears once, is complete, and belongs to the tissue."""
        for i, part in enumerate(self.components):
            if part.user:
                check_user_model(part, extends=True)
            if part.name in (other.name for other in self.components[:i]):
                raise InputError(
                    f"components.{i} is {shown(part.name)}, which is there already. Give it once."
                )
            if self.tissue != "bone" and not part.anywhere:
                raise InputError(
                    f"components.{i} = {shown(part.name)} belongs to bone, and the tissue of this run is"
                    f' "{self.tissue}". Leave it out.'
                )

    @property
    def grid(self) -> Grid:
        return self.section.grid

    @property
    def rows(self) -> tuple[Parameter, ...]:
        """The rows of the run's parameters."""
        return parameters(self.agents, self.components, self.tissue)

    @property
    def extension(self) -> Component | None:
        """The component of a user, or None."""
        return next((part for part in self.components if part.user), None)

    @property
    def drugs(self) -> tuple[str, ...]:
        """The names that doses may give."""
        return (*(a.name for a in self.agents), *(name for part in self.components for name in part.drugs))


SOLVES_AT_START, SOLVES_A_JUMP = 40, 150  # measured stage solves: 172 with one dose, 684 with four in a year


def expected_solves(problem: Problem) -> int:
    """An estimate of the number of stage solves of a run, by tr-bdf2 at tolerance 1e-3."""
    times = [(d.time, d.end) for d in problem.doses] + [(c.start, c.end) for c in problem.changes]
    jumps = {t for pair in times for t in pair if t < problem.end}
    return SOLVES_AT_START + SOLVES_A_JUMP * len(jumps)


def describe_doses(problem: Problem) -> str:
    """The doses in words, e.g. "RANK-Fc 3 mg/kg sc at 20 d"."""
    labels = {name: name for name in problem.drugs} | {a.name: a.label for a in problem.agents}
    groups: dict[tuple[str, str], list[float]] = {}
    for since, doses in (
        ("", problem.doses),
        *((f" after a lesion of {t.lesion:g} mm2", t.doses) for t in problem.treatments),
    ):
        for d in doses:
            groups.setdefault((f"{labels[d.agent]} {dose_words(asdict(d))}", since), []).append(d.time)
    return "; ".join(
        f"{text} at {', '.join(f'{t:g}' for t in times[:4])}{' ...' if len(times) > 4 else ''} d{since}"
        for (text, since), times in groups.items()
    )
