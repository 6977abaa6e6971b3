"""Figures of a run: drawn from the file alone, whatever it holds; the moments that tell the run; nothing
clipped.
"""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Text
from PIL import Image

from rdsolver.errors import InputError
from rdsolver.figures import style
from rdsolver.figures.overview import compose, moments, overview
from rdsolver.figures.timeseries import draw_series, panels, timeseries
from rdsolver.geometry.grid import Grid
from tests.support.drawn_runs import BLOCK, FLAT, disc, dose, make

pytestmark = pytest.mark.long

RUNS = {
    "a dose": {"doses": [dose(10.0)]},
    "no drug": {},
    "two drugs, repeated": {
        "doses": [dose(5.0), dose(12.0), dose(20.0, "denosumab"), dose(36.0, "denosumab", 0.3)]
    },
    "infused, in steady state": {
        "doses": [dose(5.0) | {"duration": 4.0, "steady_interval": 7.0}, dose(38.0) | {"duration": 9.0}]
    },
    "round field of view": {"active": disc(FLAT), "doses": [dose(0.0)]},
    "block": {"grid": BLOCK, "doses": [dose(10.0)]},
    "strided and cropped": {"stride": 2, "crop": ((2, 20), (0, 30)), "doses": [dose(10.0)]},
    "no osteoclasts": {"fields": ("rankl", "bone")},
    "no RANKL, no bone": {"fields": ("osteoclasts",)},
    "bone alone": {"fields": ("bone",)},
    "nothing saved": {"saved": ()},
    "a single time": {"saved": (0,), "steps": (0,)},
    "two times": {"saved": (0, 40)},
    "no step": {"saved": (0,), "steps": ()},
    "tall": {"grid": Grid((90, 20), (10.0, 10.0), thickness=10.0), "doses": [dose(38.0)]},
    "failed": {
        "status": "failed",
        "saved": (0, 2, 4),
        "steps": np.linspace(0, 5, 9),
        "doses": [dose(3.0), dose(20.0)],
    },
}


@pytest.fixture(params=list(RUNS))
def run(request):
    return make(**RUNS[request.param])


