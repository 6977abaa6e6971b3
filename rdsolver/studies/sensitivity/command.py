"""The body of `rdsolver sensitivity`: checks what is asked for, computes, prints and writes."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ...config.config import Config
from ...errors import STDOUT, InputError, writing
from ...figures import style
from ...figures.tornado import tornado
from ...problem import ModelProblem, Problem
from ...utils.reporting import Quiet, TerminalReporter, on_terminal
from . import report
from .global_ import SAMPLES, scan
from .local import local

WIDTH = 160  # of a table that goes to no terminal


@dataclass(frozen=True)
class Wanted:
    """parameters, observables: None for all; method: None for the local analysis; out: folder that keeps the
    runs of a global one; jobs: of those at once.
    """

    parameters: list[str] | None
    observables: list[str] | None
    method: str | None
    samples: int | None
    seed: int
    json_file: Path | None
    csv_file: Path | None
    figure: Path
    out: Path | None
    jobs: int | None
    quiet: bool = False


def analyse(config: Config, wanted: Wanted) -> None:
    """Compute, print, write.

    Raises InputError before anything is computed when what is asked for makes no sense.
    """
    problem = config.problem()
    if isinstance(problem, ModelProblem):
        raise InputError(
            f"{problem.model.name} is a user model; sensitivity works for rdsolver's models"
            " and their extensions."
        )
    style.checked(wanted.figure)
    for file in (wanted.json_file, wanted.csv_file):
        if file not in (None, STDOUT) and not file.parent.is_dir():
            raise InputError(
                f"{file} cannot be written: there is no folder {file.parent}. Make it, or choose another"
                " file."
            )
    for option, value in (("--samples", wanted.samples), ("--out", wanted.out), ("--jobs", wanted.jobs)):
        if wanted.method is None and value is not None:
            raise InputError(
                f"{option} {value} belongs to a global analysis. Give --global"
                f" {' or --global '.join(SAMPLES)} with it."
            )
    with closing(on_terminal(wanted.quiet, wanted.json_file == STDOUT)) as tell:
        _analyse(config, problem, wanted, tell)


def _analyse(config: Config, problem: Problem, wanted: Wanted, tell: TerminalReporter | Quiet) -> None:
    for warning in config.warnings:
        tell.warn(warning)
    if wanted.method is None:
        said = report.of_local(
            local(problem, wanted.parameters, wanted.observables, tell.working), wanted.observables
        )
    else:
        asked = wanted.samples, wanted.seed, wanted.parameters, wanted.observables
        found = scan(config, wanted.method, *asked, tell, wanted.out, wanted.jobs)
        said = report.of_scan(found, problem, wanted.observables)
    tell.say("", "")
    stream = sys.stderr if wanted.json_file == STDOUT else sys.stdout
    console = Console(
        file=stream,
        width=None if stream.isatty() else WIDTH,
        markup=False,
        highlight=False,
        quiet=wanted.quiet,
    )
    for table in said.tables:
        console.print(table, "\n")
    for note in said.notes:
        tell.say("note", note)
    for name, why in said.left_out:
        tell.say("left out", f"{name}: {why}")
    tornado(said.panels, wanted.figure, said.measure, problem.title or "Sensitivity", said.signed)
    tree = json.dumps(said.tree, indent=2, ensure_ascii=False) + "\n"
    if wanted.json_file == STDOUT:
        sys.stdout.write(tree)
    for file, text in ((wanted.json_file, tree), (wanted.csv_file, report.as_csv(said.rows))):
        if file not in (None, STDOUT):
            with writing(file):
                file.write_text(text, encoding="utf-8")
    for path in (wanted.figure, wanted.json_file, wanted.csv_file):
        if path not in (None, STDOUT):
            tell.say("written", str(path))
