"""The command line: what it prints, the status it leaves with, and what it leaves on disk."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rdsolver import __version__, open_run
from rdsolver.cli.main import app
from rdsolver.models.bone.parameters import parameters
from rdsolver.utils.reporting import (
    LoggingReporter,
    LogReporter,
    Tee,
    TerminalReporter,
    progress_line,
)
from tests.support.places import CONFIGS

SMALL = """
title = "small"
[section]
kind = "slab"
size = ["320 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
[time]
end = "1 d"
save = "0.5 d"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(SMALL)
    return tmp_path


def rdsolver(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_help_comes_without_the_heavy_packages():
    heavy = (
        "[m for m in ('jax', 'numpy', 'scipy', 'pydantic', 'pint', 'matplotlib', 'h5py') if m in sys.modules]"
    )
    code = (
        "import sys\nfrom rdsolver.cli.main import main\nsys.argv = ['rdsolver', '--help']\ntry:"
        f" main()\nexcept SystemExit: print({heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "check" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_config_is_checked_without_jax():
    path = str(CONFIGS / "rank_fc_section_2d.toml")
    code = (
        f"import sys\nfrom rdsolver import load_config\nload_config({path!r}).problem()\nprint('jax' in"
        " sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )


def test_version():
    assert __version__ in rdsolver("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nope.toml"], ["nope.toml", "no such file"]),
        (["run", "mine.toml", "--set", "section.spcing=1"], ["mine.toml", "section.spcing", "spacing"]),
        (["run", "mine.toml", "--set", "time.end=-1 d"], ["mine.toml", "time.end", "-1 d", "above 0"]),
        (["run", "mine.toml", "--precision", "half"], ["mine.toml", "half", "float32"]),
        (["run", "mine.toml", "--device", "tpu"], ["tpu", "cpu", "gpu"]),
        (["run", "mine.toml", "--walltime", "soon"], ["--walltime", "soon", "8h"]),
        (["run", "mine.toml", "--walltime", "0 h"], ["--walltime", "above 0"]),
        (["run", "mine.toml", "mine.toml"], ["mine", "one folder"]),
        (["run", "mine.toml", "nope.toml"], ["nope.toml", "no such file"]),
        (["run"], ["CONFIG"]),
        (["run", "mine.toml", "--fast"], ["--fast"]),
        (["check", "nope.toml"], ["nope.toml", "no such file"]),
        (["params", "--preset", "cat"], ["cat", "human", "mouse", "rat"]),
        (["params", "--agent", "aspirin"], ["aspirin", "rank_fc"]),
        (["example", "nothing"], ["nothing", "rank_fc_section_2d"]),
        (["info", "nowhere.h5"], ["nowhere.h5"]),
        (["plot", "nowhere.h5"], ["nowhere.h5"]),
    ],
)
def test_bad_input_leaves_status_2_one_paragraph_and_nothing_on_disk(folder, arguments, said):
    done = rdsolver(*arguments)
    assert done.exit_code == 2
    for part in said:
        assert part in done.stderr
    assert "Traceback" not in done.output
    assert sorted(p.name for p in folder.iterdir()) == ["mine.toml"]


def test_check_says_what_was_understood_and_writes_nothing(folder):
    done = rdsolver(
        "check",
        "mine.toml",
        "--set",
        "model.parameters.rankl_loss=5 /d",
        "--set",
        "model.parameters.opg_kon=1e6",
    )
    assert done.exit_code == 0, done.stderr
    for part in ("slab", "16 x 16", "tr-bdf2", "rankl_loss = 5 1/d", "warning", "3 saved times"):
        assert part in done.stdout
    assert sorted(p.name for p in folder.iterdir()) == ["mine.toml"]


def test_schema_is_json():
    assert "properties" in json.loads(rdsolver("schema").stdout)


def test_params_shows_every_parameter_with_its_source():
    table = rdsolver("params", "--markdown", "--agent", "rank_fc", "--preset", "mouse").stdout
    assert all(f"| {row.name} |" in table and row.source in table for row in parameters())
    assert "| rank_fc_clearance |" in table
    assert "| turnover_speed | 0.65 |" in table
    assert "rankl_loss" in rdsolver("params").stdout


def test_examples_are_listed_and_printed_as_they_are():
    listed = rdsolver("example").stdout
    for path in CONFIGS.glob("*.toml"):
        assert path.stem in listed
        assert rdsolver("example", path.stem).stdout == path.read_text()


def test_a_run_from_its_config_to_its_figure(folder):
    done = rdsolver("run", "mine.toml", "--walltime", "1 h")
    assert done.exit_code == 0, done.output
    out = folder / "outputs" / "mine"
    assert {p.name for p in out.iterdir()} == {"run.h5", "run.log", "overview.png"}
    with open_run(out / "run.h5") as run:
        assert run.status == "finished"
        assert run.config["title"] == "small"
    assert "baseline" in (out / "run.log").read_text()
    assert str(Path("outputs/mine/overview.png")) in done.stdout
    before = (out / "run.h5").read_bytes()
    again = rdsolver("run", "mine.toml")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert (out / "run.h5").read_bytes() == before
    assert "finished" in rdsolver("info", str(out)).stdout
    assert (rdsolver("plot", str(out), "--out", "again.svg").exit_code, (folder / "again.svg").exists()) == (
        0,
        True,
    )


# --- how a run talks ----------------------------------------------------------------------------------------


def test_the_progress_line():
    assert (
        progress_line(37.2, 60, 1.3, 160, 2.0)
        == "37.2 of 60 d  ======>----  62 %  step 1.3 d  80 solves/s  1 s left"
    )
    assert progress_line(0.0, 60, 0.02, 0, 0.0) == "0 of 60 d  >----------  0 %  step 0.02 d"
    assert "100 %" in progress_line(60, 60, 1, 9, 1)
    assert progress_line(1, 100, 1, 9, 600).endswith("16.5 h left")


ERASE = "\x1b[2K"
STEERING = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_pipe_lines_are_plain_and_progress_is_rare():
    stream = io.StringIO()
    reporter = TerminalReporter(stream)
    reporter.say("section", "a [red] path/with/1")
    for i in range(1, 1001):
        reporter.progress(i / 10, 100, 1, i, i / 10)  # a hundred seconds
    reporter.say("done", "100 d")
    reporter.say("", "more")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "section   a [red] path/with/1"
    assert lines[-2:] == ["done      100 d", "          more"]
    assert 3 < len(lines) < 15
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_progress_is_overwritten(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    reporter = TerminalReporter(stream)
    reporter.progress(1, 10, 1, 1, 1)
    reporter.progress(2, 10, 1, 2, 2)
    reporter.say("done", "10 d")
    drawn = stream.getvalue().split(ERASE)
    assert "1 of 10 d" in drawn[0]
    assert "2 of 10 d" in "".join(drawn[1:-1])
    assert STEERING.sub("", drawn[-1]) == "done      10 d\n"


def test_a_python_caller_who_configures_logging_hears_what_the_terminal_shows(caplog):
    stream = io.StringIO()
    with caplog.at_level("INFO", "rdsolver"):
        for reporter in (TerminalReporter(stream), LoggingReporter()):
            reporter.say("section", "small")
            reporter.progress(5, 10, 1, 20, 20)
            reporter.warn("odd")
    assert caplog.messages == [*stream.getvalue().splitlines()[:2], "odd"]
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]


def test_a_log_starts_with_its_run_and_holds_all(tmp_path):
    path = tmp_path / "run" / "run.log"
    log = LogReporter(path)
    reporter = Tee(log, TerminalReporter(io.StringIO()))
    reporter.say("section", "small")
    assert not path.parent.exists()
    path.parent.mkdir()
    reporter.warn("odd")
    assert not path.exists()
    (path.parent / "run.h5").touch()
    reporter.say("output", "run.h5")
    log.close()
    first, second, _ = path.read_text().splitlines()
    assert first.endswith("section   small")
    assert second.endswith("warning   odd")
    assert first.startswith("20")


def test_a_reader_that_goes_away_does_not_stop_the_run():
    code = (
        "from rdsolver.utils.reporting import TerminalReporter\nimport sys\nr = TerminalReporter()\n"
        "for i in range(20000): r.say('line', 'x' * 50)\nprint('went on', file=sys.stderr)"
    )
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(write)
        os.read(read, 10)
        os.close(read)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "went on\n")
