"""The style that all figures share: type, colours, printed units, scale bars, and saving to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from ..errors import InputError, writing
from ..utils.home import at_home

WIDTH = 7.2  # inches; two columns of a journal page
DPI = 200
SUFFIXES = (".png", ".pdf", ".svg")
SMALL = 6.5  # points; no text is smaller

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "text.usetex": False,
    "text.parse_math": False,  # titles and labels come from users, so a $ is printed as $
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

POWERS: dict[Any, Any] = RC | {"text.parse_math": True}
"""The settings of figures without a user's texts, whose axes show powers of ten."""

INK, QUIET, FAINT = "#222222", "#767676", "#d9d9d9"
MARROW, BONE, OUTLINE = "#f8f6f2", "#bcb8b2", "#ffffff"
RESORPTION, FORMATION, RANKL, OCCUPANCY = "#a3195b", "#8a6d00", "#1f7a74", "#767676"
TUMOUR, CALCIUM = "#3d4e6c", "#5b5ea6"
DRUGS = ("#2f6db3", "#c8551b", "#6a4c9c", "#3b7d2e")

BONE_MAP = LinearSegmentedColormap.from_list("marrow to bone", [MARROW, BONE]).with_extremes(bad=(0, 0, 0, 0))
FIELD_MAP = matplotlib.colormaps["viridis"].with_extremes(bad=(0, 0, 0, 0))

_UNITS = {"1": "", "1/mm^3": "mm⁻³", "1/mm^2": "mm⁻²", "mm^2": "mm²", "um": "µm"}
_FINER = {"nM": "pM"}


def _veil(name: str) -> Colormap:
    """A colour map that is dark for high values (perceptually uniform), and transparent at zero, so that bone
    shows through.
    """
    colours = matplotlib.colormaps[name](np.linspace(0.12, 0.88, 256))
    colours[:, 3] = np.clip(np.linspace(0, 2.5, 256), 0, 0.95)
    return ListedColormap(colours, "veil").with_extremes(bad=(0, 0, 0, 0))


CELL_MAP = _veil("magma_r")
TUMOUR_MAP = _veil("cividis_r")


def checked(path: Path) -> Path:
    """The path of a figure. Raises InputError for a suffix that is not a figure format."""
    path = at_home(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f'{path}: a figure cannot be written as "{path.suffix}". Allowed: {", ".join(SUFFIXES)}.'
        )
    return path


def save(figure: Figure, path: Path) -> Path:
    """Write a figure; PNG at 200 dpi, PDF or SVG by the suffix."""
    with writing(path):
        figure.savefig(path, dpi=DPI)
    return path


def in_print(unit: str, largest: float) -> tuple[float, str]:
    """The factor and the unit in which values up to `largest` are easiest to read, e.g. 0.003 nM as 3 pM."""
    if unit in _FINER and 0 < largest < 0.1:
        return 1e3, _FINER[unit]
    return 1.0, _UNITS.get(unit, unit)


def with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def spans_decades(lo: float, hi: float) -> bool:
    """True if a linear axis from lo to hi would hide the low values."""
    return lo > 0 and hi > 20 * lo


def log_ticks(axis: Axis, lo: float, hi: float) -> None:
    """Set few ticks, in plain numbers, for a logarithmic axis from lo to hi."""
    axis.set_major_locator(ticker.LogLocator(subs=(1.0,) if hi > 50 * lo else (1.0, 3.0), numticks=5))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def scale_bar(axes: Axes, width: float) -> None:
    """Draw a bar of a round length, up to a third of a map `width` um wide, under its left corner."""
    power = 10 ** np.floor(np.log10(width / 3))
    length = max(k * power for k in (1, 2, 5) if k * power <= width / 3)
    under = offset_copy(axes.get_xaxis_transform(), axes.get_figure(root=True), y=-6, units="points")
    x = axes.get_xlim()[0]
    axes.plot(
        [x, x + length], [0, 0], transform=under, color=INK, linewidth=2, solid_capstyle="butt", clip_on=False
    )
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    axes.annotate(
        text,
        (x + length, 0),
        (4, 0),
        xycoords=under,
        textcoords="offset points",
        fontsize=7,
        va="center",
        color=INK,
    )
