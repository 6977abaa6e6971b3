"""The commands that show runs and export them: plot, export, movie, report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..utils.path_kinds import expect, run_file
from . import completion

if TYPE_CHECKING:
    from ..output.reader import Run
    from ..sweep.reader import Sweep

KINDS = ("overview", "timeseries", "maps", "profile", "compare")
SWEEP_KINDS = ("dose-response", "surface", "bands", "scatter")

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="run.h5 or its folder.")]
RunPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="One or more runs (run.h5 or its folder), or the folder of one sweep."
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="A,B", help="Fields or observables to show; may be repeated."),
]
Times = Annotated[
    list[str] | None,
    typer.Option(
        "--time", metavar="DAY", help='Show the saved time nearest to this one, e.g. "30 d"; may be repeated.'
    ),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="[Z,]Y,X", help="Position in um: centre of the profile, or where a 3D block is cut."
    ),
]


def plot(
    paths: RunPaths,
    kind: Annotated[
        str | None,
        typer.Option(
            help=(
                f"Of a run: {', '.join(KINDS)} (default: overview). Of a sweep: {', '.join(SWEEP_KINDS)}"
                " (default: by what varies)."
            ),
            autocompletion=completion.of((*KINDS, *SWEEP_KINDS)),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Figure file: .png, .pdf or .svg (default: KIND.png beside the run)."),
    ] = None,
    field: Fields = None,
    time: Times = None,
    at: Place = None,
    along: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS", help="For --kind profile: along x, y or z instead of the distance from a centre."
        ),
    ] = None,
) -> None:
    """Draw a figure of a run or of a sweep; --kind compare draws several runs in one figure."""
    if sweep := _sweep(paths):
        from ..figures import sweep as figures

        if time or at or along:
            raise InputError(
                "--time, --at and --along select from the fields of one run. Leave them out for a sweep."
            )
        kind = kind or figures.default(sweep)
        typer.echo(str(figures.draw(sweep, out or sweep.folder / f"{kind}.png", kind, _names(field))))
        return
    kind = kind or "overview"
    if kind in SWEEP_KINDS:
        raise InputError(f"--kind {kind} draws a sweep, and {paths[0]} is not the folder of a sweep.")
    if kind not in KINDS:
        raise InputError(f"--kind {kind} is not known. Allowed: {', '.join(KINDS)}.")
    if kind != "compare" and len(paths) > 1:
        raise InputError(
            f"--kind {kind} draws one run, and {len(paths)} were given. Take --kind compare, or plot them one"
            " by one."
        )
    with ExitStack() as stack:
        runs = _open(paths, stack)
        target = out or run_file(paths[0]).parent / f"{kind}.png"
        typer.echo(str(_draw(runs, kind, target, _names(field), _days(time), _place(at), along)))


def export(
    path: RunPath,
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="tiff, csv, vtkhdf, zarr, npz, or xdmf (a small file for VisIt that points to run.h5).",
            autocompletion=completion.formats,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Output file, or folder for zarr (default: beside the run).")
    ] = None,
    field: Fields = None,
    time: Times = None,
) -> None:
    """Export fields to another format; csv without --field exports the observables at every step."""
    from ..output import selection
    from ..output.export import FORMATS, export, export_series

    if to not in FORMATS:
        raise InputError(f"--to {to} is not known. Allowed: {', '.join(FORMATS)}.")
    with ExitStack() as stack:
        (run,) = _open([path], stack)
        names = _names(field)
        of_series = to == "csv" and not any(name in run for name in names)
        stem = "series" if of_series else "fields"
        target = out or run_file(path).parent / f"{stem}{FORMATS[to].suffix}"
        if of_series and time:
            raise InputError(
                "--time chooses among the saved fields; the series hold every step. Name fields of the grid"
                " with --field."
            )
        if of_series:
            files = export_series(run, target, selection.observables(run, names))
        else:
            files = export(run, to, target, selection.fields(run, names), selection.times(run, _days(time)))
    typer.echo("\n".join(map(str, files)))


def movie(
    path: RunPath,
    field: Fields = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Movie file: .gif, or .mp4 if ffmpeg is installed (default: movie.gif beside the run)."
        ),
    ] = None,
    time: Times = None,
    at: Place = None,
    fps: Annotated[int, typer.Option(help="Saved times per second.")] = 8,
) -> None:
    """Make a movie of fields (default: osteoclasts) over the saved times."""
    from ..figures.movie import movie
    from ..figures.overview import telling
    from ..output import selection

    with ExitStack() as stack:
        (run,) = _open([path], stack)
        indices = selection.times(run, _days(time))
        usual = ["osteoclasts"] if "osteoclasts" in run else telling(run)[:1]
        names = selection.fields(run, _names(field), usual)
        target = out or run_file(path).parent / "movie.gif"
        typer.echo(str(movie(run, target, names, indices, _cell(run, _place(at)), fps)))


def report(
    paths: RunPaths,
    out: Annotated[
        Path | None, typer.Option(help="HTML file (default: report.html beside the first run).")
    ] = None,
    field: Fields = None,
) -> None:
    """Write one self-contained HTML page about a run, several runs side by side, or a sweep."""
    if sweep := _sweep(paths):
        from ..figures.sweep_report import report as of_sweep

        typer.echo(str(of_sweep(sweep, out or sweep.folder / "report.html", _names(field))))
        return
    from ..figures.report import report

    with ExitStack() as stack:
        target = out or run_file(paths[0]).parent / "report.html"
        typer.echo(str(report(_open(paths, stack), target, _names(field))))


def _draw(
    runs: list[Run],
    kind: str,
    target: Path,
    names: list[str],
    days: list[float],
    place: tuple[float, ...] | None,
    along: str | None,
) -> Path:
    from ..figures.overview import default_times, overview, telling
    from ..output import selection

    run = runs[0]
    if kind == "overview":
        return overview(run, target)
    if kind == "timeseries":
        from ..figures.timeseries import timeseries

        return timeseries(run, target)
    if kind == "compare":
        from ..figures.compare import compare

        return compare(runs, target, names)
    indices = selection.times(run, days) if days else default_times(run)
    if kind == "maps":
        from ..figures.maps import has_surface, maps
        from ..figures.surface import MISSING, available

        if has_surface(run) and not available():
            typer.echo(MISSING, err=True)
        return maps(run, target, selection.fields(run, names, telling(run)), indices, _cell(run, place))
    from ..figures.profile import profile

    return profile(
        run, target, selection.fields(run, names, telling(run)), indices, selection.centre(run, place), along
    )


def _cell(run: Run, place: tuple[float, ...] | None) -> tuple[int, ...]:
    """The cell through which a block is cut: at `place`, or the most active one, as in the overview."""
    from ..figures.overview import default_times, most_active
    from ..output import selection

    return (
        most_active(run, default_times(run))
        if place is None
        else selection.nearest_cell(run, selection.centre(run, place))
    )


def _sweep(paths: list[Path]) -> Sweep | None:
    """The sweep in the folder, if a single path was given and it is the folder of a sweep."""
    from ..sweep.reader import is_sweep, open_sweep

    if len(paths) != 1:
        return None
    expect(paths[0], "run", "sweep")
    return open_sweep(paths[0]) if is_sweep(paths[0]) else None


def _open(paths: list[Path], stack: ExitStack) -> list[Run]:
    from ..output.reader import open_run

    return [stack.enter_context(open_run(run_file(path))) for path in paths]


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def _days(given: list[str] | None) -> list[float]:
    """Days, from texts such as "30 d" or plain numbers."""
    return [_number(text, "d", "--time") for text in given or ()]


def _place(given: str | None) -> tuple[float, ...] | None:
    return None if given is None else tuple(_number(text, "um", "--at") for text in given.split(","))


def _number(text: str, unit: str, key: str) -> float:
    from ..units import quantity

    try:
        return quantity(float(text), unit, key)
    except ValueError:
        return quantity(text, unit, key)
