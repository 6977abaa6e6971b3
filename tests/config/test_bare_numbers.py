"""Numbers without their unit: one warning a key names the one that is taken; nothing that we write or show
has one.
"""

import re

import pytest

from rdsolver import load_config
from rdsolver.cli.examples import named
from rdsolver.config.bare_numbers import _units
from rdsolver.config.config import Config
from rdsolver.config.load import config_from
from rdsolver.studies.validation.scenes import Scene, SceneRunner
from rdsolver.sweep.design import load
from tests.support.places import ROOT
from tests.support.sweeps import BASE, design

MANY = """
[section]
kind = "slab"
size = [320, "320 um"]
spacing = 20
thickness = "10"
[model.parameters]
rankl_loss = 5
activation_share = 0.3
[[dose]]
agent = "rank_fc"
amount = 1
at = [0, 1]
[[change]]
parameter = "rankl_production"
factor = 2
at = 0
[[border]]
field = "rankl"
side = "x-high"
value = 0.01
[tumour]
at = [[160.0, 260.0]]
[time]
end = 2
save = ["1 d", 2]
"""
SAID = {
    "section.size": '= [320, "320 um"] has no unit, and is taken in um. Write: ["320 um", "320 um"]',
    "section.spacing": '= 20 has no unit, and is taken in um. Write: "20 um"',
    "section.thickness": '= "10" has no unit, and is taken in um. Write: "10 um"',
    "dose.0.amount": '= 1 has no unit, and is taken in mg/kg. Write: "1 mg/kg"',
    "dose.0.at": '= [0, 1] has no unit, and is taken in d. Write: [0, "1 d"]',
    "time.end": '= 2 has no unit, and is taken in d. Write: "2 d"',
    "time.save": '= ["1 d", 2] has no unit, and is taken in d. Write: ["1 d", "2 d"]',
    "tumour.at": '= [[160.0, 260.0]] has no unit, and is taken in um. Write: [["160.0 um", "260.0 um"]]',
    "model.parameters.rankl_loss": '= 5 has no unit, and is taken in 1/d. Write: "5 /d"',
    "border.0.value": '= 0.01 has no unit, and is taken in nM. Write: "0.01 nM"',
}


@pytest.fixture
def many(tmp_path):
    path = tmp_path / "many.toml"
    path.write_text(MANY)
    return path


def test_each_key_earns_one_warning_that_names_the_unit(many):
    """Zero, and numbers that have no unit, earn none."""
    config = load_config(many)
    assert dict(config.bare) == SAID
    assert config.warnings == [f"{many}: {key} {text}" for key, text in SAID.items()]
    assert config.problem().warnings == tuple(config.warnings)  # and so it is told, and kept in the run file


def test_what_is_proposed_means_the_same_and_is_silent(many):
    before = load_config(many)
    said = load_config(many, [f"{key}={text.partition('Write: ')[2]}" for key, text in SAID.items()])
    assert said.bare == ()
    assert said.resolved() == before.resolved()


def test_numbers_of_a_program_that_says_their_units_are_silent(many):
    assert load_config(many, ["units=internal"]).bare == ()


def test_what_we_resolve_is_silent(many):
    resolved = load_config(many).resolved()
    assert config_from(resolved, "resolved").bare == ()
    assert config_from(resolved, "resolved").resolved() == resolved
    scene = SceneRunner(True, 1).tables(Scene(5.0, changed=(("rankl_loss", 5.0),)))
    assert config_from(scene, "scene").bare == ()


def test_every_quantity_of_every_table_is_looked_at():
    """Those whose unit follows from another key are not of this kind."""
    found = {key for table in _tables(Config) for key in _units(table)}
    named = (
        "size spacing thickness voxel denoise amount at every lesion until exchange end save radius wall"
        " slab_thickness"
    )
    assert found >= set(named.split())


def _tables(table):
    yield table
    for field in table.model_fields.values():
        for part in _parts(field.annotation):
            if isinstance(part, type) and hasattr(part, "model_fields"):
                yield from _tables(part)


def _parts(annotation):
    inner = getattr(annotation, "__args__", ())
    return [annotation, *(p for a in inner for p in _parts(a))]


def test_a_sweep_says_each_key_once(tmp_path):
    text = (
        'base = "base.toml"\n[grid]\n"dose.0.amount" = [1, 2, "3 mg/kg"]\n"section.seed" = [1, 2,'
        " 3]\n[keep]\ntimes = 0.5\n"
    )
    made = design(tmp_path, text, BASE.replace('end = "10 d"', "end = 10"))
    assert len(made) == 9
    assert sorted(made.warnings) == [
        f'{tmp_path}/base.toml: time.end = 10 has no unit, and is taken in d. Write: "10 d"',
        f'{tmp_path}/s.toml: dose.0.amount = 1 has no unit, and is taken in mg/kg. Write: "1 mg/kg"',
        f'{tmp_path}/s.toml: keep.times = 0.5 has no unit, and is taken in d. Write: "0.5 d"',
    ]


@pytest.mark.parametrize("name", named())
def test_no_config_of_ours_has_one(name):
    path = named()[name]
    found = load(path).warnings if name.startswith("sweeps/") else load_config(path, allow_python=True).bare
    assert found == ()


def test_no_page_shows_one():
    """Values of the keys that are quantities, in the TOML blocks and --set of every page."""
    keys = {key for table in _tables(Config) for key in _units(table)} - {
        "tolerance",
        "factor",
        "density",
        "spread",
        "bone_fraction",
    }
    keys -= {"threshold"}
    bare = re.compile(
        rf"(?:^|[\s.\"])(?:{'|'.join(keys)}) ?= ?\[?\"?-?[1-9][\d.e-]*\"?\s*(?:[,#\]\n]|$)", re.MULTILINE
    )
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        if page.name == "errors.md":
            continue
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"```(?:toml|sh)\n(.*?)```", text, re.DOTALL))
        assert bare.findall(blocks) == [], page
    assert bare.search("spacing = 20\n")
    assert not bare.search('spacing = "20 um"\n')
