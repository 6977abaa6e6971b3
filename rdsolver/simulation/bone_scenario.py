"""The scenario of a bone section, from its healthy baseline or from the end of another run.

It has doses, changes of parameters, a tumour and serum calcium.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..models.bone.component import HostState
from ..models.bone.extension import Extension
from ..models.bone.model import BoneModel
from ..models.bone.pharmacokinetics import Dose, Kinetics, Plasma, due, under_way
from ..models.bone.static_fields import of_section
from ..models.bone.tissue import TissueModel
from ..operators import boundary_fluxes, multigrid
from ..operators.reductions import Pockets
from ..problem import Problem
from ..problem.changes import factors, in_force
from ..timestepping import linear_solver_control
from ..timestepping.system import Fields, Forcing, System
from ..utils.checks import settle
from ..utils.instants import Instants
from . import baseline
from .check_rates import follows_time, try_observers, try_rates, unseen
from .initial_state import InitialState, left_of
from .model_scenario import event_times, scales

KNOTS = 1024  # knots of a plasma curve between two events: one size, so one compilation


def model_of(problem: Problem) -> BoneModel | TissueModel:
    if problem.tissue != "bone":
        return TissueModel(problem.agents, problem.components, problem.tissue)
    return BoneModel(problem.agents, problem.components)


def _drugs(problem: Problem) -> dict[str, Kinetics]:
    """The drugs before any dose, in the order of the model's inputs."""
    drugs: dict[str, Kinetics] = {a.name: Plasma(a.name, problem.parameters) for a in problem.agents}
    for part in problem.components:
        drugs |= part.kinetics(problem.parameters)
    return drugs


