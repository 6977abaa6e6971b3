"""A checkpoint: the state from which a run continues, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax

from ..errors import InputError
from ..simulation import program
from ..simulation.time_loop import SimulationState, Totals
from ..timestepping.base import StepState
from ..utils.provenance import PACKAGES
from ..utils.safe_files import Damaged, reading
from . import checkpoint_file
from .checkpoint_file import Content


@dataclass(frozen=True)
class Checkpoint:
    """The state from which a run continues.

    run_id       id of the run that it belongs to
    fingerprint  fingerprint of the problem
    simulation   the state after the last accepted step
    summary      state of the summary at that step
    times, rows  number of saved times, and of rows of the series, in run.h5 at that step
    first, last  the first row of the series, and the last
    wall_time    wall time of all sessions, s
    seconds      the same time by kind of work (timing.py)
    written      part of it that was spent on writing, s
    memory       peak memory in bytes, of the host and of the device
    """

    run_id: str
    fingerprint: str
    simulation: SimulationState
    summary: Mapping[str, Any]
    times: int
    rows: int
    first: Mapping[str, float]
    last: Mapping[str, float]
    wall_time: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    written: float = 0.0
    memory: Mapping[str, int] = field(default_factory=dict)


def save(run: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint of the run file `run`.

    Raises RunError when it cannot be written; earlier checkpoints then still exist.
    """
    checkpoint_file.save(run, *content_of(checkpoint))


def load(run: Path, run_id: str) -> tuple[Checkpoint, list[str]]:
    """The last intact checkpoint of a run, and the faults of any that was skipped.

    Raises InputError when there is none: the run has to start again.
    """
    content, wrong = checkpoint_file.load(run, run_id)
    if missing := checkpoint_file.NUMBERS.keys() - content.numbers.keys():
        raise Damaged(f"the checkpoint of {run} is damaged: it has no {', '.join(sorted(missing))}.")
    with reading(f"the checkpoint of {run}"):
        return _checkpoint_of(content), wrong


def content_of(checkpoint: Checkpoint) -> Content:
    """The content of its file. Names in files do not change, because older files are read."""
    c, s = checkpoint, checkpoint.simulation
    lane = jax.device_get(s.lane)
    step = lane.step_state
    simulation = {
        "t": float(lane.t),
        "dt": float(lane.dt),
        "segment": list(s.segment),
        "landing": float(lane.landing),
        "streak": int(lane.streak),
        "middle_age": float(step.middle_age),
        "cycles": {k: int(n) for k, n in lane.cycles.items()},
        "krylov": list(s.krylov),
        "integrator": list(s.integrator),
        "totals": asdict(s.totals),
        "budget": dict(s.budget),
        "held_at_start": dict(s.held_at_start),
        "course": dict(s.scenario),
    }
    numbers = {
        "run_id": c.run_id,
        "fingerprint": c.fingerprint,
        "simulation": simulation,
        "account": dict(c.summary),
        "times": c.times,
        "rows": c.rows,
        "first": dict(c.first),
        "last": dict(c.last),
        "spent": c.wall_time,
        "seconds": dict(c.seconds),
        "written": c.written,
        "memory": dict(c.memory),
    }
    fields = {"u": lane.u, "slope": step.f, "flows": step.flows, "middle": step.middle}
    return Content(numbers, fields)


def _checkpoint_of(content: Content) -> Checkpoint:
    numbers = content.numbers
    arrays = {kind: dict(fields) for kind, fields in content.arrays.items()}
    n, slope = numbers["simulation"], arrays["slope"]
    (name, why), (begin, end) = n["integrator"], n["segment"]
    step = StepState(slope, arrays.get("flows", {}), arrays.get("middle", slope), n["middle_age"])
    # older files were written only after an accepted step
    landing, streak = n.get("landing", end), n.get("streak", 0)
    simulation = SimulationState(
        lane=program.lane(n["t"], n["dt"], arrays["u"], step, n["cycles"], landing, streak),
        segment=(begin, end),
        krylov=tuple(n["krylov"]),
        integrator=(name, why),
        totals=Totals(**n["totals"]),
        budget=n["budget"],
        held_at_start=n["held_at_start"],
        scenario=n["course"],
    )
    return Checkpoint(
        run_id=numbers["run_id"],
        fingerprint=numbers["fingerprint"],
        simulation=simulation,
        summary=numbers["account"],
        times=numbers["times"],
        rows=numbers["rows"],
        first=numbers["first"],
        last=numbers["last"],
        wall_time=numbers["spent"],
        seconds=numbers.get("seconds", {"stepping": numbers["spent"]}),  # older files have only the sum
        written=numbers.get("written", 0.0),
        memory=numbers.get("memory", {}),
    )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The differences since the start of the run in everything that the bits of a result depend on.

    Raises InputError for another precision.
    """
    if then["precision"] != now["precision"]:
        raise InputError(
            f"the run was made in {then['precision']} and cannot continue in {now['precision']}. Start a new"
            " run."
        )
    rows = [
        ("device", then["device"], now["device"]),
        ("XLA_FLAGS", then.get("xla_flags", ""), now.get("xla_flags", "")),
    ]
    rows += [
        ("commit", then.get("git_commit"), now.get("git_commit")),
        ("machine", then.get("platform"), now.get("platform")),
    ]
    rows += [("CPU", then["cpu"], now.get("cpu"))] if "cpu" in then else []  # older files do not state it
    rows += [("runs that stepped together", then.get("width", 0), now.get("width", 0))]
    rows += [(name, then["versions"].get(name), now["versions"].get(name)) for name in ("python", *PACKAGES)]
    yield from (f"{name} was {old}, now {new}" for name, old, new in rows if old != new)
