"""A config becomes a Problem in internal units; whatever is wrong with it is said before anything is
computed.
"""

import json
from itertools import pairwise

import numpy as np
import pytest

from rdsolver import load_config
from rdsolver.config.config import Config
from rdsolver.config.json_schema import schema
from rdsolver.config.tree import CONFIG_SCHEMA
from rdsolver.errors import InputError
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section, coarsened, slab
from rdsolver.models.bone.parameters import parameters
from tests.support.places import CONFIGS

SMALL = """
title = "small"
[section]
kind = "slab"
size = ["160 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
[model.parameters]
rankl_loss = "5 /d"
[[dose]]
agent = "rank_fc"
amount = "3 mg/kg"
at = "2 d"
[time]
end = "10 d"
save = "3 d"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    return path


def test_a_section_beyond_memory_is_refused_before_it_is_made(tmp_path):
    path = tmp_path / "big.toml"
    path.write_text(
        '[section]\nkind = "slab"\nsize = ["10 m", "10 m"]\nspacing = "1 um"\nthickness = "10'
        ' um"\n[time]\nend = "1 d"\n'
    )
    with pytest.raises(InputError, match=r"big.toml: .*memory.*spacing"):
        load_config(path).problem()


def test_a_config_becomes_a_problem(config):
    p = load_config(config).problem()
    assert p.section.grid.shape == (8, 16)
    assert p.section.grid.thickness == 10.0
    assert p.parameters["rankl_loss"] == 5.0
    assert [a.name for a in p.agents] == ["rank_fc"]
    assert [part.name for part in p.components] == ["mineral", "osteocyte_opg"]
    assert set(p.parameters) == {row.name for row in parameters(p.agents, p.components)}
    assert [(d.agent, d.amount, d.route, d.time) for d in p.doses] == [("rank_fc", 3.0, "sc", 2.0)]
    assert p.save == (0.0, 3.0, 6.0, 9.0, 10.0)
    assert (p.title, p.preset, p.solver.integrator, p.output.fields) == ("small", "human", "auto", None)


def test_a_preset_changes_the_defaults_and_the_file_goes_before_it(config):
    assert load_config(config, ["model.preset=mouse"]).problem().parameters["turnover_speed"] == 0.65
    given = ["model.preset=mouse", "model.parameters.turnover_speed=0.1 um/d"]
    assert load_config(config, given).problem().parameters["turnover_speed"] == 0.1


def test_a_standard_component_can_be_left_out(config):
    left = load_config(config, ["model.without=['mineral']"]).problem()
    assert [part.name for part in left.components] == ["osteocyte_opg"]
    assert "mineral_at_first" not in left.parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["model.without=['minerals']"], "model.without.*minerals.*Did you mean mineral"),
        (["model.without=['membrane_rankl']"], "model.without.*membrane_rankl.*mineral, osteocyte_opg"),
        (["model.without=['mineral']", "model.components=['mineral']"], "model.components too"),
        (["model.name=artery", "model.without=['mineral']"], "model.without belongs to bone"),
    ],
)
def test_what_is_left_out_must_be_there(config, changes, said):
    with pytest.raises(InputError, match=said):
        load_config(config, changes)


def test_the_resolved_config_is_a_config_of_the_same_problem(config, tmp_path):
    changes = [
        "change.0.parameter=rankl_production",
        "change.0.factor=2",
        "change.0.until=5 d",
        "output.fields=['bone']",
    ]
    first = load_config(
        config, [*changes, "dose.0.every=1 d", "dose.0.times=3", "agent.0.name=mine", "agent.0.like=fc_opg"]
    ).problem()
    resolved = json.loads(first.config)
    again = load_config(config, [f"{key}={_toml(value)}" for key, value in resolved.items()]).problem()
    assert json.loads(again.config) == resolved
    assert (again.parameters, again.doses, again.changes, again.save) == (
        first.parameters,
        first.doses,
        first.changes,
        first.save,
    )
    np.testing.assert_array_equal(again.section.bone, first.section.bone)


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def test_a_set_value_is_toml_or_else_text(config):
    c = load_config(
        config,
        [
            "dose.0.amount=1 mg/kg",
            'dose.0.at=["1 d", 4]',
            "title=a run",
            "dose.1.agent=denosumab",
            "dose.1.amount=1",
            "dose.1.at=0",
        ],
    )
    assert [(d.agent, d.amount, d.time) for d in c.problem().doses] == [
        ("denosumab", 1, 0),
        ("rank_fc", 1, 1),
        ("rank_fc", 1, 4),
    ]
    assert c.title == "a run"


def test_doses_repeat_from_their_start_and_those_at_one_time_both_count(config):
    repeated = load_config(config, ["dose.0.every=12 h", "dose.0.times=4"]).problem()
    assert [d.time for d in repeated.doses] == [2.0, 2.5, 3.0, 3.5]
    assert len(load_config(config, ["dose.0.at=[2, 2]"]).problem().doses) == 2


def test_any_number_of_further_drugs(config):
    given = [
        "agent.0.name=decoy_a",
        "agent.0.like=rank_fc",
        "agent.1.name=decoy_b",
        "agent.1.like=denosumab",
        "agent.1.label=Decoy B",
    ]
    c = load_config(
        config, [*given, "model.parameters.decoy_b_K_eff=0.5 nM", 'output.fields=["rankl_decoy_b"]']
    )
    assert [(a.name, a.like, a.label) for a in c.agents] == [
        ("decoy_a", "rank_fc", "decoy_a"),
        ("decoy_b", "denosumab", "Decoy B"),
        ("rank_fc", "rank_fc", "RANK-Fc"),
    ]
    assert c.problem().parameters["decoy_b_K_eff"] == 0.5


def test_paths_count_from_the_config_and_in_set_from_here(config, tmp_path, monkeypatch):
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    config.write_text(SMALL + '[initial]\nfrom = "old/run.h5"\n')
    assert load_config(config).initial.from_ == str(tmp_path / "old/run.h5")
    assert load_config(config, ["initial.from=old/run.h5"]).initial.from_ == str(here / "old/run.h5")


def test_a_section_from_python_takes_the_place_of_the_files(config):
    c = load_config(config)
    bone = np.zeros((6, 9))
    bone[:, :4] = 1
    p = c.problem(bone)
    assert (p.section.grid.shape, p.section.grid.spacing, p.section.grid.thickness) == (
        (6, 9),
        (20.0, 20.0),
        10.0,
    )
    own = slab(Grid((4, 4, 4), (5.0,) * 3))
    assert c.problem(own).section is own
    assert json.loads(c.problem(own).config)["section"]["kind"] == "slab"
    with pytest.raises(InputError, match=r"mine\.toml: section: bone fractions"):
        c.problem(bone + 1)


def test_borders_reach_the_grid(config):
    assert load_config(config, ["section.borders=periodic"]).problem().section.grid.borders == (
        "periodic",
        "periodic",
    )


def test_unusual_values_earn_a_warning(config):
    assert load_config(config).warnings == []
    (warning,) = load_config(config, ["model.parameters.rank_fc_kon=1e6 1/(nM d)"]).warnings
    assert "mine.toml: model.parameters.rank_fc_kon = 1e+06" in warning
    assert "1 to 100000" in warning


LEFT = ("border.0.field=rankl", "border.0.side=x-low")
BAD = {
    "unknown key": (["section.spcing=10"], ["section.spcing", "Did you mean spacing", "slab_thickness"]),
    "unknown table": (["sections.x=1"], ["sections", "Did you mean section", "output"]),
    "a value for a table of several": (
        ["border=[3]"],
        ["border.0 = 3 is a value", "[[border]] with its keys"],
    ),
    "unknown key of a dose": (["dose.0.agnt=x"], ["dose.0.agnt", "Did you mean agent", "route"]),
    "unknown parameter": (
        ["model.parameters.rankl_los=1"],
        ["rankl_los", "Did you mean rankl_loss", "osteoclast_death"],
    ),
    "parameter of another drug": (
        ["model.parameters.fc_opg_kon=900"],
        ["fc_opg_kon", "[[dose]]", "[[agent]]"],
    ),
    "unknown kind": (
        ["section.kind=trabecula"],
        ["section.kind", '"trabecula"', "Did you mean trabecular", "image", "slab"],
    ),
    "no kind": (["section={}"], ["section.kind is missing", "trabecular"]),
    "unknown preset": (["model.preset=cat"], ["model.preset", '"cat"', "human", "mouse", "rat"]),
    "unknown drug": (
        ["dose.0.agent=rankfc"],
        ["dose.0.agent", '"rankfc"', "rank_fc", "fc_opg", "denosumab", "soluble_rank", "[[agent]]"],
    ),
    "unknown preset of a drug": (["agent.0.name=x", "agent.0.like=y"], ["agent.0.like", '"y"', "rank_fc"]),
    "drug named like a field": (
        ["agent.0.name=bone", "agent.0.like=rank_fc"],
        ["agent.0.name", '"bone"', "taken"],
    ),
    "drug whose parameters collide": (
        ["agent.0.name=precursor", "agent.0.like=rank_fc"],
        ["agent.0.name", "precursor", "taken"],
    ),
    "unknown field": (
        ['output.fields=["rank"]'],
        ["output.fields", '"rank"', "Did you mean rankl", "formation_signal"],
    ),
    "wrong dimension": (["section.spacing=10 s"], ["section.spacing", '"10 s"', "um", "for example"]),
    "dose per mass missing": (["dose.0.amount=3 mg"], ["dose.0.amount", '"3 mg"', "mg/kg"]),
    "negative dose": (["dose.0.amount=-3 mg/kg"], ["dose.0.amount", '"-3 mg/kg"', "at least 0"]),
    "negative diffusivity": (
        ["model.parameters.rankl_diffusivity=-1 um^2/s"],
        ["rankl_diffusivity", '"-1 um^2/s"', "0 um^2/d and more"],
    ),
    "not a number": (
        ["section.bone_fraction=nan", "section.kind=trabecular"],
        ["section.bone_fraction", "nan", "not finite"],
    ),
    "no spacing": (
        ['section={kind="slab", size=[160, 160], thickness=10}'],
        ["section.spacing is missing", "10 um"],
    ),
    "no thickness": (
        ['section={kind="slab", size=[160, 160], spacing=10}'],
        ["section.thickness is missing", "10 um"],
    ),
    "thickness of a block": (["section.size=[160, 160, 160]"], ["section.thickness", "block"]),
    "size not a multiple": (["section.size=[165, 160]"], ["section.size.0", "165 um", "spacing", "160 um"]),
    "size not a list": (["section.size=160 um"], ["section.size", '"160 um"', "list"]),
    "axis beyond a 2D section": (["section.axis=z"], ["section.axis", '"z"', '"y"']),
    "end before start": (["time.end=-5 d"], ["time.end", '"-5 d"', "above 0"]),
    "endless": (["time.end=inf"], ["time.end", "not finite"]),
    "dose after the end": (["dose.0.at=20 d"], ["dose.0.at", "20 d", "0 to 10 d", "time.end"]),
    "dose without time": (['dose=[{agent="rank_fc", amount=1}]'], ["dose.0.at is missing", "every"]),
    "repeated without count": (["dose.0.every=1 d"], ["dose.0.times is missing", "times = 3"]),
    "one table for a list": (['dose={agent="rank_fc"}'], ["dose", "[[dose]]"]),
    "saved after the end": (['time.save=["1 d", "11 d"]'], ["time.save", "11 d", "10 d"]),
    "saved too often": (["time.save=1e-9"], ["time.save", "1e-09", "100,000"]),
    "change of nothing": (
        ["change.0.parameter=rankl", "change.0.factor=2"],
        ["change.0.parameter", '"rankl"', "rankl_production"],
    ),
    "change of a definition": (
        ["change.0.parameter=smoothing_length", "change.0.factor=2"],
        ["smoothing_length", "cannot change", "rankl_loss"],
    ),
    "change of a scale": (
        ["change.0.parameter=rankl_scale", "change.0.factor=2"],
        ["rankl_scale", "cannot change"],
    ),
    "change of a plasma curve": (
        ["change.0.parameter=rank_fc_clearance", "change.0.factor=2"],
        ["rank_fc_clearance", "cannot change", "plasma"],
    ),
    "change that ends first": (
        ["change.0.parameter=rankl_loss", "change.0.factor=2", "change.0.at=5", "change.0.until=4"],
        ["change.0.until", "4 d", "5 d"],
    ),
    "change after the end": (
        ["change.0.parameter=rankl_loss", "change.0.factor=2", "change.0.at=11"],
        ["change.0.at", "11 d", "0 to 10 d"],
    ),
    "negative koff": (
        ["model.parameters.rank_fc_K_eff=0.005 nM"],
        ["rank_fc_K_eff", "rank_fc_kon", "rankl_loss", "above 0.00579 nM"],
    ),
    "negative koff later": (
        ["change.0.parameter=rankl_loss", "change.0.factor=6"],
        ["change.0.factor", "opg_K_eff", "rankl_loss 30"],
    ),
    "tolerance too loose": (["solver.tolerance=0.5"], ["solver.tolerance", "0.5", "at most 0.1"]),
    "tolerance zero": (["solver.tolerance=0"], ["solver.tolerance", "above 0"]),
    "unknown precision": (["solver.precision=half"], ["solver.precision", '"half"', "float32", "float64"]),
    "unknown integrator": (["solver.integrator=euler"], ["solver.integrator", '"euler"', "tr-bdf2", "rkc2"]),
    "border of what stays": (
        ["border.0.field=bone", "border.0.side=x-low", "border.0.value=1"],
        ["border.0.field", '"bone"', "diffuses", "osteoclasts"],
    ),
    "border without side": (["border.0.field=rankl", "border.0.value=1"], ["border.0.side is missing"]),
    "border on no side": (
        ["border.0.field=rankl", "border.0.side=left", "border.0.value=1"],
        ["border.0.side", '"left"', "x-low"],
    ),
    "border of nothing": ([*LEFT], ["border.0.value is missing", "flux"]),
    "border of two kinds": ([*LEFT, "border.0.value=1", "border.0.flux=1"], ["border.0.value", "flux too"]),
    "border in another unit": ([*LEFT, "border.0.value=3 um"], ["border.0.value", '"3 um"', "nM"]),
    "flux in another unit": ([*LEFT, "border.0.flux=3 nM/d"], ["border.0.flux", '"3 nM/d"', "nM um/d"]),
    "negative border": ([*LEFT, "border.0.value=-1"], ["border.0.value", "-1", "at least 0"]),
    "exchange with nothing": (
        [*LEFT, "border.0.flux=1", "border.0.exchange=1"],
        ["border.0.value is missing", "exchange"],
    ),
    "border of a periodic box": (
        [*LEFT, "border.0.value=1", "section.borders=periodic"],
        ["border.0.side", "periodic", "no-flux"],
    ),
    "border twice": (
        [
            "border.0.field=rankl",
            "border.0.side=x-low",
            "border.0.value=1",
            "border.1.field=rankl",
            "border.1.side=x-low",
            "border.1.flux=1",
        ],
        ["border.1.side", "rankl", "already"],
    ),
    "stride zero": (["output.stride=0"], ["output.stride", "0"]),
    "value for a table": (["time=3"], ["time = 3", "[time]"]),
    "text for a number": (
        ["section.seed=1.5", "section.kind=trabecular"],
        ["section.seed", "1.5", "integer"],
    ),
}


@pytest.mark.parametrize(("overrides", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_told_with_file_key_value_and_way_out(config, overrides, said):
    with pytest.raises(InputError) as caught:
        load_config(config, overrides)
    text = str(caught.value)
    assert text.startswith(str(config))
    for part in said:
        assert part in text


TABLES = [
    name
    for name, field in Config.model_fields.items()
    if "Table" in str(field.annotation) or name in ("model", "agent", "initial")
]


@pytest.mark.parametrize("name", TABLES)
def test_a_slip_in_a_key_of_any_table_names_those_that_are_there(config, name):
    """The tables are those of the schema, so a new one is told of too."""
    key = f"{name}.0" if schema()["properties"][name].get("type") == "array" else name
    with pytest.raises(InputError, match=rf"{key}\.slip is not a known key\..* Allowed: \w+, "):
        load_config(config, [f"{key}.slip=1"])


def test_all_that_is_wrong_is_told_at_once(config):
    with pytest.raises(InputError) as caught:
        load_config(config, ["section.spacing=10 s", "tittle=x", "time.end=-1", "dose.0.route=oral"])
    paragraphs = str(caught.value).split("\n\n")
    assert len(paragraphs) == 4
    assert all(p.startswith(str(config)) for p in paragraphs)
    assert any("--set time.end=-1" in p for p in paragraphs)


@pytest.mark.parametrize("override", ["x", "=1", "a..b=1", "dose.7.at=1", "dose.x=1", "title.x=1"])
def test_a_set_that_fits_nowhere_is_told(config, override):
    with pytest.raises(InputError, match="--set"):
        load_config(config, [override])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[section]\nspacing = 10 um\n", "line 2"),
        ("title = 1\ntitle = 2\n", "once"),
        ("", "section is missing"),
        (b"\xff\xfe\x00", "UTF-8"),
        ("# " + "x" * 2_000_000, "not a config"),
    ],
)
def test_a_file_that_is_no_config_is_told(config, content, said):
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_config(config)
    assert str(caught.value).startswith(str(config))
    assert said in str(caught.value)


def test_a_missing_file_is_told_with_the_nearest(config, tmp_path):
    with pytest.raises(InputError, match=r"mne\.toml: there is no such file.*mine\.toml"):
        load_config(tmp_path / "mne.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize("crop", ["[]", "[[0, 8]]", "[[0], [0, 8]]", "[[0, 8, 1], [0, 8]]"])
def test_a_crop_of_other_than_a_range_an_axis_is_refused(config, crop):
    with pytest.raises(InputError, match=r"mine\.toml: output\.crop = .* fit the grid of 8 x 16"):
        load_config(config, [f"output.crop={crop}"]).problem()


def test_what_only_the_section_shows_names_the_file_too(config):
    with pytest.raises(InputError, match=r"mine\.toml: output\.crop = .* 8 x 16 cells"):
        load_config(config, ["output.crop=[[0, 8], [0, 17]]"]).problem()
    image = 'section={kind="image", image="nowhere.tif", threshold="otsu", thickness=10}'
    with pytest.raises(InputError, match=r"mine\.toml: section\.image.*nowhere\.tif"):
        load_config(config, [image]).problem()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_configs_are_valid_and_say_what_they_show(path):
    c = load_config(path, allow_python=True)
    assert c.warnings == []
    assert c.title
    assert path.read_text().startswith("# ")


def test_saved_times_increase_and_end_at_the_end(config):
    for save in ("1 d", "7 h", "0.1 d", "20 d"):
        times = load_config(config, [f"time.save={save}"]).problem().save
        assert (times[0], times[-1]) == (0.0, 10.0)
        assert all(a < b for a, b in pairwise(times))
    assert load_config(config, ["time.save=[5, 1, 5]"]).problem().save == (1.0, 5.0)


def test_the_schema_tells_units_and_meanings():
    tree = schema()
    spacing = tree["$defs"]["Slab"]["properties"]["spacing"]
    assert spacing["type"] == ["number", "string"]
    assert "In um, or text with a unit" in spacing["description"]
    rows = tree["$defs"]["Model"]["properties"]["parameters"]["properties"]
    assert "1/(nM d)" in rows["rank_fc_kon"]["description"]
    assert {row.name for row in parameters()} <= set(rows)
    json.dumps(tree)


def test_a_config_names_the_version_of_its_keys(config):
    assert (
        load_config(config).resolved()["schema"]
        == load_config(config, ["schema=1"]).resolved()["schema"]
        == CONFIG_SCHEMA
        == 1
    )
    assert schema()["properties"]["schema"]["type"] == "integer"
    with pytest.raises(InputError, match=r"mine\.toml: schema = 2 is newer .* Upgrade rdsolver"):
        load_config(config, ["schema=2", "sections.x=1"])


def test_keys_of_nests_are_refused_where_there_are_none_and_not_resolved(config, tmp_path):
    spread = ["tumour.spread=0.01", "tumour.kind=myeloma"]
    for key in ("radius=50", "density=0.4", "seed=3"):
        with pytest.raises(InputError, match=rf"tumour\.{key.split('=')[0]} has no effect"):
            load_config(config, [*spread, f"tumour.{key}"])
    assert set(load_config(config, spread).resolved()["tumour"]) == {"kind", "nests", "spread"}
    at = load_config(config, ["tumour.at=[[80, 200]]"]).resolved()["tumour"]
    assert set(at) == {"kind", "at", "nests", "radius", "density", "spread"}


def test_a_change_beyond_what_is_plausible_earns_a_warning(config):
    change = ["change.0.parameter=rankl_production", "change.0.at=1 d"]
    (warning,) = load_config(config, [*change, "change.0.factor=1e4"]).warnings
    assert "mine.toml: change.0.factor = 10000: rankl_production = " in warning
    for usual in (0, 2):
        assert load_config(config, [*change, f"change.0.factor={usual}"]).warnings == []


def test_a_section_is_made_coarser_by_whole_cells():
    """Volume averages within the field of view; what is left over is dropped; two cells are left along a
    short axis.
    """
    rng = np.random.default_rng(1)
    bone, active = rng.random((6, 5)), np.ones((6, 5), bool)
    active[:2, :2] = [[True, False], [False, False]]
    active[2, 0] = False
    wide = coarsened(Section(Grid((6, 5), (10.0, 20.0), thickness=5.0), bone, active), 2)
    assert (wide.grid.shape, wide.grid.spacing, wide.grid.thickness) == ((3, 2), (20.0, 40.0), 5.0)
    assert wide.active.tolist() == [[False, True], [True, True], [True, True]]
    inside = np.array([bone[2, 1], bone[3, 0], bone[3, 1]])
    assert wide.bone[1, 0] == pytest.approx(inside.mean())
    assert wide.bone[2, 1] == pytest.approx(bone[4:6, 2:4].mean())
    assert coarsened(slab(Grid((4, 128), (5.0, 5.0), thickness=5.0)), 8).grid.shape == (2, 16)
    round_about = Grid((10, 10), (10.0, 10.0), borders=("periodic",) * 2, thickness=5.0)
    with pytest.raises(InputError, match="coarsen = 4 does not divide the 10 cells of a periodic section"):
        coarsened(slab(round_about), 4)


def test_coarsen_is_a_key_of_every_section(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BASE_OF_COARSE)
    fine, wide = (load_config(path, [f"section.coarsen={n}"]).problem().section for n in (1, 2))
    assert (fine.grid.shape, wide.grid.shape) == ((24, 24), (12, 12))
    np.testing.assert_allclose(fine.bone.reshape(12, 2, 12, 2).mean(axis=(1, 3)), wide.bone, atol=1e-12)
    given = load_config(path, ["section.coarsen=2"]).problem(section=fine.bone).section
    np.testing.assert_array_equal(given.bone, wide.bone)
    assert wide.record["coarsened"] == 2


BASE_OF_COARSE = """
[section]
kind = "trabecular"
size = ["480 um", "480 um"]
spacing = "20 um"
thickness = "10 um"
[time]
end = "1 d"
"""
