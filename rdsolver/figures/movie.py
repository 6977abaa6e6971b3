"""A movie of maps: fields over all saved times on one scale, as GIF, or as MP4 if ffmpeg is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

from ..errors import InputError, writing
from ..output.reader import Run
from ..utils.home import homely
from . import maps
from .planes import Look, Slice, look_of, read, slices_through
from .style import BONE, INK, MARROW, RC

DPI = 300  # a map is 630 pixels high
FIXED = ("white", INK, MARROW, BONE)  # colours that every palette has exactly
SUFFIXES = (".mp4", ".gif")


@homely
def movie(
    run: Run, path: Path, names: Sequence[str], indices: Sequence[int], point: tuple[int, ...], fps: int = 8
) -> Path:
    """Write a movie of fields, one under the other, with one frame for each saved time.

    A block is shown as three planes through a cell. Raises InputError for an unknown suffix, when ffmpeg is
    missing for MP4, or when the file cannot be written.
    """
    write = _writer(path, fps)
    with writing(path), matplotlib.rc_context(RC):
        write(path, frames(run, names, indices, point), fps)
    return path


def frames(
    run: Run,
    names: Sequence[str],
    indices: Sequence[int],
    point: tuple[int, ...],
    looks: Mapping[str, Look] | None = None,
) -> Iterator[Figure]:
    """Yield one figure, redrawn for each saved time, so that only the contents change between frames.

    looks: the look of each field; by default those of this run and these times.
    """
    slices = slices_through(run, point)
    looks = looks or {name: look_of(run, name, planes(run, name, indices, slices)) for name in names}
    size = maps.map_size(slices, 1)[0] + maps.BAR_WIDTH + 0.1, maps.height(slices, 1, len(names)) + 0.1
    figure = Figure(size, layout="constrained")
    for k in indices:
        figure.clear()
        maps.draw_maps(figure, run, [(k, f"day {round(float(run.times[k]), 1):g}")], names, slices, looks)
        yield figure


def planes(run: Run, name: str, indices: Sequence[int], slices: Sequence[Slice]) -> Iterator[np.ndarray]:
    """All planes of a field that a movie shows."""
    return (np.asarray(plane) for k in indices for plane in read(run[name], k, slices))


def _writer(path: Path, fps: int) -> Callable[[Path, Iterator[Figure], int], None]:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f'{path}: a movie cannot be written as "{path.suffix}". Allowed: {", ".join(SUFFIXES)}.'
        )
    if not 0 < fps <= 60:
        raise InputError(f"--fps {fps:g} must be above 0 and at most 60 frames a second.")
    if path.suffix.lower() == ".gif":
        return _gif
    if not FFMpegWriter.isAvailable():
        raise InputError(
            f"{path}: MP4 needs the program ffmpeg, which is not installed. Install it, or give a name that"
            " ends in .gif."
        )
    return _mp4


def _mp4(path: Path, figures: Iterator[Figure], fps: int) -> None:
    writer = FFMpegWriter(fps=fps, codec="h264", extra_args=["-pix_fmt", "yuv420p", "-loglevel", "error"])
    first = next(figures)
    with writer.saving(first, str(path), DPI):
        for _ in chain([first], figures):
            writer.grab_frame(facecolor="white")


def _gif(path: Path, figures: Iterator[Figure], fps: int) -> None:
    indexed = pictures(figures, DPI)
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=round(1000 / fps), loop=0)


def pictures(figures: Iterable[Figure], dpi: int) -> list[Image.Image]:
    """Convert figures to pictures with one palette for all.

    Every colour counts equally for the palette, however few pixels have it.
    """
    drawn = []
    for figure in figures:
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    keys = [_key(picture) for picture in drawn]
    there = np.zeros(64**3, bool)
    for key in keys:
        there[key] = True
    # each colour that occurs
    kinds = np.stack(np.unravel_index(np.flatnonzero(there), (64, 64, 64)), -1) * 4 + 2
    chosen = Image.fromarray(kinds.astype("u1")[None]).quantize(256 - len(FIXED)).getpalette() or []
    palette = np.vstack(
        [np.reshape(chosen, (-1, 3))[: 256 - len(FIXED)], *(255 * np.array([to_rgb(c)]) for c in FIXED)]
    ).round()
    nearest = np.zeros(64**3, "u1")
    nearest[there] = KDTree(palette).query(kinds)[1]
    found = [Image.fromarray(nearest[key]) for key in keys]
    for picture in found:
        picture.putpalette([int(c) for c in palette.ravel()])
    return found


def _key(picture: Image.Image) -> np.ndarray:
    """One number per colour, to 6 bits per channel."""
    r, g, b = np.moveaxis(np.asarray(picture).astype("i4") // 4, -1, 0)
    return (r * 64 + g) * 64 + b