def texts(figure):
    return [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


@pytest.mark.filterwarnings("error")
def test_every_run_is_drawn_and_no_text_is_clipped_or_small(run):
    with matplotlib.rc_context(style.RC):
        figure = compose(run)
        figure.draw_without_rendering()
        assert figure.get_figwidth() == style.WIDTH
        assert 1 < figure.get_figheight() < 10
        assert min(text.get_fontsize() for text in texts(figure)) >= style.SMALL
        used = figure.get_tightbbox()  # inches
        assert min(used.x0, used.y0) >= 0
        assert used.x1 <= figure.get_figwidth()
        assert used.y1 <= figure.get_figheight()


def test_file_has_the_size_of_a_page_width_and_the_form_of_its_suffix(tmp_path):
    run = make(**RUNS["a dose"])
    with Image.open(overview(run, tmp_path / "new" / "overview.png")) as image:
        assert image.width == style.WIDTH * style.DPI
    assert overview(run, tmp_path / "o.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in timeseries(run, tmp_path / "t.svg").read_text()
    for draw in (overview, timeseries):
        with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg"):
            draw(run, tmp_path / "overview.jpg")


def test_a_run_that_holds_nothing_says_so(tmp_path):
    run = make(saved=(), steps=())
    for draw in (overview, timeseries):
        with pytest.raises(InputError, match="nothing to draw"):
            draw(run, tmp_path / "overview.png")


def described(**options):
    return [(m.time, m.caption) for m in moments(make(**options))]


def test_moments_are_before_the_dose_at_the_nadir_and_at_the_end():
    assert described(doses=[dose(11.0)]) == [(10, "before the dose"), (12, "NTX nadir"), (40, "end")]
    assert described(doses=[dose(10.0)])[0] == (10, "before the dose")  # a dose at a saved time acts after it
    assert described(doses=[dose(0.0)])[0] == (0, "before the dose")
    assert described(doses=[dose(1.0)], saved=(2, 4, 40))[0] == (2, "first saved")
    # never the state before the dose
    assert described(doses=[dose(10.0)], saved=(0, 10, 20, 40))[1] == (20, "NTX nadir")
    assert described(doses=[dose(50.0)]) == described()  # a dose that never came


def test_moments_of_a_run_without_a_turn_or_with_few_times():
    assert described() == [(0, "start"), (20, "half-way"), (40, "end")]
    assert described(doses=[dose(10.0)], saved=(0, 10, 40)) == [
        (10, "before the dose"),
        (40, "NTX nadir, end"),
    ]
    assert described(saved=(0, 40)) == [(0, "start"), (40, "end")]
    assert described(saved=(0,), steps=(0,)) == [(0, "start")]
    assert described(saved=()) == []
    assert described(saved=(0, 10))[-1] == (10, "last saved")
    assert described(status="stopped")[-1] == (40, "last saved")


def test_doses_and_moments_are_marked_once_through_all_panels():
    run = make(**RUNS["two drugs, repeated"])
    figure = Figure()
    draw_series(figure, run, [("a", 4.0), ("b", 30.0)])
    lines = [a.xy1[0] for a in figure.findobj(ConnectionPatch)]
    assert sorted(lines) == [4, 5, 12, 20, 30, 36]
    said = [t.get_text() for t in texts(figure)]
    for text in ("RANK-Fc 3 mg/kg sc, 2 times", "denosumab 3 mg/kg sc", "denosumab 0.3 mg/kg sc", "a", "b"):
        assert said.count(text) == 1


def test_infusions_are_bands_through_all_panels_until_the_end():
    run, figure = make(**RUNS["infused, in steady state"]), Figure()
    axes = draw_series(figure, run)
    for ax in axes:
        paths = (p.get_patch_transform().transform_path(p.get_path()) for p in ax.patches)
        assert [tuple(path.get_extents().intervalx) for path in paths] == [(38.0, 40.0), (5.0, 9.0)]
    said = " ".join(t.get_text() for t in texts(figure))
    assert "RANK-Fc 3 mg/kg sc over 4 d in steady state of one every 7 d" in said
    assert "RANK-Fc 3 mg/kg sc over 9 d" in said


def test_texts_of_doses_and_lines_do_not_overlap():
    with matplotlib.rc_context(style.RC):
        figure = compose(make(**RUNS["two drugs, repeated"]))
        figure.draw_without_rendering()
        boxes = {
            t.get_text(): t.get_window_extent().shrunk(0.95, 0.7)
            for t in texts(figure)
            if "mg/kg" in t.get_text() or "," in t.get_text()
        }
    for a in boxes:
        for b in boxes:
            assert a == b or not boxes[a].overlaps(boxes[b]), (a, b)


def test_noise_is_not_blown_up_to_a_panel():
    run = make()
    figure = Figure()
    axes = draw_series(figure, run)
    for ax, panel in zip(axes, panels(run), strict=True):
        lo, hi = ax.get_ylim()
        assert hi - lo >= 0.039 * max(abs(line.values[0]) for line in panel.lines)
    assert [p.label.split("\n")[0] for p in panels(run)] == [
        "RANKL,",
        "osteoclasts",
        "bone turnover",
        "BV/TV",
    ]


def test_one_scale_for_all_moments_and_free_rankl_is_logarithmic_under_a_drug():
    for options, scale in (({"doses": [dose(10.0)]}, "log"), ({}, "linear")):
        figure = compose(make(**options))
        maps = figure.subfigs[0].axes
        for row in (maps[:3], maps[3:6]):
            assert len({id(ax.images[-1].norm) for ax in row}) == 1
        assert maps[5].child_axes[0].get_yscale() == scale


def test_a_block_is_shown_in_three_planes_through_its_most_active_point():
    run = make(**RUNS["block"])
    ax = compose(run).subfigs[0].axes[0]
    assert [image.get_array().shape for image in ax.images[::2]] == [(10, 12), (10, 6), (6, 12)]
    most = run["osteoclasts"][5].max()
    for image in ax.images[1::2]:
        assert image.get_array().max() == pytest.approx(most)


def test_figures_need_neither_jax_nor_a_model():
    code = (
        "import sys, rdsolver.figures.overview; print({'jax', 'pydantic', 'matplotlib.pyplot',"
        " 'rdsolver.models'} & set(sys.modules))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "set()"
    )
