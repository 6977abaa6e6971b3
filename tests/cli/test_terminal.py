"""What a command says at a terminal: spans of time, JSON, quiet, completion, and the last words of what was
interrupted.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rdsolver.cli import completion, examples
from rdsolver.cli.main import app
from rdsolver.cli.sweep import _say_outcome
from rdsolver.cli.terminal_run import attended, not_begun, seconds
from rdsolver.errors import InputError, RunError
from rdsolver.models.base import Field, Series
from rdsolver.models.bone.components import every
from rdsolver.models.bone.parameters import parameters
from rdsolver.output.export import FORMATS
from rdsolver.output.reader import open_run
from rdsolver.output.writer import RunWriter
from rdsolver.runs.session import Session
from rdsolver.sweep.driver import SweepResult
from rdsolver.utils.reporting import Quiet, TerminalReporter, on_terminal
from rdsolver.utils.signals import Stop
from tests.support.drawn_runs import FLAT, write
from tests.support.sweep_files import BONE
from tests.support.sweeps import design, put_sweep


def rdsolver(*words: object):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(BONE)
    monkeypatch.setattr(sys, "argv", ["/bin/rdsolver", "run", "mine.toml", "--out", "a b"])
    return tmp_path


# --- spans of time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("8h", 8),
        ("8 h", 8),
        ("90min", 1.5),
        ("2 d", 48),
        ("08:00:00", 8),
        ("100:00:00", 100),
        ("30:00", 0.5),
        ("90:00", 1.5),
        ("2-00:00:00", 48),
        ("2-12", 60),
        ("2-12:30", 60.5),
        ("0-00:30:00", 0.5),
    ],
)
def test_a_span_is_read_as_people_and_schedulers_write_it(text, hours):
    assert seconds(text, "--walltime") == hours * 3600


@pytest.mark.parametrize(
    "text",
    ["8", "0.5", "1e3", "soon", "8 um", "1:75:00", "1:5", "2-24", "2-3:60", "-8h", "0h", "00:00:00", ""],
)
def test_any_other_is_refused_with_the_way_out(text):
    with pytest.raises(InputError) as caught:
        seconds(text, "--walltime")
    assert str(caught.value).startswith("--walltime = ")
    assert re.search(r"--walltime [\d.e]+(h|min)", str(caught.value))


def test_a_bare_number_names_both_readings(here):
    for words in (("run", "mine.toml"), ("resume", "mine.toml")):
        for option in ("--walltime", "--checkpoint"):
            done = rdsolver(*words, option, "8")
            assert done.exit_code == 2
            assert f"{option} 8h, or {option} 8min" in done.stderr


# --- JSON, and nothing else ---------------------------------------------------------------------------------


def test_info_as_json(here):
    write(Path("run.h5"))
    done = rdsolver("info", "run.h5", "--json", "--follow")
    found = json.loads(done.stdout)
    assert (found["title"], found["status"], found["section"]["cells"]) == (
        "a run",
        "finished",
        list(FLAT.shape),
    )
    assert found["provenance"]["warnings"] == ["a <b>low</b> value"]
    assert "finished" in done.stderr  # what --follow tells


def test_check_as_json(here):
    done = rdsolver("check", "mine.toml", "--json", "--set", "time.end=3")
    found = json.loads(done.stdout)
    assert (found["cells"], found["end_d"], found["parameters"]["rankl_loss"]) == ([16, 16], 3.0, 10.13)
    assert (found["units"]["rankl_loss"], found["saved_d"]) == ("1/d", [0, 1, 2, 3])
    assert found["memory_bytes"] > 16 * 16 * 4
    (warning,) = found["warnings"]
    assert done.stderr == f"warning   {warning}\n"
    assert {"section", "model", "memory"} <= {line["topic"] for line in found["lines"]}
    failed = rdsolver("check", "mine.toml", "--json", "--set", "time.end=-3 d")
    assert (failed.exit_code, failed.stdout) == (2, "")


def test_params_as_json(here):
    found = {row["name"]: row for row in json.loads(rdsolver("params", "--json").stdout)}
    rows = parameters(components=[part for part in every() if part.standard])
    assert list(found) == [p.name for p in rows]
    assert all(found[p.name] == {k: getattr(p, k) for k in found[p.name]} for p in rows)
    assert json.loads(rdsolver("params", "mine.toml", "--json").stdout)


def test_status_as_json(here):
    put_sweep(Path("out"), design(Path("of")), missing=("00", "01"))
    found = json.loads(rdsolver("sweep", "status", "out", "--json").stdout)
    told = {key: found[key] for key in ("runs", "finished", "failed", "driver")}
    assert told == {"runs": 12, "finished": 10, "failed": 0, "driver": None}
    assert found["wall_time"]["longest_s"] >= found["wall_time"]["mean_s"]


class Row:
    passed, study, expected, observed = False, "a study", "1", 2.0

    def as_json(self):
        return {"study": self.study}


def test_verify_prints_json_alone_and_quiet_says_what_was_missed(here, monkeypatch):
    from rdsolver.studies.verification import figures
    from rdsolver.studies.verification import run as verify

    monkeypatch.setattr(verify, "verify", lambda quick, tell: (tell(Row()), ([Row()], []))[1])
    monkeypatch.setattr(figures, "draw", lambda *_: ())
    done = rdsolver("verify", "--json", "-")
    assert json.loads(done.stdout) == [{"study": "a study"}]
    assert "MISS a study" in done.stderr
    rdsolver("verify", "--json", "t.json")
    assert json.loads(Path("t.json").read_text()) == [{"study": "a study"}]
    done = rdsolver("verify", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "missed: a study, expected 1, observed 2\n")


# --- quiet, and the line that tells where it stands ---------------------------------------------------------


def test_quiet_says_warnings_alone_on_stderr(capsys):
    with closing(on_terminal(quiet=True)) as reporter:
        assert isinstance(reporter, Quiet)
        reporter.say("section", "small")
        reporter.progress(1, 2, 1, 1, 1)
        reporter.working("runs", 0.5, 1)
        reporter.warn("odd")
    assert capsys.readouterr() == ("", "warning   odd\n")


def test_the_last_progress_line_has_its_own_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with closing(TerminalReporter(stream)) as reporter:
        reporter.working("runs", 0.5, 1)
    assert re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", stream.getvalue()).endswith("1 s left\n")
    reporter.close()
    reporter.say("", "more")
    assert stream.getvalue().count("\n") == 2


# --- interrupted --------------------------------------------------------------------------------------------


def of_rows(folder: Path, count: int):
    """A run that was stopped after so many rows of its series."""
    folder.mkdir(parents=True, exist_ok=True)
    fields, series = [Field("rankl", "nM", 1.0, "RANKL")], [Series("ntx", "1", "NTX")]
    with RunWriter(
        folder / "run.h5", FLAT, fields, series, active=np.ones(FLAT.shape, bool), overwrite=True
    ) as writer:
        times = list(map(float, range(count)))
        writer.append_series({"time": times, "ntx": times})
        writer.finish("stopped", "stopped by SIGINT")
    return open_run(folder / "run.h5")


def interrupted(folder: Path, rows: int, capsys, goes_on: bool = False, **more: object) -> list[str]:
    def go(reporter, stop):
        reporter.progress(0, 1, 1, 1, 1)
        os.kill(os.getpid(), signal.SIGINT)
        return of_rows(folder, rows)

    with pytest.raises(typer.Exit) as left:
        attended(folder, go, goes_on, **more)
    assert left.value.exit_code == 130
    return capsys.readouterr().out.splitlines()


def test_a_run_without_a_step_leaves_nothing_in_the_way(here, capsys):
    said = interrupted(Path("a b"), 1, capsys)
    assert (
        said[-1].strip()
        == "nothing was computed, and no run is left; start it with: rdsolver run mine.toml --out 'a b'"
    )
    assert not Path("a b/run.h5").exists()


def test_a_run_with_steps_stays_and_the_others_are_told_of(here, capsys):
    said = interrupted(Path("a b"), 3, capsys, left=[Path("c"), Path("d")])
    assert (
        said[-1].strip()
        == "2 more runs were not started; run all with: rdsolver run mine.toml --out 'a b' --resume-if-exists"
    )
    assert Path("a b/run.h5").exists()
    interrupted(Path("a b"), 1, capsys, goes_on=True)
    assert Path("a b/run.h5").exists()


def test_an_error_ends_the_line_before_it(here, capsys):
    def go(reporter, stop):
        reporter.progress(0, 1, 1, 1, 1)
        raise RunError("the disk is full")

    with pytest.raises(RunError):
        attended(Path("a"), go, False)


def stopped(tmp_path: Path, steps: int, fresh: bool) -> tuple[list[str], bool]:
    """The last words of a run whose step under way takes too long, and whether its file is still there."""
    said: list[str] = []
    path = tmp_path / "a b" / "run.h5"
    of_rows(path.parent, 1).close()
    running = Session.__new__(Session)
    running.reporter = SimpleNamespace(say=lambda topic, text: said.append(f"{topic} {text}".strip()))  # pyright: ignore
    running.fresh, running.steps, running._over, running.latest = fresh, steps, False, None
    running._lock, running.thread = threading.Lock(), SimpleNamespace(wait=lambda: None)  # pyright: ignore
    running.writer = SimpleNamespace(path=path, close=lambda: None)  # pyright: ignore
    stop = Stop()
    stop.begins = "rdsolver run mine.toml"
    running.limits = SimpleNamespace(stop=stop)  # pyright: ignore
    running._leave("SIGTERM")
    return said, path.exists()


def test_the_last_words_of_a_run_that_is_still_compiled(tmp_path):
    said, there = stopped(tmp_path, 0, fresh=True)
    assert said == [
        "stopped by SIGTERM before the first step",
        "nothing was computed, and no run is left; start it with: rdsolver run mine.toml",
    ]
    assert not there


def test_interrupted_while_the_input_is_read(here, capsys):
    with pytest.raises(typer.Exit) as left, not_begun():
        raise KeyboardInterrupt
    assert left.value.exit_code == 130
    assert (
        capsys.readouterr().err
        == "Interrupted: nothing was started. Start it with: rdsolver run mine.toml --out 'a b'\n"
    )


def test_the_last_line_of_a_sweep_says_what_to_type(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["rdsolver", "sweep", "s.toml", "--set", "title=a b"])
    made, command = design(Path("of")), "rdsolver sweep s.toml --set 'title=a b'"
    good, bad = {"status": "finished"}, {"status": "failed", "error": "no luck"}
    for outcome, last in (
        (SweepResult({0: good}, 0), "Look at it with: rdsolver plot 'a sweep'"),
        (SweepResult({0: good, 1: bad}, 0), f"Rerun failed runs with: {command} --rerun-failed"),
        (
            SweepResult({0: good}, 11, "stopped by SIGINT", 2),
            f"stopped by SIGINT; 11 runs are left. Continue with: {command}",
        ),
        (
            SweepResult({1: bad}, 11, "too many"),
            f"Continue with a higher --max-failures, or with: {command} --rerun-failed",
        ),
    ):
        _say_outcome(outcome, made, Path("a sweep"), quiet=False)
        assert capsys.readouterr().out.splitlines()[-1].endswith(last)
    _say_outcome(SweepResult({1: bad}, 0), made, Path("a sweep"), quiet=True)
    assert capsys.readouterr() == ("", "failed    01: no luck\n")


# --- examples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", examples.named())
def test_an_example_is_copied_with_all_that_it_needs_and_runs_as_it_is(here, name):
    from rdsolver import load_config
    from rdsolver.sweep.design import load

    done = rdsolver("example", name, "--copy", "new/a b")
    first, *others, last = done.stdout.splitlines()
    assert (done.exit_code, last.split()[:5]) == (
        0,
        ["Run", "it", "with:", "rdsolver", "sweep" if "/" in name else "run"],
    )
    if "/" in name:
        assert len(load(first)) > 1
    else:
        config = load_config(first, allow_python=True)
        assert not others or config.problem().grid.cells > 1000  # with its scan or its model
    assert rdsolver("example", name, "--copy", "new/a b").exit_code == 0  # the same files may be there
    Path(first).write_text("mine")
    done = rdsolver("example", name, "--copy", "new/a b")
    assert (done.exit_code, Path(first).read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert rdsolver("example", name, "--copy", "new/a b", "--force").exit_code == 0
    assert Path(first).read_bytes() == examples.find(name).read_bytes()


# --- completion ---------------------------------------------------------------------------------------------


def test_the_shell_completes_names_without_the_heavy_packages():
    heavy = "[m for m in ('jax', 'numpy', 'scipy', 'pint', 'matplotlib', 'h5py') if m in sys.modules]"
    code = (
        "import sys\nfrom rdsolver.cli.main import main\nsys.argv = ['rdsolver']\ntry: main()\nexcept"
        f" SystemExit: print({heavy})"
    )
    for typed, offered in (
        ("rdsolver example rank_fc", ["rank_fc_section_2d"]),
        ("rdsolver plot x --kind ban", ["bands"]),
        ("rdsolver params --agent de", ["denosumab"]),
        ("rdsolver params --preset mo", ["mouse"]),
    ):
        asked = {
            "_RDSOLVER_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked
        )
        assert ran.stdout.split()[: len(offered)] == offered, ran
        assert ran.stdout.splitlines()[-1] == "[]"


def test_what_is_offered_is_what_is_taken():
    assert completion.formats("") == list(FORMATS)
    assert completion.examples("") == list(examples.named())
