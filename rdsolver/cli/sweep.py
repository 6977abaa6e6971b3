"""The commands for many runs: rdsolver sweep SWEEP.toml, and sweep status, one and collect."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import InputError
from ..utils.home import at_home
from . import completion
from .app import App, print_json, same_command
from .options import AsJson, Quiet
from .terminal_run import not_begun

if TYPE_CHECKING:
    from ..sweep.design import Design
    from ..sweep.driver import SweepOptions, SweepResult

MOST_SHOWN = 20  # most failed runs that are listed


class Sweep(TyperGroup):
    """`rdsolver sweep FILE` is short for `rdsolver sweep run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        short = args and args[0] not in (*self.commands, "-h", "--help")
        return super().parse_args(ctx, ["run", *args] if short else args)


sweeps = App(
    cls=Sweep,
    no_args_is_help=True,
    help="Run every combination of what a sweep file varies: rdsolver sweep SWEEP.toml. The same command"
    " continues an interrupted sweep.",
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep.")]
Python = Annotated[
    bool,
    typer.Option("--allow-python", help="Allow the base config to execute the Python file of its model."),
]
Device = Annotated[
    str,
    typer.Option(
        help="cpu, gpu (all GPUs), or one GPU of several, such as gpu:1.", autocompletion=completion.devices
    ),
]


@sweeps.command()
def run(
    file: Annotated[
        Path, typer.Argument(metavar="SWEEP.toml", help="Sweep file: a base config and what varies.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep (default: outputs/<sweep name>).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be run and what it would cost; write nothing.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Print one command per run, for a Slurm array or Snakemake.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the base config."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Number of runs at the same time (default: one per core or GPU)."),
    ] = None,
    per_gpu: Annotated[int, typer.Option(min=1, help="Number of workers per GPU.")] = 1,
    batch: Annotated[
        str,
        typer.Option(
            metavar="auto|W|off",
            help="Advance up to W runs together as one program on a device (auto: only on a GPU).",
        ),
    ] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            help="Where the runs are computed: local, tcp://HOST:PORT (Dask), or slurm:PROFILE.toml."
        ),
    ] = "local",
    retry: Annotated[int, typer.Option(min=0, help="How often to retry a run whose process died.")] = 2,
    max_failures: Annotated[
        str | None, typer.Option(metavar="N|5%", help="Stop the sweep when more runs than this have failed.")
    ] = None,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Rerun failed runs from the start.")
    ] = False,
    device: Device = "cpu",
    quiet: Quiet = False,
    allow_python: Python = False,
) -> None:
    """Run every combination that a sweep file describes; runs that have ended are skipped."""
    with not_begun():
        from ..sweep import driver
        from ..sweep.design import load
        from ..utils.reporting import on_terminal

        options = driver.SweepOptions(engine, jobs, per_gpu, device, retry, max_failures, rerun_failed, batch)
        design, folder = load(file, overrides or (), allow_python), out or Path("outputs") / file.stem
    reporter = on_terminal(quiet, aside=listed)
    for warning in design.warnings:
        reporter.warn(warning)
    if dry_run:
        _say_plan(design, folder, options)
    elif listed:
        from ..sweep.store import begin

        _drives_nothing(options)
        begin(folder, design)
        more = ["--device", device] * (device != "cpu") + ["--allow-python"] * allow_python
        typer.echo(
            "\n".join(
                shlex.join(["rdsolver", "sweep", "one", str(folder), name, *more]) for name in design.names
            )
        )
    else:
        with closing(reporter):
            result = driver.run_sweep(design, folder, options, reporter)
        _say_outcome(result, design, folder, quiet)
        if result.exit_status:
            raise typer.Exit(result.exit_status)


@sweeps.command("collect")
def collect_command(folder: Folder) -> None:
    """Collect the runs of a sweep into summary.csv and series.h5. Also works while it runs."""
    from ..sweep.collect import collect
    from ..sweep.reader import SERIES, SUMMARY

    sweep = collect(folder)
    typer.echo(f"{len(sweep)} runs: {', '.join(f'{n} {status}' for status, n in sweep.counts.items())}")
    typer.echo(f"{folder / SUMMARY}\n{folder / SERIES}")


@sweeps.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Show the progress of a sweep. Also works while it runs, here or on another machine."""
    from ..sweep.reader import run_folder
    from ..sweep.store import at_work, design_of, status_of

    design, driver = design_of(folder), at_work(folder)
    found = {name: status_of(run_folder(folder, name)) for name in design.names}
    ends = [s.get("status", "") for s in found.values()]
    begun = sum(not s and run_folder(folder, name).is_dir() for name, s in found.items()) + ends.count(
        "stopped"
    )
    done, failed = ends.count("finished"), ends.count("failed")
    wrong = [(name, s["error"]) for name, s in found.items() if s.get("status") == "failed"]
    walls = [s["wall_time"] for s in found.values() if s.get("status") == "finished"]
    if as_json:
        counts = {
            "runs": len(found),
            "finished": done,
            "failed": failed,
            "begun": begun,
            "driver": driver or None,
        }
        times = {"mean_s": sum(walls) / len(walls) if walls else None, "longest_s": max(walls, default=None)}
        failures = [{"name": name, "error": error} for name, error in wrong]
        print_json({"folder": str(folder)} | counts | {"wall_time": times, "failures": failures})
        return
    typer.echo(
        f"{done} of {len(found)} runs done, {failed} failed, {begun} {'under way' if driver else 'begun'}"
    )
    if walls:
        typer.echo(f"{sum(walls) / len(walls):.2g} s a run, {max(walls):.2g} s the longest")
    _say_failed(wrong, folder, "rdsolver sweep SWEEP.toml --rerun-failed")
    typer.echo(f"running, driven by {driver}" if driver else "not running now")


@sweeps.command()
def one(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the run, as in design.csv.")],
    device: Device = "cpu",
    allow_python: Python = False,
    batch: Annotated[
        str,
        typer.Option(
            metavar="W|off",
            help="Compute the run alone in a batch of width W: same bits as in a sweep with --batch W.",
        ),
    ] = "off",
    quiet: Quiet = False,
) -> None:
    """Compute or continue a single run of a sweep, as printed by --list.

    A finished run is left unchanged.
    """
    from ..errors import unknown
    from ..parallel.device import parse_device
    from ..sweep.driver import SweepOptions
    from ..sweep.reader import run_folder
    from ..sweep.store import design_of, status_of
    from ..sweep.task import perform, task_of

    parse_device(device)
    width = SweepOptions(batch=batch, device=device).width
    design = design_of(folder, allow_python)
    if name not in design.names:
        raise InputError(
            f"{folder}: {name} {unknown('run', name, design.names[:MOST_SHOWN])} `design.csv` lists them all."
        )
    anew = status_of(run_folder(folder, name)).get("status") == "failed"

    from ..parallel.batching import alone_in_batch
    from ..utils.reporting import on_terminal

    reporter = on_terminal(quiet)
    task = task_of(design, design.names.index(name), folder, device, anew)
    with closing(reporter), alone_in_batch(width):
        ended = perform(task, reporter)
    if ended["status"] == "finished":
        reporter.say("finished", str(run_folder(folder, name)))
    elif ended["status"] == "failed":
        typer.echo(ended["error"], err=True)
    else:
        reporter.say("", f"continue with: {same_command()}")
    raise typer.Exit(ended["exit_status"])


def _drives_nothing(options: SweepOptions) -> None:
    """Raise InputError if an option is given that only a driver of many runs uses."""
    from dataclasses import fields

    names = {"most_failures": "max-failures"}
    for f in fields(options):
        if f.name != "device" and getattr(options, f.name) != f.default:
            option = f"--{names.get(f.name, f.name).replace('_', '-')}"
            raise InputError(
                f"{option} is for a driver of many runs, and --list prints commands for single runs. Leave"
                " one of them out."
            )


def _say_plan(design: Design, folder: Path, options: SweepOptions) -> None:
    from ..sweep import driver, executors
    from ..sweep.estimate import check_disk, estimate
    from ..utils import reporting

    statuses = driver.ended(design, folder)
    expected, groups = estimate(design, statuses), len(set(design.groups))
    left = len(design) - len(statuses)
    typer.echo(f"runs      {len(design):,}" + (f", {left:,} of them left" if statuses else ""))
    typer.echo(f"varied    {', '.join(design.varied) or 'nothing'}")
    typer.echo(f"groups    {groups:,} that share compiled programs")
    width = processes = 0
    if options.engine == "local":
        places = driver.slots(options, expected.memory, max(left, 1), len(design))
        width, processes = sum(slot.capacity for slot in places), len(places)
        together = f" in batches of {places[0].width}" if places[0].width else ""
        typer.echo(
            f"at once   {width}{together}, each up to about {reporting.byte_size(expected.memory)} of memory"
        )
    free = check_disk(folder, expected.disk)
    typer.echo(f"disk      about {reporting.byte_size(expected.disk)} of {reporting.byte_size(free)} free")
    if expected.seconds is None or (options.device != "cpu" and not statuses):
        typer.echo(
            "time      unknown until some runs have finished; then `rdsolver sweep status` and --dry-run"
            " show it"
        )
    else:
        # a finished run has the time of a run beside others, an estimate that of a run alone
        at_once = width if statuses else processes
        told = f"about {reporting.duration(expected.seconds / (at_once or 1))}" + (
            "" if width else ", divided by the number of workers"
        )
        typer.echo(
            f"time      {told}; each worker first compiles each group, which takes up to half a minute"
        )
    if options.engine.startswith("slurm:"):
        typer.echo(f"\n{executors.script(at_home(options.engine.partition(':')[2]))}", nl=False)


def _say_outcome(result: SweepResult, design: Design, folder: Path, quiet: bool) -> None:
    """Print the outcome of a sweep; the last line shows the next command."""
    done, failed = (
        len(result.statuses) - len(result.failed),
        [(design.names[i], result.statuses[i]["error"]) for i in result.failed],
    )
    if quiet:
        _say_failed(failed, folder, "", err=True)
        return
    typer.echo(f"{done} of {len(design)} runs finished, in {folder}")
    again = same_command("--rerun-failed")
    if result.signal:
        _say_failed(failed, folder, "")
        typer.echo(f"{result.why}; {result.left} runs are left. Continue with: {same_command()}")
    elif result.left:
        _say_failed(failed, folder, "")
        typer.echo(
            f"{result.why}; {result.left} runs are left. Continue with a higher --max-failures, or with:"
            f" {again}"
        )
    elif failed:
        _say_failed(failed, folder, again)
    else:
        typer.echo(f"Look at it with: rdsolver plot {shlex.quote(str(folder))}")


def _say_failed(failed: list[tuple[str, str]], folder: Path, again: str, err: bool = False) -> None:
    """List the failed runs. again: the command that reruns them; empty: not printed."""
    for name, error in failed[:MOST_SHOWN]:
        typer.echo(f"failed    {name}: {error}", err=err)
    if len(failed) > MOST_SHOWN:
        typer.echo(f"... and {len(failed) - MOST_SHOWN} more: {folder / 'sweep.log'}", err=err)
    if failed and again:
        typer.echo(f"Rerun failed runs with: {again}")
