"""Texts that people and their programs write: marks at the beginning, names that look like numbers, decimal
commas.
"""

from pathlib import Path

import pytest

from rdsolver import load_config
from rdsolver.config.load import config_from, takes_text
from rdsolver.config.toml import value_of
from rdsolver.errors import InputError
from tests.support.errors_here import SLAB
from tests.support.sweep_files import BONE, made

MARK = "\ufeff"  # with which some editors begin UTF-8
FAR = ["1.5 mg/kg", "12.25 mg/kg"]


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bone.toml").write_text(BONE)
    Path("mine.toml").write_text(SLAB)
    return tmp_path


def test_a_mark_at_the_beginning_is_none_of_the_text(there):
    Path("bone.toml").write_text(MARK + BONE, encoding="utf-8")
    assert load_config("bone.toml").title == "bone"
    Path("rows.csv").write_text(f"{MARK}section.seed\n4\n", encoding="utf-8")
    sweep = f'{MARK}base = "bone.toml"\n[sample]\ntable = "rows.csv"\n'
    Path("sweep.toml").write_text(sweep, encoding="utf-8")
    from rdsolver.sweep.design import load

    assert load("sweep.toml").rows == ({"section.seed": 4},)


# --- where text is wanted -----------------------------------------------------------------------------------

NUMBERLIKE = (
    "2024",
    "1e5",
    "true",
    "20240501",
    "2024-05-01",
    "007",
    "0x1F",
    "nan",
    "[1, 2]",
    "2024 # second try",
    "{a = 1}",
    "1\nb = 2",
)


@pytest.mark.parametrize("text", NUMBERLIKE)
def test_bare_text_is_text_where_text_is_wanted(text, there):
    config = load_config(
        "mine.toml", [f"title={text}", "agent.0.name=other", "agent.0.like=rank_fc", f"agent.0.label={text}"]
    )
    assert (config.title, config.agent[0].label) == (text, text)
    again = config_from(config.resolved(), "run.h5")  # as a run's file keeps it
    assert again.title == text


def test_quotes_are_not_part_of_it(there):
    assert load_config("mine.toml", ['title="2024"']).title == "2024"
    assert load_config("mine.toml", ["title='a b'"]).title == "a b"


def test_which_keys_are_text():
    assert all(
        map(
            takes_text,
            (
                "title",
                "section.image",
                "section.dataset",
                "initial.from",
                "agent.3.name",
                "dose.0.agent",
                "model.from",
            ),
        )
    )
    others = (
        "section.spacing",
        "section.threshold",
        "section.crop",
        "solver.precision",
        "time.save",
        "output.fields",
        "none.of.them",
    )
    assert not any(
        map(
            takes_text,
            (*others, "agent.name", "schema", "model.membrane_rankl", "model.parameters.rankl_loss"),
        )
    )


def test_a_folder_named_by_a_date_or_a_number_is_a_path(there):
    table = 'section={kind="image", voxel=20, threshold=110, thickness=10}'
    for name in ("20240501", "2024-05-01"):
        assert load_config("mine.toml", [table, f"section.image={name}"]).section.image == str(there / name)


def test_in_a_file_text_stands_in_quotes_and_the_way_out_is_said(there):
    Path("mine.toml").write_text(f"title = 2024\n{SLAB}")
    with pytest.raises(InputError, match=r'title = 2024 is not text. Put text in quotes: title = "2024"'):
        load_config("mine.toml")
    with pytest.raises(
        InputError, match=r'title = 2024-05-01 is not text. Put text in quotes: title = "2024-05-01"'
    ):
        made("[grid]\ntitle = [2024-05-01]")


def test_nothing_of_a_value_is_dropped():
    assert value_of("1 # 2") == "1 # 2"
    assert value_of("1\nother = 2") == "1\nother = 2"
    assert value_of("1, other = 2") == "1, other = 2"
    assert value_of("1 }\nmore = { value = 2") == "1 }\nmore = { value = 2"
    assert value_of('["1 d", 5]') == ["1 d", 5]


# --- tables of spreadsheets ---------------------------------------------------------------------------------


def table(text: str) -> list[dict]:
    Path("rows.csv").write_text(text, encoding="utf-8")
    return list(made('[sample]\ntable = "rows.csv"').rows)


@pytest.mark.parametrize(
    "text",
    [
        "title,dose.0.amount,section.seed\n2024,1.5 mg/kg,1\n1e5,12.25 mg/kg,2\n",
        "title;dose.0.amount;section.seed\r\n2024;1,5 mg/kg;1\r\n1e5;12,25 mg/kg;2\r\n",
        'sep=;\ntitle;dose.0.amount;section.seed\n2024;"1,5 mg/kg";1\n1e5;12,25 mg/kg;2\n',
        "title\tdose.0.amount\tsection.seed\n2024\t1,5 mg/kg\t1\n1e5\t12,25 mg/kg\t2\n",
    ],
)
def test_separators_and_decimals_of_a_spreadsheet_are_read_as_they_are_meant(text, there):
    rows = table(text)
    assert [row["dose.0.amount"] for row in rows] == FAR
    assert [row["title"] for row in rows] == ["2024", "1e5"]
    assert [row["section.seed"] for row in rows] == [1, 2]


def test_decimals_of_plain_numbers(there):
    rows = table("label;section.bone_fraction;solver.tolerance\na, b;0,25;1e-3\nc;0,3;1,5e-3\n")
    assert [row["section.bone_fraction"] for row in rows] == [0.25, 0.3]
    assert [row["solver.tolerance"] for row in rows] == [1e-3, 1.5e-3]
    assert [row["label"] for row in rows] == ["a, b", "c"]
    assert [
        r["dose.0.amount"] for r in table("dose.0.amount;section.seed\n1,250 mg/kg;1\n1,5 mg/kg;2\n")
    ] == ["1.250 mg/kg", "1.5 mg/kg"]


REFUSED = {
    "thousands, or decimals": (
        "dose.0.amount;section.seed\n1,250 mg/kg;1\n",
        "may have a decimal comma, or one of thousands",
    ),
    "commas and points": (
        "dose.0.amount;section.bone_fraction\n0,5 mg/kg;0.25\n",
        "'0,5 mg/kg' with a decimal comma and '0.25' ",
    ),
    "thousands and decimals": ("dose.0.amount;section.seed\n1.250,5 mg/kg;1\n", "is not a quantity"),
    "a list": ("dose.0.at;section.seed\n[0,5];1\n", "may have decimal commas, or commas between numbers"),
    "a decimal comma among commas": (
        "dose.0.amount,section.seed\n0,5,1\n",
        "has 3 cells, .* write decimals with a point",
    ),
    "a decimal comma in quotes": ('dose.0.amount,section.seed\n"0,5",1\n', "is not a quantity"),
    "a single column": ("dose.0.amount\n0,5\n", "has 2 cells"),
    "two separators": ("dose.0.amount;section.seed,title\n1;1,a\n", "holds commas and semicolons"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_mean_two_things_is_refused(what, there):
    text, said = REFUSED[what]
    with pytest.raises(InputError, match=said):
        table(text)


def test_a_table_that_is_not_utf8_is_refused(there):
    Path("rows.csv").write_bytes("title;section.seed\n5 µm;1\n".encode("cp1252"))
    with pytest.raises(
        InputError, match=r"is not UTF-8 text. Save it as UTF-8; a spreadsheet calls this CSV UTF-8"
    ):
        made('[sample]\ntable = "rows.csv"')
