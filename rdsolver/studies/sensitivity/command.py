"""The body of `rdsolver sensitivity`: it checks the arguments, computes, prints and writes."""

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

WIDTH = 160  # width of a table that is not printed to a terminal


@dataclass(frozen=True)
class AnalysisOptions:
    """The options of an analysis.

    parameters, observables  None for all
    method                   None for the local analysis
    out                      folder that keeps the runs of a global analysis; jobs: number of those at once
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


def analyse(config: Config, options: AnalysisOptions) -> None:
    """Compute, print, write.

    Raises InputError before anything is computed when the options are not consistent.
    """
    problem = config.problem()
    if isinstance(problem, ModelProblem):
        raise InputError(
            f"{problem.model.name} is a user model; sensitivity works for rdsolver's models"
            " and their extensions."
        )
    style.checked(options.figure)
    for file in (options.json_file, options.csv_file):
        if file not in (None, STDOUT) and not file.parent.is_dir():
            raise InputError(
                f"{file} cannot be written: there is no folder {file.parent}. Make it, or choose another"
                " file."
            )
    for option, value in (("--samples", options.samples), ("--out", options.out), ("--jobs", options.jobs)):
        if options.method is None and value is not None:
            raise InputError(
                f"{option} {value} belongs to a global analysis. Give --global"
                f" {' or --global '.join(SAMPLES)} with it."
            )
    with closing(on_terminal(options.quiet, options.json_file == STDOUT)) as reporter:
        _analyse(config, problem, options, reporter)


def _analyse(
    config: Config, problem: Problem, options: AnalysisOptions, reporter: TerminalReporter | Quiet
) -> None:
    for warning in config.warnings:
        reporter.warn(warning)
    if options.method is None:
        said = report.of_local(
            local(problem, options.parameters, options.observables, reporter.working), options.observables
        )
    else:
        chosen = options.samples, options.seed, options.parameters, options.observables
        found = scan(config, options.method, *chosen, reporter, options.out, options.jobs)
        said = report.of_scan(found, problem, options.observables)
    reporter.say("", "")
    stream = sys.stderr if options.json_file == STDOUT else sys.stdout
    console = Console(
        file=stream,
        width=None if stream.isatty() else WIDTH,
        markup=False,
        highlight=False,
        quiet=options.quiet,
    )
    for table in said.tables:
        console.print(table, "\n")
    for note in said.notes:
        reporter.say("note", note)
    for name, why in said.left_out:
        reporter.say("left out", f"{name}: {why}")
    tornado(said.panels, options.figure, said.measure, problem.title or "Sensitivity", said.signed)
    tree = json.dumps(said.tree, indent=2, ensure_ascii=False) + "\n"
    if options.json_file == STDOUT:
        sys.stdout.write(tree)
    for file, text in ((options.json_file, tree), (options.csv_file, report.as_csv(said.rows))):
        if file not in (None, STDOUT):
            with writing(file):
                file.write_text(text, encoding="utf-8")
    for path in (options.figure, options.json_file, options.csv_file):
        if path not in (None, STDOUT):
            reporter.say("written", str(path))
