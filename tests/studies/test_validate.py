"""The targets of the model as a command prints them; the runs behind them are those of test_targets and
test_tumour.
"""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver.cli.main import app
from rdsolver.models.bone.parameters import parameters
from rdsolver.studies.validation import run as validate
from rdsolver.studies.validation.drugs import t11
from rdsolver.studies.validation.page import as_html
from rdsolver.studies.validation.run import as_json, line, tuning
from rdsolver.studies.validation.scope import AFFINITIES
from rdsolver.studies.validation.target import Target, largest_rise, least_fall
from rdsolver.studies.verification.results import Curve


def target(ours, low=None, high=None):
    return Target("T9", "a lesion", "none <known>", ours, low, high, "%", "prediction")


@pytest.mark.parametrize(
    ("ours", "low", "high", "passed", "band"),
    [
        (1.0, 0.0, 2.0, True, "0 to 2"),
        (3.0, 0.0, 2.0, False, "0 to 2"),
        (-1.0, 0.0, None, False, ">= 0"),
        (1.0, None, 0.5, False, "<= 0.5"),
        (1.0, None, None, True, "report"),
        (float("nan"), None, None, False, "report"),
    ],
)
def test_a_target_is_met_within_its_band_alone(ours, low, high, passed, band):
    found = target(ours, low, high)
    assert (found.passed, found.band) == (passed, band)
    verdict = "MISS" if not passed else "report" if band == "report" else "ok"
    assert found.verdict == verdict
    assert line(found).startswith("T9")
    assert as_json(found)["pass"] is (None if verdict == "report" else passed)
    assert ('class="miss"' in as_html([found])) is not passed
    assert "&lt;known&gt;" in as_html([found])


def test_every_target_has_a_study():
    assert [s.__name__ for s in validate.STUDIES][:16] == [f"t{n}" for n in range(16)]


def test_what_was_tuned_is_listed_once_a_target():
    first, second = (
        Target("T2", "x", "", 1.0, 0.0, None, "%", "calibration", tuned) for tuned in (("a", "b"), ("b",))
    )
    assert tuning([first, second, target(1.0)]) == ["T2: a, b"]
    assert as_json(first)["tuned"] == ["a", "b"]
    assert "T2: a, b" in as_html([first])


def test_rises_and_falls():
    assert largest_rise([2.0, 1.0, 1.5]) == pytest.approx(25)
    assert least_fall([2.0, 1.0, 0.8]) == pytest.approx(25)
    assert largest_rise([3.0, 2.0, 1.0]) < 0 < least_fall([3.0, 2.0, 1.0])


def test_the_page_holds_a_figure_a_panel():
    dose, time = (
        Curve(panel, "one", np.arange(n), np.ones(n))
        for panel, n in (("T7: mg/kg (x), lesion", 4), ("T3: days (x), NTX", 40))
    )
    page = as_html([target(1.0)], [dose, time, dose])
    assert page.count("data:image/png;base64,") == 2
    assert 'alt="T7: mg/kg (x), lesion"' in page


def test_affinities_keep_what_the_decoy_takes_at_baseline():
    """O0/K_O = 2 in every set: OPG's production goes with its constant."""
    ours = {p.name: p.value for p in parameters()}
    ratios = [
        (ours | constants)["opg_production"] / (ours | constants)["opg_K_eff"]
        for constants in AFFINITIES.values()
    ]
    assert ratios == pytest.approx([80.0] * 3)
    assert (ours | AFFINITIES["OPG tighter"])["rank_K"] == pytest.approx(500 * ours["opg_K_eff"])


def test_the_command_prints_targets_and_fails_on_a_miss(tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "STUDIES", (t11,))
    files = ["--json", str(tmp_path / "t.json"), "--html", str(tmp_path / "t.html")]
    found = CliRunner().invoke(app, ["validate", "--quick", *files])
    assert found.exit_code == 0
    assert "3 figures with a band: all within them; 0 more are reported" in found.stdout
    rows = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert {"target", "published", "ours", "band", "kind", "pass"} <= rows[0].keys()
    monkeypatch.setattr(validate, "STUDIES", (lambda run_scene: iter([target(3.0, 0.0, 2.0)]),))
    assert CliRunner().invoke(app, ["validate", "--quick"]).exit_code == 1
