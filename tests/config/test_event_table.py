"""Doses as pharmacometricians write them: event tables, infusions, loading doses, steady states, mg."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdsolver import load_config, read_events
from rdsolver.config.load import config_from
from rdsolver.errors import InputError
from rdsolver.models.bone.pharmacokinetics import Dose
from rdsolver.problem.bone_problem import describe_doses

SLAB = {"kind": "slab", "size": ["160 um", "320 um"], "spacing": "20 um", "thickness": "10 um"}
HOURS = {"time_unit": "h", "amount_unit": "mg"}


def of(*doses: dict, **tables):
    return config_from({"section": SLAB, "time": {"end": "60 d"}, "dose": list(doses)} | tables, "made here")


def course(**keys) -> dict:
    return {"agent": "denosumab", "amount": "60 mg", "every": "14 d", "times": 3} | keys


KG = {"model": {"body_weight": "70 kg"}}

# --- keys of [[dose]] ---------------------------------------------------------------------------------------


def test_mg_with_a_body_weight_are_mg_per_kg():
    in_mg = of(course(), **KG).problem()
    per_kg = of(course(amount=60 / 70)).problem()
    assert in_mg.doses == per_kg.doses
    assert "denosumab 0.857143 mg/kg sc at 0, 14, 28 d" in describe_doses(in_mg)
    assert of(course(amount="6e4 ug/kg")).problem().doses[0].amount == 60.0


def test_a_loading_dose_is_the_first():
    p = of(course(loading="120 mg", at="3 d"), **KG).problem()
    assert [(d.time, d.amount) for d in p.doses] == [(3.0, 120 / 70), (17.0, 60 / 70), (31.0, 60 / 70)]
    assert [d.amount for d in of(course(amount="1 mg/kg", loading=0, times=2)).problem().doses] == [0.0, 1.0]


def test_only_the_first_dose_sets_the_steady_state():
    p = of(course(amount="1 mg/kg", ss=True, duration="30 min")).problem()
    assert [d.steady_interval for d in p.doses] == [14.0, 0.0, 0.0]
    assert [d.duration for d in p.doses] == pytest.approx([1 / 48] * 3)
    assert "1 mg/kg sc over 30 min in steady state of one every 14 d at 0 d" in describe_doses(p)
    assert "1 mg/kg sc over 30 min at 14, 28 d" in describe_doses(p)


COURSES = {
    "infused": [course(amount=2, duration="90 min", route="iv")],
    "loading": [course(loading="120 mg", every="8 h", times=40)],
    "loading alone": [course(loading="120 mg", times=1)],
    "steady": [course(ss=True, every="8 h", at="1 d"), course(agent="fc_opg", amount=1, at=2, ss=True)],
    "waiting": [course(lesion="0.05 mm^2", duration="1 h", loading="90 mg")],
}


@pytest.mark.parametrize("case", COURSES)
def test_a_resolved_course_is_the_same_doses(case):
    weight = {} if case == "infused" else KG
    first = of(*COURSES[case], tumour={"kind": "myeloma", "nests": 1}, **weight)
    again = config_from(json.loads(json.dumps(first.resolved())), "resolved")
    assert again.resolved() == first.resolved()
    assert (again.doses(None), again.doses(0.05)) == (first.doses(None), first.doses(0.05))
    assert len((*first.doses(None), *first.doses(0.05))) == sum(d["times"] for d in COURSES[case])


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 1e3), st.floats(1, 200))
def test_an_amount_in_mg_is_divided_by_the_body_weight(amount, weight):
    given_doses = of(
        {"agent": "fc_opg", "amount": f"{amount!r} mg", "at": 0}, model={"body_weight": f"{weight!r} kg"}
    )
    assert given_doses.doses(None)[0].amount == amount / weight


# --- event tables -------------------------------------------------------------------------------------------

EVENTS = """\
ID,TIME,AMT,RATE,CMT,II,ADDL,SS,EVID,DV,MDV
1,0,999,0,1,0,0,0,1,.,1
2,0,70,0,2,24,0,1,1,.,1
2,12,.,.,.,.,.,.,0,33.2,0
2,24,140,.,1,8,5,.,1,.,1
2.0,100,35,70,2,.,.,.,1,.,1
"""
BY_HAND = (
    {"agent": "fc_opg", "amount": "70 mg", "route": "iv", "every": "24 h", "times": 1, "ss": True},
    {"agent": "fc_opg", "amount": "140 mg", "at": "24 h", "every": "8 h", "times": 6},
    {"agent": "fc_opg", "amount": "35 mg", "route": "iv", "at": "100 h", "duration": "30 min"},
)


def written(path, text, **keys) -> dict:
    (path / "events.csv").write_text(text)
    return HOURS | {"file": str(path / "events.csv"), "agent": "fc_opg"} | keys


def test_an_event_table_is_the_doses_that_it_says(tmp_path):
    table = written(tmp_path, EVENTS, id=2)
    config, by_hand = of(**KG, events=[table]), of(*BY_HAND, **KG)
    assert config.problem().doses == by_hand.problem().doses
    assert config.warnings == []
    assert config.resolved() == by_hand.resolved()
    file = table.pop("file")
    assert read_events(file, body_weight=70.0, **table) == by_hand.doses(None)


def test_the_path_of_a_table_begins_at_the_folder_of_its_config(tmp_path, monkeypatch):
    written(tmp_path, "time, amt, route, agent, wt\n1, 3, SC, rank_fc, 70\n\n2, 1, iv, fc_opg, 70\n")
    (tmp_path / "mine.toml").write_text(
        '[section]\nkind = "slab"\nsize = [160, 320]\nspacing = 20\nthickness = 10\n[time]\nend = "9 d"\n'
        '[[events]]\nfile = "events.csv"\ntime_unit = "d"\namount_unit = "mg/kg"\n'
    )
    config = load_config(tmp_path / "mine.toml")
    assert config.problem().doses == (Dose("rank_fc", 3.0, "sc", 1.0), Dose("fc_opg", 1.0, "iv", 2.0))
    assert [a.name for a in config.agents] == ["rank_fc", "fc_opg"]
    assert any("not read: WT" in text for text in config.warnings)
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.csv"
    other.write_text("TIME,AMT,ROUTE,AGENT\n0,2,sc,denosumab\n")
    moved = load_config("mine.toml", ["events.0.file=other.csv"]).problem()
    assert [d.agent for d in moved.doses] == ["denosumab"]


def test_a_saved_run_needs_no_table(tmp_path):
    config = of(**KG, events=[written(tmp_path, EVENTS, id=2)])
    resolved = config.resolved()
    (tmp_path / "events.csv").unlink()
    assert config_from(resolved, "resolved").doses(None) == config.doses(None)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,10,-1,1,.,.,.,1", ["line 2", "RATE = -1", "number"]),
        ("0,10,.,3,.,.,.,1", ["line 2", "CMT = 3", "1 or 2"]),
        ("0,10,.,.,.,.,.,1", ["line 2", "CMT = .", "1 or 2"]),
        ("0,10,.,1,.,.,2,1", ["line 2", "SS = 2", "0, and 1"]),
        ("0,10,.,1,.,.,1,1", ["line 2", "SS = 1", "II"]),
        ("0,10,.,1,.,3,.,1", ["line 2", "ADDL = 3", "II"]),
        ("0,10,.,1,1,2.5,.,1", ["line 2", "ADDL = 2.5", "whole"]),
        ("0,10,.,1,.,.,.,4", ["line 2", "EVID = 4", "reset"]),
        ("0,10,.,1,.,.,.,7", ["line 2", "EVID = 7", "not known"]),
        ("0,10,.,1,.,.,.,0", ["line 2", "AMT = 10", "EVID = 1"]),
        ("0,.,5,1,.,.,.,.", ["line 2", "RATE = 5", "AMT above 0"]),
        ("0,.,.,1,.,.,.,1", ["line 2", "AMT = .", "above 0"]),
        ("0,-2,.,1,.,.,.,1", ["line 2", "AMT = -2", "above 0"]),
        (".,2,.,1,.,.,.,1", ["line 2", "TIME = .", "a time"]),
        ("-3,2,.,1,.,.,.,1", ["line 2", "TIME", '"-3 h"', "at least 0"]),
        ("8:30,2,.,1,.,.,.,1", ["line 2", 'TIME = "8:30"', "not a number"]),
        ("1 d,2,.,1,.,.,.,1", ["line 2", 'TIME = "1 d"', "not a number"]),
        ("0,2,.,1,.,.,.,1\n0,1e999,.,1,.,.,.,1", ["line 3", 'AMT = "1e999"', "not a number"]),
        ("0,10,0.1,2,24,.,1,1", ["line 2", "AMT/RATE = 4.16667 d", "every = 1 d"]),
        ("0,10,.,1,.,.,.", ["line 2", "7 cells", "8 columns"]),
        ("0,.,.,.,.,.,.,0", ["no dose"]),
    ],
)
def test_a_row_that_could_be_misread_is_refused(rows, said, tmp_path):
    table = written(tmp_path, f"TIME,AMT,RATE,CMT,II,ADDL,SS,EVID\n{rows}\n")
    with pytest.raises(InputError) as caught:
        of(**KG, events=[table])
    for part in ("made here: events.0.file", "events.csv", *said):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "keys", "said"),
    [
        ("TIME,AMT\n0,1\n", {}, "CMT and a column ROUTE"),
        ("TIME,AMT,CMT,ROUTE\n0,1,1,sc\n", {}, "both of a column CMT"),
        ("TIME,AMT,CMT,AGENT\n0,1,1,fc_opg\n", {}, "both of a column AGENT"),
        ("TIME,AMT,CMT\n0,1,1\n", {"agent": None}, "neither of a column AGENT"),
        ("TIME,CMT\n0,1\n", {}, "no column AMT"),
        ("TIME;AMT;CMT\n0;1;1\n", {}, "no column TIME"),
        ("TIME,AMT,CMT,CMT\n0,1,1,1\n", {}, "two columns CMT"),
        ("TIME,AMT,CMT,DUR\n0,1,1,1\n", {}, "column DUR .* Give RATE"),
        ("#ID,TIME,AMT,CMT\n1,0,1,1\n", {}, "column #ID .* Give it the name ID"),
        ("c,TIME,AMT,CMT\nC,0,1,1\n", {}, "column C .* only the rows that count"),
        ("TIME,AMT,CMT,\n0,1,1,\n", {}, "column without a name"),
        ("ID,TIME,AMT,CMT\n7,0,1,1\n9,0,1,1\n", {}, "id = 7: 7, 9"),
        ("ID,TIME,AMT,CMT\n7,0,1,1\n9,0,1,1\n", {"id": 8}, "no ID 8. There is: 7, 9"),
        ("TIME,AMT,CMT\n0,1,1\n", {"id": 8}, "leave id out"),
        ("", {}, "empty"),
        ("TIME,AMT,CMT\n0,1,1\n", {"time_unit": "mg"}, "no unit of time"),
        ("TIME,AMT,CMT\n0,1,1\n", {"amount_unit": "mL"}, "no unit of amount"),
        ("TIME,AMT,CMT\n0,1,1\n", {"amount_unit": ""}, "no unit of amount"),
    ],
)
def test_a_table_that_could_be_misread_is_refused(text, keys, said, tmp_path):
    table = {k: v for k, v in written(tmp_path, text, **keys).items() if v is not None}
    with pytest.raises(InputError, match=said):
        of(**KG, events=[table])


def test_a_row_beyond_the_run_or_of_no_drug_is_named(tmp_path):
    table = written(tmp_path, "TIME,AMT,CMT,AGENT\n0,1,1,fc_opg\n1e5,1,1,fc_opg\n2,1,1,aspirin\n", agent=None)
    with pytest.raises(InputError) as caught:
        of(**KG, events=[{k: v for k, v in table.items() if v}])
    assert "events.csv, line 3: TIME puts the dose at" in str(caught.value)
    assert 'events.csv, line 4: AGENT = "aspirin" is not a known drug' in str(caught.value)


numbers = st.one_of(st.just("."), st.integers(0, 30).map(str), st.floats(0.1, 9).map(lambda x: f"{x:.3g}"))
rows = st.lists(
    st.tuples(
        numbers, numbers, numbers, st.sampled_from(["1", "2"]), numbers, st.sampled_from([".", "0", "2"])
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(rows)
def test_a_table_gives_all_that_its_rows_say_or_is_refused(tmp_path_factory, lines):
    """Times, amounts and rates, row by row, as the arithmetic of NONMEM has them."""
    path = tmp_path_factory.mktemp("events")
    text = "TIME,AMT,RATE,CMT,II,ADDL\n" + "".join(",".join(line) + "\n" for line in lines)
    table = written(path, text, amount_unit="mg/kg")
    want = []
    for line in lines:
        time, amount, rate, _, interval, more = (0.0 if c == "." else float(c) for c in line)
        if amount:
            want += [(time + i * interval, amount, rate) for i in range(int(more) + 1)]
    try:
        found = read_events(table.pop("file"), **table)
    except InputError:
        odd = [x for x in lines if x[1] in (".", "0") and (x[2] not in (".", "0") or x[5] == "2")]
        odd += [x for x in lines if x[5] == "2" and x[4] in (".", "0")]
        odd += [x for x in lines if x[0] == "."]
        assert odd or not want
        return
    assert [d.time * 24 for d in found] == pytest.approx([t for t, _, _ in want])
    assert [d.amount for d in found] == [a for _, a, _ in want]
    assert [d.duration * 24 for d in found] == pytest.approx([a / r if r else 0.0 for _, a, r in want])