class BoneScenario:
    """A bone section from its healthy baseline, or from the end of another run, with doses and changes of
    parameters.

    initial          state, reference and plasma of that other run
    baseline_cycles  number of V-cycles that the baseline took
    bone_changes     share of the bone gained in a year at the start of a run from birth, else 0
    begin            False: only those parts of the input are checked that need no baseline
    """

    def __init__(self, problem: Problem, initial: InitialState | None = None, begin: bool = True) -> None:
        self.problem = problem
        self.dtype = np.dtype(problem.solver.precision)
        self.model = model_of(problem)
        self.fields = self.model.fields(problem.parameters)
        self._drugs = {0.0: _drugs(problem)}  # the drugs at known times, before the doses of those times
        self.doses, self.waiting = list(problem.doses), list(problem.treatments)
        self._check_steady_states()
        self.surprised = False
        self.warnings: tuple[str, ...] = ()
        self.bone_changes = 0.0
        self._came = frozenset(initial.fields if initial else ())  # fields of the other run
        before, values = initial.handed_on if initial else {}, self.in_force(0.0)
        hosts = ((part.name, part.host(problem.section, values, before)) for part in self.model.components)
        self.hosts: dict[str, HostState] = {name: host for name, host in hosts if host is not None}
        self.system = self._bare_system()
        self._check_user_rates()
        if not begin:
            return
        if initial is None:
            self._find_baseline()
        else:
            self._continue_from(initial)

    def _check_steady_states(self) -> None:
        """Raise InputError for a dose in a steady state that is never reached."""
        drugs = _drugs(self.problem)
        for dose in (*self.doses, *(d for t in self.waiting for d in t.doses)):
            if dose.steady_interval:
                drugs[dose.agent].give(dose)

    def with_parameters(self, values: dict[str, float]) -> BoneScenario:
        """The scenario with the same events, doses and baseline, but other parameters from day 0.

        It serves for derivatives with respect to parameters.
        """
        other = copy(self)
        other.problem = copy(self.problem)  # not checked: JAX may differentiate with respect to the values
        settle(other.problem, parameters=values)
        other._drugs = {0.0: _drugs(other.problem)}
        return other

    def factors(self, t: float) -> dict[str, float]:
        """The factors of the parameters that are changed right after time t."""
        return factors(self.problem.changes, t)

    def in_force(self, t: float) -> dict[str, float]:
        """The parameters right after time t."""
        return in_force(self.problem.parameters, self.problem.changes, t)

    def _numbers(self, t: float) -> dict[str, jax.Array]:
        return {k: jnp.asarray(v, self.dtype) for k, v in self.in_force(t).items()}

    def _bare_system(self) -> System:
        section, model, values = self.problem.section, self.model, self.problem.parameters
        active = jnp.asarray(section.active, self.dtype)
        bone = jnp.asarray(section.bone * section.active, self.dtype)
        place = model.prepare(section.grid, active, bone, values, model.blank_reference(active))
        shape = multigrid.Shape.of(section.grid.shape, section.grid.spacing, place.wrap)
        edges = tuple(
            boundary_fluxes.edge(b, section.grid, section.active, self.dtype) for b in self.problem.borders
        )
        return System(
            model,
            shape,
            place,
            self._numbers(-1.0),
            self._curves({}, 0.0, 1.0),
            scales(self.fields, self.dtype),
            linear_solver_control.least(model.groups),
            np.float64(section.active.sum()),
            edges,
            tuple(f.name for f in self.fields if f.signed),
            Pockets.of(section.active, place.wrap),
        )

    def _find_baseline(self) -> None:
        model = self.model
        drugs = {name for a in model.agents for name in (a.name, a.complex)}
        # the healthy section has no drug
        closed = tuple(e for e in self.system.edges if e.field not in drugs)
        system = replace(self.system, p=model.healthy(self.system.p), edges=closed)
        place = of_section(system.place)
        u, reference, self.baseline_cycles = baseline.baseline(
            system, model.initial(place.bone, place.active, self.problem.parameters), self.levels
        )
        self.system = baseline.with_reference(self.system, reference)
        u = model.balanced(u, system.p, self.system.place)
        if self.problem.from_birth:
            u = self._grown_up(replace(self.system, edges=closed), u)
        self.u = self._planted(u)

    def _grown_up(self, system: System, u: Fields) -> Fields:
        """The state in which the run's own parameters have acted since birth: the steady state of cytokines
        and cells at the section's bone.
        """
        p = system.p
        for part in self.model.components:  # what is no part of the animal was not there
            p = p | part.at_baseline(p)
        system = replace(system, p=p)
        u, cycles = baseline.steady(system, u, self.levels, "steady state from birth")
        self.baseline_cycles += cycles
        u = self.model.balanced(u, system.p, of_section(system.place))
        rate = np.asarray(system.rates(jnp.zeros(()), u)["bone"], float).sum() if "bone" in u else 0.0
        self.bone_changes = 365.0 * rate / max(np.asarray(u["bone"], float).sum(), 1e-30) if rate else 0.0
        return u

    @property
    def planted(self) -> tuple[str, ...]:
        """The fields that begin on day 0, on the healthy baseline."""
        names = (name for part in self.model.components for name in part.planted)
        return tuple(name for name in names if name not in self._came)

    def _planted(self, u: Fields) -> Fields:
        """The state with the fields that components plant on day 0, unless they came with the other run."""
        new = self.planted
        now = replace(self.problem.section, bone=np.clip(np.asarray(u["bone"], float), 0, 1)) if new else None
        for part in self.model.components:
            if now is not None and {*part.planted} & {*new}:
                found = part.plant(now, self.system.place.active)
                u = u | {k: jnp.asarray(x, self.dtype) for k, x in found.items() if k in new}
        return u

    def _check_user_rates(self) -> None:
        """Try the rates of a user's component before a run. Raises InputError when they fail."""
        s, model = self.system, self.model
        for part in (part for part in model.components if isinstance(part, Extension)):
            place = of_section(s.place)
            u = model.initial(place.bone, place.active, self.problem.parameters)
            c = model.conditions(u, s.p, place, s.update_coefficients(u), s.inputs(jnp.zeros(())))
            u |= {k: jnp.full_like(s.place.active, x) for k, x in part.start.items()}
            molecules = (f.name for f in model.molecules(self.problem.parameters))
            open_to = (*molecules, "precursors", "osteoclasts")
            active = self.problem.section.active
            try_rates(part.label, part.rates, u, s.p, c.at, active, part.names, open_to)
            self.warnings = unseen(part.name, self.problem, follows_time(part.rates, u, s.p, c.at))
            taken = ["time", *(o.name for o in model.observers if o not in part.observers)]
            taken += [series.name for other in model.components for series in other.followed]
            spacing = self.problem.grid.spacing
            try_observers(part.label, part.observers, taken, u, s.p, model.seen(c), spacing)

    def _continue_from(self, initial: InitialState) -> None:
        state, reference = initial.fields, initial.reference
        self.system = baseline.with_reference(
            self.system, {k: jnp.asarray(v, self.dtype) for k, v in reference.items() if k != "bone"}
        )
        zero = jnp.zeros(self.problem.section.grid.shape, self.dtype)
        there = {
            f.name: jnp.asarray(state[f.name], self.dtype) if f.name in state else zero for f in self.fields
        }
        self.u = self._planted(there)
        for name, amounts in initial.plasma.items():
            self._drugs[0.0][name].amounts = np.asarray(amounts, float)
        anew = {d.agent for d in self.doses if d.time == 0 and d.steady_interval}
        instant = Instants(self.problem.end, self.events)
        left = [d.at(instant) for d in initial.infusions if d.agent not in anew]
        self.doses = [*left, *self.doses]
        self.baseline_cycles = 0

    def _curves(
        self, plasma: Mapping[str, Kinetics], begin: float, end: float, same: Forcing | None = None
    ) -> Forcing:
        """The curves of the drugs in plasma between two events; the drugs are advanced to `end`.

        same: a forcing whose knots are used.
        """
        knots = (
            (None,) * len(plasma)
            if same is None
            else tuple(np.unique(k) for k in np.asarray(same.knots))[: len(plasma)]
        )
        rows = [
            p.advance(begin, end, at, self._infusions(name, begin, end))
            for (name, p), at in zip(plasma.items(), knots, strict=True)
        ] or [(np.array([begin, end]), np.zeros(2), np.zeros(2))]
        rows += [rows[0]] * (len(self.model.inputs) - len(rows))
        size = max(KNOTS, *(1 << int(np.ceil(np.log2(len(r[0])))) for r in rows))
        table = np.stack([[np.pad(x, (0, size - len(x)), mode="edge") for x in row] for row in rows])
        knots, values, slopes = (jnp.asarray(table[:, i], jnp.float64) for i in range(3))
        return Forcing(knots, values, slopes, jnp.asarray(end, jnp.float64), self.model.inputs)

    @property
    def events(self) -> list[float]:
        return event_times(self.problem, self.doses)

    @property
    def levels(self) -> Mapping[str, float]:
        if not self.problem.treatments:
            return {}
        return {"lesion_area": min((w.lesion for w in self.waiting), default=np.inf)}

    def between(self, begin: float, end: float, same: Forcing | None = None) -> System:
        """The system from one event to the next, with the doses given and the parameters changed.

        It is the same however often it is asked for. same: a forcing whose knots the plasma curves use.
        """
        self.surprised = False
        self._segment, self._known = (begin, end), len(self.doses)
        self._drugs.setdefault(begin, self.plasma_at(begin))
        plasma = self._dosed(begin)
        forcing = self._curves(plasma, begin, end, same)
        self._drugs[end] = plasma
        return replace(self.system, p=self._numbers(begin), forcing=forcing)

    def _dosed(self, t: float) -> dict[str, Kinetics]:
        """The drugs in plasma right after the doses of time t."""
        plasma = self.plasma_at(t)
        for dose in due(self.doses, t):
            plasma[dose.agent].give(dose)
        return plasma

    def _infusions(self, agent: str, begin: float, end: float) -> tuple[Dose, ...]:
        """The infusions of a drug that are under way between two times without an event between them."""
        return under_way(self.doses, agent, (begin + end) / 2)  # the middle, as ends are sums

    def plasma_at(self, t: float) -> dict[str, Kinetics]:
        """The drugs in plasma at time t, from which another run continues; a dose due at t is not
        included.
        """
        if t in self._drugs:
            return {k: replace(p) for k, p in self._drugs[t].items()}
        begin = max(known for known in self._drugs if known < t)
        plasma = self._dosed(begin)
        for name, p in plasma.items():
            p.advance(begin, t, infusions=self._infusions(name, begin, t))
        return plasma

    def watched(self, t: float, days: float, observed: dict[str, float]) -> dict[str, float]:
        """The observables with those that components follow on the host, such as serum calcium.

        A lesion that is large enough starts the treatments that wait for it.
        """
        for treatment in [w for w in self.waiting if observed["lesion_area"] >= w.lesion]:
            self.waiting.remove(treatment)
            self.surprised = True
            then = [replace(d, time=t + d.time) for d in treatment.doses]
            times = [x for d in then for x in (d.time, d.end)]
            instant = Instants(self.problem.end, [t, *self.events, *times])
            self.doses += [d for d in (d.at(instant) for d in then) if d.time < self.problem.end]
        if self.hosts:
            p = self.in_force(self._segment[0])  # the parameters of the step
            for host in self.hosts.values():
                observed = observed | host.after(days, observed, p)
        return observed

    def state_dict(self) -> dict[str, Any]:
        treatments = self.problem.treatments
        found = {
            "doses": [asdict(d) for d in self.doses],
            "known": self._known,  # number of doses when the present system was made
            "waiting": [treatments.index(w) for w in self.waiting],
            "surprised": self.surprised,
            "plasma": [
                [t, {k: p.amounts.tolist() for k, p in self._drugs[t].items()}] for t in self._segment
            ],
            "baseline_cycles": self.baseline_cycles,
        }
        for host in self.hosts.values():
            found |= host.state_dict()
        return found

    def load_state(self, state: Mapping[str, Any], begin: float, end: float) -> System:
        doses = [Dose(**d) for d in state["doses"]]
        self._drugs = {t: _drugs(self.problem) for t, _ in state["plasma"]}
        for t, amounts in state["plasma"]:
            for name, x in amounts.items():
                self._drugs[t][name].amounts = np.asarray(x, float)
        self.doses = doses[: state["known"]]
        system = self.between(begin, end)
        self.doses, self.surprised, self.baseline_cycles = doses, state["surprised"], state["baseline_cycles"]
        self.waiting = [self.problem.treatments[i] for i in state["waiting"]]
        for host in self.hosts.values():
            host.load_state(state)
        return system

    def end_state(self, t: float) -> dict[str, Any]:
        plasma = {f"plasma_{k}": p.amounts for k, p in self.plasma_at(t).items()}
        after = t + Instants(self.problem.end).within
        for name in self.problem.drugs:
            if going_on := [d for d in under_way(self.doses, name, t) if d.end > after]:
                plasma[f"infusions_{name}"] = left_of(going_on, t)
        return plasma | {k: x for host in self.hosts.values() for k, x in host.handed_on().items()}

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """The reference values of the healthy baseline, with the bone that it belongs to."""
        found = {k: np.asarray(v, float) for k, v in of_section(self.system.place).reference.items()}
        return found | {"bone": np.asarray(self.problem.section.bone * self.problem.section.active, float)}
