"""A movie of maps: fields over all saved times on one scale, as GIF, or as MP4 where ffmpeg is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from ..errors import InputError
from ..output.reader import Run
from . import maps
from .planes import Look, Slice, look_of, read, slices_through
from .style import RC

DPI = 300  # a map is 630 pixels high
SUFFIXES = (".mp4", ".gif")


def movie(run: Run, path: Path, names: Sequence[str], indices: Sequence[int], point: tuple[int, ...], fps: int = 8) -> Path:
    """Write a movie of fields, one under the other, one saved time a frame; of a block three planes through a cell.

    Raises InputError for an unknown suffix, when ffmpeg is missing for MP4, or when the file cannot be written.
    """
    writer = _writer(path, fps)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(RC):
            figures = frames(run, names, indices, point)
            figure = next(figures)
            with writer.saving(figure, str(path), DPI):
                writer.grab_frame(facecolor="white")
                for _ in figures:
                    writer.grab_frame(facecolor="white")
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror or e}. Choose another folder.") from e
    return path


def frames(run: Run, names: Sequence[str], indices: Sequence[int], point: tuple[int, ...]) -> Iterator[Figure]:
    """One figure, drawn anew for each saved time, so that only the moment changes from frame to frame."""
    slices = slices_through(run, point)
    looks = {name: shared_look(run, name, indices, slices) for name in names}
    size = maps.map_size(slices, 1)[0] + maps.BAR_WIDTH + 0.1, maps.height(slices, 1, len(names)) + 0.1
    figure = Figure(size, layout="constrained")
    for k in indices:
        figure.clear()
        maps.draw_maps(figure, run, [(k, f"day {round(float(run.times[k]), 1):g}")], names, slices, looks)
        yield figure


def shared_look(run: Run, name: str, indices: Sequence[int], slices: Sequence[Slice]) -> Look:
    """One scale for all times."""
    return look_of(run, name, (np.asarray(plane) for k in indices for plane in read(run[name], k, slices)))


def _writer(path: Path, fps: int) -> AbstractMovieWriter:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f'{path}: a movie cannot be written as "{path.suffix}". Allowed: {", ".join(SUFFIXES)}.')
    if not 0 < fps <= 60:
        raise InputError(f"--fps {fps:g} must be above 0 and at most 60 frames a second.")
    if path.suffix.lower() == ".gif":
        return PillowWriter(fps=fps)
    if not FFMpegWriter.isAvailable():
        raise InputError(f"{path}: MP4 needs the program ffmpeg, which is not installed. Install it, or give a name that ends in .gif.")
    return FFMpegWriter(fps=fps, codec="h264", extra_args=["-pix_fmt", "yuv420p", "-loglevel", "error"])
