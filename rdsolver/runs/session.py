"""A run under way: what the simulation gives goes to the file, to checkpoints and to the reporter, until the
end or a stop.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ..output.background import Background
from ..output.writer import RunWriter
from ..parallel.device import peak_memory
from ..problem import ModelProblem, Problem
from ..simulation.time_loop import Abandoned, Kept
from ..utils import checks
from ..utils.memory import enough_memory
from ..utils.reporting import Reporter
from ..utils.signals import Stop
from . import checkpoint
from .summary import RunSummary
from .timing import Spent

if TYPE_CHECKING:
    from ..simulation.time_loop import Chunk, Simulation

REPORT_EVERY = 0.2  # s between two words about progress
FLUSH_EVERY = 2.0  # s between two writes of the series
CHECKPOINT_EVERY = 600.0  # s between two checkpoints


@dataclass(frozen=True)
class Limits:
    """Of one sitting: walltime, s (inf: none); s between two checkpoints; who asks for a stop."""

    walltime: float = float("inf")
    checkpoint: float = CHECKPOINT_EVERY
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        checks.number("walltime", self.walltime, "s", endless=True, above=0)
        checks.number("checkpoint", self.checkpoint, "s", endless=True, least=0)


class Running:
    """One sitting of a run.

    marks   what its checkpoints are known by (run_id, fingerprint), kept in each
    spent   the seconds of it, which began with its baseline
    before  the numbers of the checkpoint it goes on from; none: it begins
    """

    def __init__(
        self,
        problem: Problem | ModelProblem,
        summary: RunSummary,
        writer: RunWriter,
        tell: Reporter,
        limits: Limits,
        marks: dict[str, str],
        spent: Spent,
        before: dict[str, Any] | None = None,
    ) -> None:
        self.problem, self.summary, self.writer, self.tell, self.limits, self.marks = (
            problem,
            summary,
            writer,
            tell,
            limits,
            marks,
        )
        self.fresh = before is None
        had = before or {"times": 0, "rows": 0, "first": {}, "last": {}, "spent": 0.0}
        self.times, self.count, self.first, self.last = had["times"], had["rows"], had["first"], had["last"]
        self.began = self.flushed = self.reported = self.marked = time.perf_counter()
        self.spent = had["spent"]  # s, before this sitting
        self.seconds, self.written = spent, had.get("written", 0.0)
        self.memory: dict[str, int] = had.get("memory", {})  # at most, of the sittings before
        self.rows: list[dict[str, float]] = []
        self.steps = 0  # of this sitting
        self.kept: tuple[Kept, dict[str, Any]] | None = None
        self._lock, self._over = threading.Lock(), False

    def go(self, simulation: Simulation) -> None:
        """Until the end, or until asked to stop; leaves a whole file either way."""
        self.simulation, self.scenario = simulation, simulation.scenario
        self.seconds.turn("stepping")
        simulation.stop = lambda: bool(self._why())
        self.limits.stop.last_words = self._leave
        with Background() as self.thread:
            if self.count == 0:
                self.thread.do(self.writer.set_reference, self.scenario.reference)
            else:
                self._note_kept()
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
        """Why the run is to stop; empty while it is not.

        A sitting makes one step at least, unless it is asked from outside.
        """
        if asked := self.limits.stop.name:
            return f"stopped by {asked}"
        late = self.steps > 0 and time.perf_counter() - self.began > self.limits.walltime
        return "walltime reached" if late else ""

    def _advance(self) -> str:
        """Until the end: then empty; else why it stopped."""
        try:
            for chunk in self.simulation.chunks():
                with self._lock:
                    self._keep(chunk)
                if chunk.t < self.problem.end and (why := self._why()):
                    return why
        except Abandoned:
            return self._why()
        return ""

    def _keep(self, chunk: Chunk) -> None:
        self.steps += chunk.dt > 0
        self.last = {"time": chunk.t, **chunk.observed}
        self.first = self.first or self.last
        self.summary.observe(self.last)
        self.rows.append(self.last)
        for when, fields in chunk.saved:
            self.thread.do(self.writer.append, when, fields)
            self.times += 1
        self.count += 1
        self._note_kept()
        now = time.perf_counter()
        if chunk.saved or now - self.flushed > FLUSH_EVERY:
            self._flush()
        if self.count == 1 or now - self.marked > self.limits.checkpoint:
            self._checkpoint()
        if now - self.reported > REPORT_EVERY:
            self.reported = now
            totals = self.simulation.totals
            self.tell.progress(chunk.t, self.problem.end, chunk.dt, totals.solves, totals.seconds)

    def _note_kept(self) -> None:
        about = {
            "times": self.times,
            "rows": self.count,
            "first": self.first,
            "last": self.last,
            "account": self.summary.state_dict(),
        }
        self.kept = self.simulation.kept(), about

    def _flush(self) -> None:
        if self.rows:
            self.thread.do(
                self.writer.append_series, {k: np.array([r[k] for r in self.rows]) for k in self.rows[0]}
            )
            self.rows = []
        self.flushed = time.perf_counter()

    def _checkpoint(self) -> None:
        """Of the last accepted state, after all that belongs before it is in the file."""
        if self.kept is None or self.writer.path is None:
            return
        self._flush()
        (kept, about), now = self.kept, time.perf_counter()
        numbers = self.marks | about | {"simulation": kept.numbers, "spent": self.spent + now - self.began}
        numbers |= {
            "seconds": self.seconds.told(),
            "written": self.written + self.thread.seconds,
            "memory": self._memory(),
        }
        self.thread.do(checkpoint.save, self.writer.path, numbers, kept.arrays)
        self.marked = now

    def _memory(self) -> dict[str, int]:
        found = peak_memory(self.problem.solver.device)
        return {
            where: max(found.get(where, 0), self.memory.get(where, 0)) for where in {**found, **self.memory}
        }

    def _close(self, status: Any, message: str) -> None:
        self.limits.stop.heard()
        with self._lock:
            self._end(status, message)

    def _fail(self, message: str) -> None:
        """As much as still can be kept; at the least that it failed."""
        try:
            self._close("failed", message)
        except Exception:  # the error that was first is the one to tell
            self.thread.forgive()
            self.thread.do(self.writer.finish, "failed", message)
            self.thread.forgive()

    def _end(self, status: Any, message: str) -> None:
        """Keep the last accepted state and say how it ended.

        After a failure of the file as much as still can be.
        """
        self._over = True
        simulation, scenario, totals = self.simulation, self.scenario, self.simulation.totals
        if status == "failed" and self.thread.forgive():
            self.rows = []  # some before them are missing; the last checkpoint knows what the file holds
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
        seconds = self.seconds.told()
        cost = {
            "seconds": seconds | {"writing": self.written + self.thread.seconds},
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
                self.thread.forgive()  # as much as still can be kept
        self.thread.wait()
        if status == "finished" and self.writer.path is not None:
            checkpoint.remove(self.writer.path)  # the file holds the end

    def _leave(self, name: str) -> None:
        """The last words of a run whose step under way takes too long to wait for: from another thread,
        before the process ends.
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
        """Of a run that is stopped before its first step nothing is left that would be in the way of the next
        one.
        """
        self._over = True
        self.thread.wait()
        self.writer.close()
        self._say_unbegun(name)
        self.tell.say("", discard(self.writer.path, self.limits.stop))

    def _say_unbegun(self, name: str) -> None:
        self.tell.say("stopped", f"by {name} before the first step")

    def _say_done(self, message: str) -> None:
        if self.fresh and self.steps == 0 and message:
            self._say_unbegun(self.limits.stop.name)
            return
        t, seconds = self.simulation.totals, time.perf_counter() - self.began
        self.tell.say(
            "stopped" if message else "done",
            f"{message or f'{self.simulation.t:g} d'} in {seconds:.1f} s "
            f"({self.summary.preparing} {max(0.0, seconds + self.spent - t.seconds + t.first):.1f} s): "
            f"{t.steps} steps, {t.rejected} rejected, {t.solves} solves",
        )
        worst = max((abs(b["imbalance"]) for b in self.simulation.budgets().values()), default=None)
        closing = "" if worst is None else f"; mass-balance error {worst:.0e}"
        self.tell.say("", f"{self.summary.headline(self.scenario, self.first, self.last)}{closing}")
        if message and self.writer.path is not None:
            trusted = " --allow-python" if self.problem.source else ""
            self.tell.say(
                "", f"continue with: rdsolver resume {quote(str(self.writer.path.parent))}{trusted}"
            )


def discard(path: Path | None, stop: Stop) -> str:
    """Remove a run in which nothing was begun; what is to be said of that."""
    if path is not None:
        checkpoint.remove(path)
        path.unlink(missing_ok=True)
    again = f"; start it with: {stop.begins}" if stop.begins else ""
    return f"nothing was computed, and no run is left{again}"
