"""Which targets each parameter moves: that the list is whole, and what counts as moved."""

from __future__ import annotations

from dataclasses import replace

from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.components import every
from rdsolver.models.bone.influence import moves
from rdsolver.models.bone.parameters import parameters
from rdsolver.studies.validation import influence
from rdsolver.studies.validation.influence import AGENTS, RISE, STUDIES, Raised, moved
from rdsolver.studies.validation.scenes import Scene, SceneRunner
from rdsolver.studies.validation.target import Target


def test_every_parameter_is_in_the_list_with_targets_that_exist():
    names = [p.name for p in parameters(tuple(map(drug, AGENTS)), every())]
    assert list(moves()) == names
    known = [study.__name__.upper() for study in STUDIES]
    assert all(set(found) <= set(known) for found in moves().values())


def test_what_was_tuned_on_a_target_moves_it():
    for name, target in (
        ("denosumab_K_eff", "T17"),
        ("young_osteocyte_opg_share", "T19"),
        ("fc_opg_K_eff", "T4"),
        ("turnover_speed", "T18"),
        ("differentiation_most", "T12"),
        ("osteocyte_rankl_share", "T21"),
    ):
        assert target in moves()[name], name
    assert moves()["rank_fc_molar_mass"] == moves()["trail_K"] == []


def test_a_figure_moves_by_a_share_of_its_band():
    row = Target("T1", "it", "", 10.0, 0.0, 20.0, "%", "property")
    one_sided, report = (
        replace(row, what="b", high=None, low=8.0),
        replace(row, what="c", low=None, high=None),
    )
    before = {t.what: t for t in (row, one_sided, report)}

    def after(by: float) -> set[str]:
        return {*moved(before, {what: replace(t, ours=t.ours + by, name="T") for what, t in before.items()})}

    assert after(0.3) == set()
    assert after(0.5) == {"T1"}
    assert [*moved({"c": report}, {"c": replace(report, ours=90.0)})] == []


def test_one_parameter_is_raised_where_a_run_has_it_and_each_config_is_run_once(monkeypatch):
    seen = []
    monkeypatch.setattr(influence, "here", lambda tables: seen.append(tables))
    run_scene = SceneRunner(True, 1, Raised("turnover_speed", {}), size=640.0)
    for _ in range(2):
        run_scene(Scene(1.0))
    (tables,) = seen
    assert tables["model"]["parameters"] == {"turnover_speed": RISE * 0.027}
    SceneRunner(True, 1, Raised("fc_opg_K_eff", {}), size=640.0)(Scene(1.0))
    assert seen[-1]["model"]["parameters"] == {}
