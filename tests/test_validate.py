"""The targets of the model as a command prints them; the runs behind them are those of test_targets and test_tumour."""

import json

import pytest
from typer.testing import CliRunner

from rdsolver.cli import app
from rdsolver.studies import targets, validate
from rdsolver.studies.targets import Target, t11
from rdsolver.studies.validate import as_html, as_json, line


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
    assert line(found).startswith("ok" if passed else "MISS")
    assert as_json(found)["pass"] is passed
    assert ("miss" in as_html([found]).split("</style>")[1]) is not passed
    assert "&lt;known&gt;" in as_html([found])


def test_every_target_has_a_study():
    assert [s.__name__ for s in targets.STUDIES] == [f"t{n}" for n in range(16)]


def test_the_command_prints_targets_and_fails_on_a_miss(tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "STUDIES", (t11,))
    files = ["--json", str(tmp_path / "t.json"), "--html", str(tmp_path / "t.html")]
    found = CliRunner().invoke(app, ["validate", "--quick", *files])
    assert found.exit_code == 0
    assert "3 figures: all within their bands" in found.stdout
    rows = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert {"target", "published", "ours", "band", "kind", "pass"} <= rows[0].keys()
    monkeypatch.setattr(validate, "STUDIES", (lambda stage: iter([target(3.0, 0.0, 2.0)]),))
    assert CliRunner().invoke(app, ["validate", "--quick"]).exit_code == 1
