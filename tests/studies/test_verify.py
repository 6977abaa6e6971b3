"""The verification studies: the quick set passes, a miss is a miss, and what they check would be noticed."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver.cli.main import app
from rdsolver.errors import RunError
from rdsolver.models import lemaire
from rdsolver.parallel import device
from rdsolver.studies.verification import drift, exact, space
from rdsolver.studies.verification import run as verify
from rdsolver.studies.verification.results import at_least, at_most, order

pytestmark = pytest.mark.long


def run_verify(folder, *arguments):
    target = folder / "rows.json"
    result = CliRunner().invoke(
        app, ["verify", "--json", str(target), "--figures", str(folder / "figures"), *arguments]
    )
    return result, json.loads(target.read_text()) if target.exists() else None


def test_the_quick_set_passes(tmp_path):
    result, rows = run_verify(tmp_path, "--quick")
    assert not [row for row in rows if not row["pass"]]
    assert result.exit_code == 0
    assert {row["study"].split(":")[0] for row in rows} == {"space", "drift", "time", "exact", "invariants"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "space.png",
        "time_order.png",
        "time_tolerance.png",
        "exact.png",
    }
    assert rows[0]["study"] in result.output


@pytest.mark.slow
def test_the_full_set_passes(tmp_path):
    result, rows = run_verify(tmp_path)
    assert not [row for row in rows if not row["pass"]]
    assert result.exit_code == 0


def test_a_miss_leaves_with_status_1(tmp_path, monkeypatch):
    def study(quick):
        yield at_most("exact: one", 1.0, 2.0)
        yield at_least("exact: two", 1.0, np.float64(3.0))
        raise RunError("the step fell to nothing.")

    monkeypatch.setattr(verify, "STUDIES", (study,))
    result, rows = run_verify(tmp_path)
    assert result.exit_code == 1
    assert rows[:2] == [
        {"study": "exact: one", "expected": "<= 1", "observed": 2.0, "pass": False},
        {"study": "exact: two", "expected": ">= 1", "observed": 3.0, "pass": True},
    ]
    assert "the step fell to nothing" in rows[2]["study"]
    assert (rows[2]["observed"], rows[2]["pass"]) == (None, False)
    assert "2 missed" in result.output
    assert not (tmp_path / "figures" / "space.png").exists()


def test_what_is_optional_and_not_there_is_said_and_fails_nothing(tmp_path, monkeypatch):
    for name in ("bone_models", "bone_models.models", "bone_models.models.lemaire_model"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(
        verify, "STUDIES", (exact.lemaire_2004, lambda quick: iter([at_most("exact: one", 1.0, 0.5)]))
    )
    monkeypatch.chdir(tmp_path)
    result, rows = run_verify(tmp_path)
    assert result.exit_code == 0
    assert "which is not installed. Install it" in rows[0]["study"]
    assert (rows[0]["expected"], rows[0]["observed"], rows[0]["pass"]) == ("not run", None, None)
    assert "1 studies in 0 s: all as expected, 1 not run" in result.output


def test_figures_are_drawn_only_where_asked_and_a_folder_that_cannot_be_is_said_first(tmp_path, monkeypatch):
    drawn, study = [], lambda quick: iter([at_most("exact: one", 1.0, 0.5)])
    monkeypatch.setattr(verify, "STUDIES", (study,))
    monkeypatch.setattr(
        "rdsolver.studies.verification.figures.draw", lambda curves, folder: drawn.append(folder) or []
    )
    assert CliRunner().invoke(app, ["verify"]).exit_code == 0
    assert drawn == []
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["verify", "--figures", str(tmp_path / "file")])
    assert (result.exit_code, "cannot be written" in result.output, "study" in result.output) == (
        2,
        True,
        False,
    )


@pytest.fixture
def fresh():
    """Nothing that was compiled before or with a broken part is used again."""
    jax.clear_caches()
    with device.on("cpu"):
        yield
    jax.clear_caches()


def space_order(kind):
    case = space.Manufactured(kind, 2, (1.0, 1.0), 10.0)
    return order([1 / 24, 1 / 48], [case.error(n) for n in (24, 48)])


@pytest.mark.parametrize("kind", ["value", "exchange", "value on a mask"])
def test_a_border_half_a_cell_off_is_noticed(kind, fresh, monkeypatch):
    from rdsolver.timestepping import system

    right = system.exchange
    assert space_order(kind) > 1.9
    monkeypatch.setattr(system, "exchange", lambda edges, d, m, spacing: right(edges, 2 * d, m, spacing))
    jax.clear_caches()
    assert space_order(kind) < 1.5


def test_a_central_flux_is_noticed(fresh, monkeypatch):
    def central(u, v, wrap):
        from rdsolver.operators.faces import gain, lower, upper

        return -sum(gain(v[a] * (lower(u, a, wrap) + upper(u, a, wrap)) / 2, a, wrap) for a in range(u.ndim))

    monkeypatch.setattr(drift, "drift", central)
    monkeypatch.setattr(drift, "fitted", lambda c, v: c)
    assert not any(row.passed for row in drift.fluxes(True))


def test_random_flows_have_no_divergence():
    for grid in drift.GRIDS:
        flow = drift.swirl(grid, np.random.default_rng(1))
        out = sum(np.diff(v, axis=a, prepend=0) for a, v in enumerate(flow))
        assert np.abs(out).max() < 1e-14 * max(np.abs(v).max() for v in flow) * 10
        assert all(np.abs(v).max() > 1 for v in flow)
        assert all(np.abs(np.take(v, -1, axis=a)).max() == 0 for a, v in enumerate(flow))


def test_the_published_steady_state_of_lemaire_2004_is_steady():
    """Moved by less than its own rounding, half a unit of the fourth digit, in a day."""
    with jax.enable_x64(True):
        u = {k: jnp.asarray(v) for k, v in lemaire.UNTREATED.items()}
        p = {k: jnp.asarray(v) for k, v in lemaire.values().items()}
        slopes = lemaire.LEMAIRE.rates(u, p, {})
        assert all(abs(float(slopes[k])) < 5e-8 for k in u)
        treated = lemaire.LEMAIRE.rates(u, p | {"rankl_infusion": jnp.asarray(1e4)}, {})
        assert float(treated["osteoclasts"]) > 1e-4
        calmed = lemaire.LEMAIRE.rates(u, p | {"opg_infusion": jnp.asarray(9e4)}, {})
        assert float(calmed["osteoclasts"]) < 0
