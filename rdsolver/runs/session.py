"""A session of a run: the results of the simulation go to the file, to checkpoints and to the reporter.

It lasts until the end of the run or a stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from ..output.background import Background
from ..output.writer import RunWriter
from ..parallel.device import peak_memory
from ..problem import ModelProblem, Problem
from ..simulation.time_loop import Simulation, Step
from ..utils import checks
from ..utils.memory import enough_memory
from ..utils.reporting import Reporter
from ..utils.signals import Stop
from . import checkpoint, checkpoint_file
from .checkpoint import Checkpoint
from .saved_observers import watched_at_saved
from .summary import RunSummary
from .timing import Timer

REPORT_EVERY = 0.2  # s between two reports of progress
FLUSH_EVERY = 2.0  # s between two writes of the series
CHECKPOINT_EVERY = 600.0  # s between two checkpoints


@dataclass(frozen=True)
class Limits:
    """The limits of one session.

    walltime    s (inf: none)
    checkpoint  s between two checkpoints
    stop        the object that asks for a stop
    """

    walltime: float = float("inf")
    checkpoint: float = CHECKPOINT_EVERY
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        checks.number("walltime", self.walltime, "s", endless=True, above=0)
        checks.number("checkpoint", self.checkpoint, "s", endless=True, least=0)


class Session:
    """A run from its start, or from a checkpoint, to its end or to a stop.

    run_id, fingerprint  the run and its problem, which identify its checkpoints
    timer                timer of the run, which began with its baseline
    before               the checkpoint from which it continues; None: the run starts
    """

    def __init__(
        self,
        problem: Problem | ModelProblem,
        summary: RunSummary,
        writer: RunWriter,
        reporter: Reporter,
        limits: Limits,
        run_id: str,
        fingerprint: str,
        timer: Timer,
        before: Checkpoint | None = None,
    ) -> None:
        self.problem, self.summary, self.writer = problem, summary, writer
        self.reporter, self.limits, self.timer = reporter, limits, timer
        self.run_id, self.fingerprint = run_id, fingerprint
        self.fresh = before is None
        self.began = self.flushed = self.reported = self.checkpointed = time.perf_counter()
        self.times = self.count = 0  # number of saved times, and of rows of the series
        self.first: Mapping[str, float] = {}
        self.last: Mapping[str, float] = {}
        self.wall_before = self.written_before = 0.0  # seconds of earlier sessions
        self.memory_before: Mapping[str, int] = {}
        if before is not None:
            self.times, self.count = before.times, before.rows
            self.first, self.last = before.first, before.last
            self.wall_before, self.written_before = before.wall_time, before.written
            self.memory_before = before.memory
        self.rows: list[Mapping[str, float]] = []  # rows that are not in the file yet
        self.steps = 0  # number of steps of this session
        self.latest: Checkpoint | None = None  # checkpoint of the last accepted step
        self._lock, self._over = threading.Lock(), False

    def run(self, simulation: Simulation) -> None:
        """Run to the end, or until asked to stop; leave an intact file either way."""
        self.simulation, self.scenario = simulation, simulation.scenario
        self.timer.turn("stepping")
        self.limits.stop.last_words = self._leave
        with Background() as self.thread:
            if self.count == 0:
                self.thread.do(self.writer.set_reference, self.scenario.reference)
            else:
                self._remember()
            try:
                with enough_memory(
                    self.problem.grid.cells, len(self.summary.fields), self.problem.solver.precision
                ):
                    why = self._advance()
                    self.thread.wait()
                    message = f"{why} at {simulation.t:g} d of {self.problem.end:g} d" if why else ""
                    self._close("stopped" if why else "finished", message)
            except KeyboardInterrupt:
                self._close("stopped", "interrupted")
                raise
            except Exception as e:
                self._fail(str(e))
                raise
        self._say_done(message)

    def _why(self) -> str:
        """The reason why the run must stop; empty if it need not.

        A session makes at least one step, unless it is asked to stop from outside.
        """
        if asked := self.limits.stop.name:
            return f"stopped by {asked}"
        late = self.steps > 0 and time.perf_counter() - self.began > self.limits.walltime
        return "walltime reached" if late else ""

    def _advance(self) -> str:
        """Advance to the end. Return the reason for an earlier stop (empty: none)."""
        for chunk in self.simulation.chunks():
            with self._lock:
                self._record(chunk)
            if self.simulation.t < self.problem.end and (why := self._why()):
                return why
        return ""

    def _record(self, chunk: list[Step]) -> None:
        for step in chunk:
            self.steps += step.dt > 0
            self.last = {"time": step.t, **step.observed}
            self.first = self.first or self.last
            self.summary.observe(self.last)
            self.rows.append(self.last)
            for when, fields in step.saved:
                self.thread.do(self._save, when, fields)
                self.times += 1
            self.count += 1
        self._remember()
        now = time.perf_counter()
        if now - self.flushed > FLUSH_EVERY or any(step.saved for step in chunk):
            self._flush()
        if self.count == 1 or now - self.checkpointed > self.limits.checkpoint:
            self._checkpoint()
        if chunk and now - self.reported > REPORT_EVERY:
            self.reported = now
            totals, last = self.simulation.totals, chunk[-1]
            self.reporter.progress(last.t, self.problem.end, last.dt, totals.solves, totals.seconds)

    def _save(self, t: float, fields: Mapping[str, np.ndarray]) -> None:
        """Save one time, with the observables at that time."""
        self.writer.append(t, fields, watched_at_saved(self.problem, self.simulation.model, t, fields))

    def _remember(self) -> None:
        self.latest = Checkpoint(
            self.run_id,
            self.fingerprint,
            self.simulation.state(),
            self.summary.state_dict(),
            self.times,
            self.count,
            self.first,
            self.last,
        )

    def _flush(self) -> None:
        if self.rows:
            self.thread.do(
                self.writer.append_series, {k: np.array([r[k] for r in self.rows]) for k in self.rows[0]}
            )
            self.rows = []
        self.flushed = time.perf_counter()

    def _checkpoint(self) -> None:
        """Write a checkpoint of the last accepted state, after everything before it is in the file."""
        if self.latest is None or self.writer.path is None:
            return
        self._flush()
        now = time.perf_counter()
        full = replace(
            self.latest,
            wall_time=self.wall_before + now - self.began,
            seconds=self.timer.seconds(),
            written=self.written_before + self.thread.seconds,
            memory=self._memory(),
        )
        self.thread.do(checkpoint.save, self.writer.path, full)
        self.checkpointed = now

    def _memory(self) -> dict[str, int]:
        found = peak_memory(self.problem.solver.device)
        return {
            where: max(found.get(where, 0), self.memory_before.get(where, 0))
            for where in {**found, **self.memory_before}
        }

    def _close(self, status: Any, message: str) -> None:
        self.limits.stop.acknowledge()
        with self._lock:
            self._end(status, message)

    def _fail(self, message: str) -> None:
        """Save as much as possible; at the least, that the run failed."""
        try:
            self._close("failed", message)
        except Exception:  # the first error is the one to report
            self.thread.forgive()
            self.thread.do(self.writer.finish, "failed", message)
            self.thread.forgive()

    def _end(self, status: Any, message: str) -> None:
        """Save the last accepted state and how the run ended.

        After a failure of the file, as much as possible is saved.
        """
        self._over = True
        simulation, scenario, totals = self.simulation, self.scenario, self.simulation.totals
        if status == "failed" and self.thread.forgive():
            self.rows = []  # rows before them are missing; the last checkpoint states the content of the file
        elif status != "finished":
            self._checkpoint()
        self._flush()
        summary = {
            "steps": totals.steps,
            "rejected": totals.rejected,
            "stage_solves": totals.solves,
            "worst_contraction": totals.contraction,
            **self.summary.figures(scenario),
            "budgets": simulation.budgets(),
        }
        state = {k: np.asarray(v) for k, v in simulation.u.items()}
        seconds = self.timer.seconds()
        cost = {
            "seconds": seconds | {"writing": self.written_before + self.thread.seconds},
            "peak_memory": self._memory(),
        }
        noted = [
            (self.writer.note, name, value)
            for name, value in {**self.summary.notes(scenario), **cost}.items()
        ]
        last = [
            (
                self.writer.set_state,
                state,
                {"time": simulation.t, **scenario.end_state(simulation.t)},
            ),
            *noted,
            (self.writer.finish, status, message, summary, sum(seconds.values())),
        ]
        for work, *arguments in last:
            self.thread.do(work, *arguments)
            if status == "failed":
                self.thread.forgive()  # save as much as possible
        self.thread.wait()
        if status == "finished" and self.writer.path is not None:
            checkpoint_file.remove(self.writer.path)  # the run file holds the final state

    def _leave(self, name: str) -> None:
        """End a run whose present step takes too long to wait for: from another thread, before the process
        ends.
        """
        with self._lock:
            if self._over:
                return
            if self.steps == 0 and self.fresh:
                self._discard(name)
                return
            message = f"stopped by {name} at {self.simulation.t:g} d of {self.problem.end:g} d"
            self._end("stopped", message)
            self.writer.close()
            self._say_done(message)

    def _discard(self, name: str) -> None:
        """Remove a run that is stopped before its first step, so that it does not block the next."""
        self._over = True
        self.thread.wait()
        self.writer.close()
        self._say_unbegun(name)
        self.reporter.say("", discard(self.writer.path, self.limits.stop))

    def _say_unbegun(self, name: str) -> None:
        self.reporter.say("stopped", f"by {name} before the first step")

    def _say_done(self, message: str) -> None:
        if self.fresh and self.steps == 0 and message:
            self._say_unbegun(self.limits.stop.name)
            return
        t, seconds = self.simulation.totals, time.perf_counter() - self.began
        self.reporter.say(
            "stopped" if message else "done",
            f"{message or f'{self.simulation.t:g} d'} in {seconds:.1f} s "
            f"({self.summary.preparing} {max(0.0, seconds + self.wall_before - t.seconds + t.first):.1f} s): "
            f"{t.steps} steps, {t.rejected} rejected, {t.solves} solves",
        )
        worst = max((abs(b["imbalance"]) for b in self.simulation.budgets().values()), default=None)
        closing = "" if worst is None else f"; mass-balance error {worst:.0e}"
        self.reporter.say("", f"{self.summary.headline(self.scenario, self.first, self.last)}{closing}")
        if message and self.writer.path is not None:
            trusted = " --allow-python" if self.problem.source else ""
            self.reporter.say(
                "", f"continue with: rdsolver resume {quote(str(self.writer.path.parent))}{trusted}"
            )


def discard(path: Path | None, stop: Stop) -> str:
    """Remove a run without results. Return the message about it."""
    if path is not None:
        checkpoint_file.remove(path)
        path.unlink(missing_ok=True)
    again = f"; start it with: {stop.begins}" if stop.begins else ""
    return f"nothing was computed, and no run is left{again}"
