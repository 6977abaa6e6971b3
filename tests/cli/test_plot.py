"""Figures of a user's choice, movies and reports: what is asked for is shown, and what cannot be shown is
said.
"""

import json
import sys
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import matplotlib
import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from PIL import Image
from typer.testing import CliRunner

from rdsolver.cli.main import app
from rdsolver.cli.plot import KINDS
from rdsolver.errors import InputError
from rdsolver.figures import compare, maps, overview, profile, report, style, surface, timeseries
from rdsolver.figures.planes import look_of
from rdsolver.figures.surface import triangles
from rdsolver.figures.tornado import Bar, Panel, tornado
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output import selection
from rdsolver.output.reader import Run, open_run
from rdsolver.output.writer import RunWriter
from tests.support.drawn_runs import BLOCK, FLAT, disc, dose, inside, make, write

pytestmark = pytest.mark.long


def rdsolver(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    names = {"flat": {}, "other": {"scale": 2.0}, "block": {"grid": BLOCK}, "tumour": {"tumour_at": (7, 20)}}
    return {name: write(folder / name / "run.h5", **options) for name, options in names.items()}


# --- maps ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [{"doses": [dose(10.0)]}, {"active": disc(FLAT)}, {"fields": ("rankl",)}])
def test_maps_show_the_fields_and_times_asked_for(options):
    run = make(**options)
    with matplotlib.rc_context(style.RC):
        figure = maps.compose(run, ["rankl"], [0, 5, 10, 20], (0, 0))
        said = inside(figure)
    assert len(figure.subfigs[0].axes) == 4
    for day in (0, 10, 20, 40):
        assert any(text.endswith(f"day {day}") for text in said)
    assert any("free RANKL" in text and "(pM)" in text for text in said)
    shown = [ax.images[-1].get_array() for ax in figure.subfigs[0].axes]
    for image, k in zip(shown, (0, 5, 10, 20), strict=True):
        np.testing.assert_allclose(np.ma.filled(image, np.nan), 1e3 * run["rankl"][k], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_block_is_cut_where_asked_and_its_surface_drawn():
    pytest.importorskip("skimage")
    run = make(BLOCK, doses=[dose(10.0)])
    with matplotlib.rc_context(style.RC):
        figure = maps.compose(run, ["osteoclasts"], [0, 20], (1, 2, 3))
        said = inside(figure)
    planes = [image.get_array() for image in figure.subfigs[0].axes[0].images[1::2]]
    cells = run["osteoclasts"][0]
    for plane, expected in zip(planes, (cells[1], cells[:, :, 3].T, cells[:, 2]), strict=True):
        np.testing.assert_allclose(plane, expected)
    surfaces = [ax for ax in figure.subfigs[1].axes if ax.name == "3d"]
    assert [len(ax.collections) for ax in surfaces] == [1, 1]
    assert "240 × 200 × 120 µm" in said


def test_the_surface_of_a_ball_has_its_area():
    pytest.importorskip("skimage")
    h, radius = (8.0, 10.0, 10.0), 120.0
    z, y, x = (h * (np.arange(n) - (n - 1) / 2) for h, n in zip(h, (40, 32, 32), strict=True))
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    corners, faces = triangles(np.clip(0.5 + (radius - distance) / 20, 0, 1), h)
    sides = corners[faces]
    area = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi * radius**2, rel=0.01)
    np.testing.assert_allclose(corners.mean(0), [156, 155, 155], atol=1)
    assert len(triangles(np.zeros((3, 3, 3)), (1, 1, 1))[1]) == 0


def test_a_missing_scikit_image_is_said_and_the_planes_are_drawn(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(
        InputError, match=r"scikit-image, which is not installed\. Install it, in .* pip install"
    ):
        triangles(np.ones((3, 3, 3)), (1, 1, 1))
    monkeypatch.setattr(surface, "find_spec", lambda name: None)
    done = rdsolver(
        "plot", runs["block"], "--kind", "maps", "--field", "bone", "--time", "0", "--out", tmp_path / "m.png"
    )
    assert done.exit_code == 0, done.output
    assert surface.MISSING in done.stderr
    assert (tmp_path / "m.png").stat().st_size > 5000


# --- profiles and comparisons -------------------------------------------------------------------------------


def test_a_radial_profile_is_the_mean_over_rings():
    grid = Grid((41, 41), (10.0, 10.0), thickness=10.0)
    y, x = np.meshgrid(*(grid.centres(k) for k in range(2)), indexing="ij")
    distance = np.hypot(y - 205, x - 205)
    active = distance < 150
    with RunWriter(None, grid, [Field("rankl", "nM", 1.0, "free RANKL")], [], active=active) as writer:
        writer.append(0.0, {"rankl": distance})
        run = Run(writer.file)
        at, mean = profile.radial(run, "rankl", 0, (205.0, 205.0))
        assert at[:3].tolist() == [5, 15, 25]
        assert len(at) == 15  # as far as the field of view
        rings = [active & (10 * k <= distance) & (distance < 10 * (k + 1)) for k in range(15)]
        np.testing.assert_allclose(mean[1:], [distance[ring].mean() for ring in rings[1:]], rtol=1e-6)
        assert np.isnan(mean[0])  # one cell alone
        along, across = profile.axial(run, "rankl", 0, "x")
        assert along.tolist() == grid.centres(1).tolist()
        assert np.isnan(across[0])
        assert across[20] == pytest.approx(distance[active[:, 20], 20].mean())


def test_profiles_are_drawn_around_a_centre_and_along_an_axis():
    run = make(doses=[dose(10.0)])
    for along, said in (
        (None, "distance (µm) from y 50, x 70 µm"),
        ("x", "x (µm), mean over the other axes"),
    ):
        with matplotlib.rc_context(style.RC):
            figure = profile.compose(run, ["osteoclasts", "rankl"], [0, 6], (50.0, 70.0), along)
            assert said in inside(figure)
        assert [len(ax.lines) for ax in figure.axes] == [2, 2]


def test_the_centre_is_that_of_the_tumour_of_the_lesion_or_of_the_section(runs):
    for name, expected in (("tumour", (75, 205)), ("flat", (120, 150))):
        with open_run(runs[name]) as run:
            np.testing.assert_allclose(selection.centre(run, None), expected)
    with open_run(runs["tumour"]) as run:
        assert selection.nearest_cell(run, selection.centre(run, None)) == (7, 20)


def test_runs_are_compared_on_one_axis_with_their_titles():
    runs = [make(doses=[dose(10.0)]), make(), make(steps=np.linspace(0, 30, 7))]
    with matplotlib.rc_context(style.RC):
        figure = compare.compose(runs, ["ntx", "mean_free_rankl"])
        figure.draw_without_rendering()
        used = figure.get_tightbbox()
    assert used.x0 >= 0
    assert used.x1 <= figure.get_figwidth()
    assert len(figure.axes) == 2
    lines = [line for line in figure.axes[0].lines if line.get_color() in compare.COLOURS]
    for line, run in zip(lines, runs, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), run.series["time"])
        np.testing.assert_array_equal(line.get_ydata(), run.series["ntx"])
    pm = [line for line in figure.axes[1].lines if line.get_color() in compare.COLOURS]
    np.testing.assert_allclose(pm[0].get_ydata(), 1e3 * runs[0].series["mean_free_rankl"])
    assert "(pM)" in figure.axes[1].get_ylabel()


# --- the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "pie"], ["pie", "overview", "compare"]),
        (["--kind", "maps", "--field", "gold"], ["--field gold", "rankl, osteoclasts, bone"]),
        (["--kind", "maps", "--time", "30 d"], ["--time 30 d", "0 to 10 d"]),
        (["--kind", "maps", "--time", "soon"], ["--time", "soon"]),
        (["--kind", "profile", "--at", "9000,10"], ["--at 9000,10", "y 0 to 240, x 0 to 300"]),
        (["--kind", "profile", "--along", "z"], ["--along z", "y, x"]),
        (["--kind", "compare"], ["2 to 8 runs", "1 were given"]),
        (["--kind", "maps", "--out", "x.bmp"], ["x.bmp", ".png"]),
    ],
)
def test_what_cannot_be_drawn_is_said(runs, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = rdsolver("plot", runs["flat"], *arguments)
    assert done.exit_code == 2
    for part in said:
        assert part in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_kind_is_plotted_from_the_command_line(runs, tmp_path):
    pytest.importorskip("skimage")
    for kind, chosen, extra in (
        ("timeseries", ["flat"], []),
        (
            "maps",
            ["block"],
            ["--field", "osteoclasts,bone", "--time", "0", "--time", "10 d", "--at", "60,100,120"],
        ),
        ("profile", ["tumour"], ["--field", "tumour"]),
        ("compare", ["flat", "other"], ["--field", "ntx"]),
    ):
        done = rdsolver(
            "plot",
            *(runs[name] for name in chosen),
            "--kind",
            kind,
            "--out",
            tmp_path / f"{kind}.png",
            *extra,
        )
        assert done.exit_code == 0, done.output
        assert (tmp_path / f"{kind}.png").stat().st_size > 5000
    assert rdsolver("plot", runs["flat"], runs["other"]).exit_code == 2


DOLLARS = r"$5 & 50% of \nas\$\alpha_1"
"""Which TeX would set in italics, or refuse."""


@pytest.mark.filterwarnings("error")
def test_texts_of_a_user_are_shown_as_they_are_written(tmp_path, monkeypatch):
    """Of titles, labels, units, drugs and levels, in every kind of figure; also of one whose own style asks
    for TeX's mathematics.
    """
    monkeypatch.setattr(MathTextParser, "parse", None)
    monkeypatch.setitem(matplotlib.rcParams, "axes.formatter.use_mathtext", True)
    fields = [Field("mine", DOLLARS, 1.0, DOLLARS), Field("bone", "1", 1.0, DOLLARS)]
    series = [
        Series(name, unit, DOLLARS) for name, unit in (("ntx", "1"), ("mine", DOLLARS), ("plasma_drug", "nM"))
    ]
    meta = {"doses": [dose(5.0, "drug")], "agents": [{"name": "drug", "like": "rank_fc", "label": DOLLARS}]}
    runs, cells = [], np.indices(FLAT.shape).sum(0) % 2
    for title in (DOLLARS, f"_{DOLLARS}"):
        path = tmp_path / f"a$b${len(runs)}" / "run.h5"
        with RunWriter(
            path, FLAT, fields, series, active=np.ones(FLAT.shape, bool), title=title, meta=meta
        ) as writer:
            for t in (0.0, 5.0, 10.0):
                writer.append(t, {f.name: 1e-9 * (t + cells) if f.name == "mine" else cells for f in fields})
            writer.append_series({"time": np.arange(11.0)} | {s.name: 1e9 + np.arange(11.0) for s in series})
            writer.finish()
        runs.append(path)
    for kind in KINDS:
        done = rdsolver(
            "plot",
            *(runs if kind == "compare" else runs[:1]),
            "--kind",
            kind,
            "--out",
            tmp_path / f"{kind}.svg",
        )
        assert done.exit_code == 0, done.exception
    assert "$5 &amp; 50% of \\nas\\$\\alpha_1" in (tmp_path / "compare.svg").read_text()
    for command, name in (("movie", "a.gif"), ("report", "a.html")):
        assert rdsolver(command, runs[0], "--out", tmp_path / name, "--field", "mine").exit_code == 0
    panel = Panel(DOLLARS, (Bar(DOLLARS, DOLLARS, "A", 0.5), Bar("b", DOLLARS, "V", -0.2, 0.1)))
    tornado([panel], tmp_path / "tornado.svg", DOLLARS, DOLLARS)


# --- runs that hold little, or an odd grid ------------------------------------------------------------------

SAID = "there is nothing to|kept no fields|no observable in common that moves"
LITTLE = {
    "no fields": ({"fields": ()}, {"maps", "profile"}),
    "nothing saved": ({"saved": ()}, {"maps", "profile"}),
    "no step": (
        {"saved": (), "steps": (), "status": "failed"},
        {"maps", "profile", "overview", "timeseries", "compare"},
    ),
    "the start alone": ({"saved": (0,), "steps": (0,), "status": "failed"}, set()),
    "stopped before the first time": (
        {"saved": (), "steps": (0, 1, 2), "status": "stopped"},
        {"maps", "profile"},
    ),
    "a row": ({"grid": Grid((1, 16), (10.0, 10.0), thickness=10.0)}, set()),
    "a column": ({"grid": Grid((16, 1), (10.0, 10.0), thickness=10.0)}, set()),
    "a cell": ({"grid": Grid((1, 1), (10.0, 10.0), thickness=10.0)}, set()),
    "a plane": ({"grid": Grid((1, 8, 10), (20.0, 20.0, 20.0))}, set()),
    "a rod": ({"grid": Grid((6, 1, 1), (20.0, 20.0, 20.0))}, set()),
    "one cell of a crop, every third cell": ({"crop": ((2, 4), (3, 5)), "stride": 3}, set()),
    "outside the field of view": ({"crop": ((0, 3), (0, 3)), "active": disc(FLAT)}, {"maps", "profile"}),
    "constant": ({"constant": 0.5}, set()),
    "zero": ({"constant": 0.0}, set()),
}


def of_kind(kind, run):
    if kind == "compare":
        return compare.compose([run, make(doses=[dose(10.0)])])
    if kind in ("overview", "timeseries"):
        return overview.compose(run) if kind == "overview" else timeseries.compose(run)
    names, indices = selection.fields(run, [], overview.telling(run)), overview.default_times(run)
    if kind == "profile":
        return profile.compose(run, names, indices, selection.centre(run, None))
    return maps.compose(run, names, indices, overview.most_active(run, indices))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", LITTLE)
def test_whatever_a_run_holds_is_drawn_or_said_in_a_sentence(what):
    options, refused = LITTLE[what]
    run = make(**options)
    of_series = () if options.keys() & {"grid", "crop"} else ("overview", "timeseries", "compare")
    for kind in ("maps", "profile", *of_series):
        with matplotlib.rc_context(style.RC):
            if kind in refused:
                with pytest.raises(InputError, match=SAID):
                    of_kind(kind, run)
            else:
                inside(of_kind(kind, run))


def test_the_letters_of_maps_are_set_and_a_single_ring_is_seen():
    with matplotlib.rc_context(style.RC):
        figure = maps.compose(make(), ["rankl"], [0, 20], (0, 0))
        assert [t.get_weight() for t in figure.findobj(Text) if t.get_text() in ("a", "b")] == [
            "bold",
            "bold",
        ]
        assert not any("bf" in t.get_text() for t in figure.findobj(Text))
        line, *_ = (
            profile.compose(make(grid=Grid((1, 1), (10.0, 10.0), thickness=10.0)), ["rankl"], [0], (5.0, 5.0))
            .axes[0]
            .lines
        )
        assert line.get_marker() == "o"


def test_a_density_a_little_below_zero_is_drawn_from_zero():
    """As it is in a file of layout 1."""
    run = make()
    looks = [look_of(run, name, [np.array([-1e-9, 0.0, 20.0])]) for name in ("rankl", "osteoclasts")]
    run._meta["model"] = "own"
    looks.append(look_of(run, "rankl", [np.array([-1e-9, 0.0, 20.0])]))
    assert all(look.norm.vmin >= 0 for look in looks)


# --- movies -------------------------------------------------------------------------------------------------


def test_a_movie_has_a_frame_a_saved_time_and_only_the_moment_changes(runs, tmp_path):
    out = tmp_path / "new" / "m.gif"
    done = rdsolver("movie", runs["flat"], "--field", "rankl", "--out", out, "--fps", 4)
    assert done.exit_code == 0, done.output
    with Image.open(out) as gif:
        assert gif.n_frames == 3
        assert gif.info["duration"] == 250
        pictures = []
        for k in range(3):
            gif.seek(k)
            pictures.append(np.asarray(gif.convert("RGB"), int))
    assert {picture.shape for picture in pictures} == {pictures[0].shape}
    height, width, _ = pictures[0].shape
    bar = slice(int(0.8 * width), None)
    assert np.abs(pictures[0][:, bar] - pictures[2][:, bar]).max() == 0
    middle = [picture[height // 2, width // 4] for picture in pictures]
    assert np.abs(middle[0] - middle[2]).max() > 100


def test_a_movie_without_ffmpeg_or_of_another_kind_is_refused(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", "no-such-ffmpeg")
    for name, said in (("m.mp4", "ffmpeg"), ("m.avi", ".mp4, .gif")):
        done = rdsolver("movie", runs["flat"], "--out", tmp_path / name)
        assert done.exit_code == 2
        assert said in done.stderr
    assert rdsolver("movie", runs["flat"], "--fps", 0).exit_code == 2
    assert list(tmp_path.iterdir()) == []


# --- reports ------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page asks for, its tags, and the data and text in it."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.tags, self.script, self.said = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.asked += [v for k, v in attrs if k in ("src", "href", "data", "action") and v]

    def handle_data(self, data):
        if self.tags[-1] == ("script", {"type": "application/json", "id": "data"}) and not self.script:
            self.script = data
        self.said.append(data)


def test_a_report_is_one_page_that_asks_for_nothing(runs, tmp_path):
    done = rdsolver(
        "report", runs["flat"], runs["other"], "--out", tmp_path / "r.html", "--field", "rankl,osteoclasts"
    )
    assert done.exit_code == 0, done.output
    text = (tmp_path / "r.html").read_text()
    page = Page(text)
    assert len(text) < 2e6
    assert page.asked
    assert all(asked.startswith("data:image/png;base64,") for asked in page.asked)
    assert "url(" not in text
    assert [tag for tag, _ in page.tags].count("script") == 2  # nothing of the run's text became one
    assert "a <b>low</b> value" in "".join(page.said)
    assert "<script>no</script>" in "".join(page.said)
    assert "RANK-Fc 3 mg/kg sc, from day 5" in "".join(page.said)
    data = json.loads(page.script)
    assert [run["days"] for run in data["runs"]] == [[0, 5, 10]] * 2
    shown = []
    for run in data["runs"]:
        assert list(run["frames"]) == ["rankl", "osteoclasts"]
        for name in run["frames"]:
            pictures = [
                np.asarray(Image.open(BytesIO(b64decode(png))).convert("RGB"), int)
                for png in run["frames"][name]
            ]
            assert len(pictures) == 3
            shown.append(pictures)
    height, width, _ = shown[0][0].shape
    here = height // 2, width // 4
    # 3 nM in both: one scale for both runs
    np.testing.assert_allclose(shown[0][0][here], shown[2][0][here], atol=12)
    assert np.abs(shown[0][2][here] - shown[2][2][here]).max() > 40  # 13 and 23 nM
    (ntx,) = data["observables"]
    assert [line["values"][-1] for line in ntx["lines"]] == [11, 21]
    assert ntx["lines"][0]["time"] == list(range(11))


def test_a_report_too_large_or_of_an_unknown_field_is_refused(runs, tmp_path, monkeypatch):
    for arguments, said in ((["--field", "gold"], "gold"), (["--out", tmp_path / "r.pdf"], ".html")):
        done = rdsolver("report", runs["flat"], "--out", tmp_path / "r.html", *arguments)
        assert (done.exit_code, said in done.stderr) == (2, True)
    monkeypatch.setattr(report, "LIMIT", 10_000)
    done = rdsolver("report", runs["flat"], "--out", tmp_path / "r.html")
    assert (done.exit_code, "--field" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_runs_that_hold_little():
    for options in ({"saved": ()}, {"saved": (0,), "steps": ()}, {"status": "failed", "fields": ("bone",)}):
        text = report.page([make(**options)])
        assert Page(text).script
    assert "failed" in text
