"""What README.md and docs/ say, held against the code: links, commands, configs, and the table of parameters.

`python tests/test_docs.py` updates the tables of parameters in docs/model.md and of integrators in
docs/numerics.md, and the targets in docs/validation.md from benchmarks/results/validate_full.json.
"""

import ast
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import rdsolver
from rdsolver import load_config
from rdsolver.cli.main import app
from rdsolver.errors import InputError, RunError
from rdsolver.models.bone.binders import LABELS, OPG, binder_parameters, drug
from rdsolver.models.bone.components import every
from rdsolver.models.bone.matrix import EDGE
from rdsolver.models.bone.model import BoneModel
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.tissue import TISSUES, TissueModel
from rdsolver.studies import gallery
from rdsolver.timestepping.registry import INTEGRATORS
from tests.support.places import ROOT

README, MODEL = ROOT / "README.md", ROOT / "docs" / "model.md"
COMMANDS_PAGE, CONFIGS_PAGE = ROOT / "docs" / "commands.md", ROOT / "docs" / "configs.md"
TYPED = [README, COMMANDS_PAGE, CONFIGS_PAGE, ROOT / "docs" / "figures.md", ROOT / "docs" / "batches.md"]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
VALIDATION, TARGETS = ROOT / "docs" / "validation.md", ROOT / "benchmarks" / "results" / "validate_full.json"
NUMERICS = ROOT / "docs" / "numerics.md"
LISTED = re.compile(r"(?<=<!-- integrators -->\n).*?(?=<!-- /integrators -->)", re.DOTALL)
MET = re.compile(r"(?<=<!-- targets -->\n).*?(?=<!-- /targets -->)", re.DOTALL)
TABLE = re.compile(r"(?<=<!-- parameters -->\n).*?(?=<!-- /parameters -->)", re.DOTALL)
AGENTS = ("rank_fc", "fc_opg", "native_opg", "denosumab", "soluble_rank")
TABLE_COMMAND = [
    "params",
    "--markdown",
    *(word for a in AGENTS for word in ("--agent", a)),
    "--tumour",
    "metastasis",
    "--bisphosphonate",
    "--membrane",
    *(word for c in ("mineral", "osteocyte_opg", "osteomorphs") for word in ("--component", c)),
]

DRUGS = tuple(map(drug, AGENTS))
ROWS = parameters(DRUGS, every())
COMMANDS = typer.main.get_command(app).commands


def table() -> str:
    return CliRunner().invoke(app, TABLE_COMMAND).stdout


def integrators() -> str:
    """The table of docs/numerics.md."""
    lines = ["| `integrator` | what it is | where |", "|---|---|---|"]
    lines += [
        f"| `{i.name}` | {i.what} | {'a user model in a whole box' if i.exponential else 'anywhere'} |"
        for i in INTEGRATORS.values()
    ]
    return "".join(f"{line}\n" for line in lines)


def targets() -> str:
    """The table of docs/validation.md."""
    rows = json.loads(TARGETS.read_text(encoding="utf-8"))
    judged = [row for row in rows if row["band"] != "report"]
    missed = [row["target"] for row in judged if not row["pass"]]
    verdict = f"missed: {'; '.join(missed)}" if missed else "none is missed"
    lines = [
        (
            f"{len(judged)} figures have a band, {verdict}. {len(rows) - len(judged)} more are reported"
            " without one."
        ),
        "",
    ]
    lines += ["| | target | ours | band | kind | published |", "|---|---|---|---|---|---|"]
    for row in rows:
        met = "report" if row["band"] == "report" else "ok" if row["pass"] else "**miss**"
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        lines.append(
            f"| {met} | {row['target']} | {row['ours']:.4g}{unit} | {row['band']} | {row['kind']} |"
            f" {row['published']} |"
        )
    return "\n".join(lines) + "\n"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def command_lines(*pages: Path) -> list[list[str]]:
    """The words of every `rdsolver ...` in a shell block of the pages, continued lines joined, comments
    dropped.
    """
    text = "".join(block for page in pages for block in blocks(page, "sh"))
    words = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [w[1:] for w in words if w and w[0] == "rdsolver"]


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# --- the model ----------------------------------------------------------------------------------------------


def test_the_table_of_parameters_is_the_present_one():
    found = TABLE.search(MODEL.read_text(encoding="utf-8"))
    assert found, "docs/model.md has lost its markers <!-- parameters --> and <!-- /parameters -->"
    assert found[0] == table(), "the table in docs/model.md is out of date: run python tests/test_docs.py"


def test_the_table_of_targets_is_that_of_the_last_full_run():
    found = MET.search(VALIDATION.read_text(encoding="utf-8"))
    assert found, "docs/validation.md has lost its markers <!-- targets --> and <!-- /targets -->"
    assert found[0] == targets(), (
        "the table in docs/validation.md is out of date: run python tests/test_docs.py"
    )


def test_the_table_of_integrators_says_what_the_registry_says():
    """A new integrator may wait for its row; none may be wrong."""
    found = LISTED.search(NUMERICS.read_text(encoding="utf-8"))
    assert found, "docs/numerics.md has lost its markers <!-- integrators --> and <!-- /integrators -->"
    assert set(found[0].splitlines()) <= set(integrators().splitlines()), (
        "the table in docs/numerics.md is out of date: run python tests/test_docs.py"
    )
    assert "tr-bdf2" in found[0]


def test_every_parameter_symbol_field_and_observable_is_described():
    text = MODEL.read_text(encoding="utf-8")
    prose = TABLE.sub("", text)
    assert set(LABELS) == set(AGENTS)
    assert [p.name for p in ROWS if not re.search(rf"\b{p.name}\b", text)] == []
    of_binders = {p.name for b in (OPG, *DRUGS) for p in binder_parameters(b)}
    assert [p.name for p in ROWS if p.name not in of_binders and f"`{p.name}`" not in prose] == []
    assert sorted({p.symbol for p in ROWS if p.symbol and f"`{p.symbol}`" not in prose}) == []
    model, values = BoneModel(DRUGS[:1], every()), {p.name: p.value for p in ROWS}
    assert [f.name for f in model.fields(values) if f"`{f.name}`" not in prose] == []
    assert [s.name for s in model.series if f"`{s.name.replace(AGENTS[0], '<drug>')}`" not in prose] == []


def test_tissues_beyond_bone_are_described():
    text = MODEL.read_text(encoding="utf-8")
    of_bone = {p.name for p in parameters()}
    for p in parameters(tissue="artery"):
        if p.name not in of_bone:
            symbol = f"`{p.symbol}`" if p.symbol else "q"
            values = " | ".join(f"{p.default(name):g}" for name in TISSUES)
            assert f"| `{p.name}` | {symbol} | {values} | {p.unit} |" in text
    model = TissueModel((), tissue="artery")
    assert [
        f.name
        for f in model.fields({p.name: p.value for p in parameters(tissue="artery")})
        if f"`{f.name}`" not in text
    ] == []
    assert [s.name for s in model.series if f"`{s.name}`" not in text] == []


def test_numbers_in_the_equations_are_the_defaults():
    text, values = MODEL.read_text(encoding="utf-8"), {p.name: p.value for p in ROWS}
    named = {
        "S_ref": "surface_reference",
        "cut": "surface_cutoff",
        "mob": "bone_mobility",
        "hind": "bone_hindrance",
    }
    for symbol, name in named.items():
        found = re.search(rf"\b{symbol} = ([\d.e-]+)", text)
        assert found, symbol
        assert float(found[1]) == values[name], symbol
    assert f"sigma ({values['smoothing_length']:g} um)" in text
    assert f"min(1, b/{EDGE})" in text


# --- links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    dead = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


# --- what the README tells a reader to type -----------------------------------------------------------------


def test_commands_and_their_options_exist():
    shown = {words[0] for words in command_lines(COMMANDS_PAGE)}
    assert shown == set(COMMANDS), "docs/commands.md shows every command"
    table = COMMANDS_PAGE.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"^\| `rdsolver {name}\b", table, re.MULTILINE)] == []
    for words in command_lines(*TYPED):
        if words[0].startswith("-"):
            continue
        command = COMMANDS[words[0]]
        within = getattr(command, "commands", {})
        # rdsolver sweep FILE is rdsolver sweep run FILE
        command = within.get(words[1], within["run"]) if within else command
        known = {flag for p in command.params for flag in p.opts} | {"--help"}
        assert {w for w in words[1:] if w.startswith("--")} <= known, words


def test_configs_exist_and_take_the_overrides_shown():
    for words in command_lines(*TYPED):
        overrides = [value for flag, value in pairwise(words) if flag == "--set"]
        for config in (w for w in words if re.fullmatch(r"configs/\S+\.toml", w)):
            load_config(ROOT / config, overrides, allow_python="--allow-python" in words)


@pytest.mark.slow
def test_the_commands_of_the_readme_work_as_written(tmp_path):
    """In a copy of the configs whose sections are coarser, in the order of the page; `make` and git, which
    install, and what needs a GPU are left out.
    """
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    demo = tmp_path / "configs" / "rank_fc_section_2d.toml"
    demo.write_text(demo.read_text(encoding="utf-8").replace('spacing = "10 um"', 'spacing = "40 um"'))
    lines = [shlex.join(["rdsolver", *words]) for words in command_lines(README) if "gpu" not in words]
    script = "\n".join(['rdsolver() { "$PYTHON" -m rdsolver "$@"; }', f"rdsolver run {demo}", *lines])
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    named = re.findall(r"`(outputs/\S+)`", README.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= left
    assert {"outputs/rank_fc_section_2d/compare.png", "outputs/microct_slice_2d/overview.png"} <= left


def test_toml_is_part_of_a_config(tmp_path):
    """A table of docs/configs.md replaces the demo's, and the whole is a config without a warning."""
    (tmp_path / "events.csv").write_text(*blocks(CONFIGS_PAGE, "csv"))
    assert blocks(CONFIGS_PAGE, "toml")
    for block in blocks(CONFIGS_PAGE, "toml"):
        text = (ROOT / "configs" / "rank_fc_section_2d.toml").read_text(encoding="utf-8")
        for header in re.findall(r"^\[.*?\]+", block, re.MULTILINE):
            text = re.sub(rf"^{re.escape(header)}.*?(?=^\[|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
        (tmp_path / "mine.toml").write_text(f"{text}\n{block}")
        assert load_config(tmp_path / "mine.toml").warnings == []


def test_python_parses_and_make_targets_exist():
    assert blocks(README, "python")
    for block in blocks(README, "python"):
        ast.parse(block)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    typed = "".join(page.read_text(encoding="utf-8") for page in (README, ROOT / "CONTRIBUTING.md"))
    for target in re.findall(r"(?:^|`)make ([\w-]+)", typed, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_what_python_blocks_import_is_there():
    """Every import of a Python block of README.md and docs/, executed, and every `rdsolver.NAME` of their
    text.
    """
    blocks_of = [block for page in PAGES for block in blocks(page, "python")]
    imports = [
        node
        for block in blocks_of
        for node in ast.walk(ast.parse(block))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    ours = {
        ast.unparse(node)
        for node in imports
        if getattr(node, "module", None) and node.module.startswith("rdsolver")
    }
    assert len(ours) > 5
    for statement in ours:
        exec(statement, {})
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`rdsolver\.([A-Za-z_]+)(?:\(.*?\))?`", text))
    assert {"InputError", "RunError"} <= named
    for name in named | set(rdsolver.__all__):
        assert getattr(rdsolver, name)
        assert name in dir(rdsolver)


def test_the_package_says_that_it_has_types_and_runs_as_a_module():
    assert (ROOT / "rdsolver" / "py.typed").exists()
    done = subprocess.run(
        [sys.executable, "-m", "rdsolver", "check", "none.toml"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("none.toml: there is no such file.")


def test_exit_statuses_are_those_of_the_errors():
    text = COMMANDS_PAGE.read_text(encoding="utf-8")
    for status in (0, 1, InputError.exit_status, RunError.exit_status, 130):
        assert re.search(rf"^\| {status} \|", text, re.MULTILINE), status


def test_the_list_of_pages_names_each_once():
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert pages <= set(links)
    assert len(links) == len(set(links))


def test_the_map_names_every_module():
    room, named = "", set()
    for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"### (\w+)", line):
            room = heading[1]
            named.add(room)
        elif row := re.match(r"\| `([\w/]+)` \| \S", line):
            named.add(f"{room}/{row[1]}")
    package = ROOT / "rdsolver"
    modules = {path.relative_to(package).with_suffix("") for path in package.rglob("*.py")}
    found = {
        path.as_posix() for path in modules if path.name not in ("__init__", "__main__", "_version", "_moved")
    }
    assert found <= named, "docs/architecture.md is out of date: run python docs/draw_architecture.py"


def test_the_picture_of_the_rooms_is_that_of_the_imports():
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    assert drawing["PICTURE"].read_text(encoding="utf-8") == drawing["picture"](), (
        "docs/architecture.svg is out of date: run python docs/draw_architecture.py"
    )


def test_the_gallery_shows_every_config():
    shown = [name for names in gallery.CHAPTERS.values() for name in names]
    assert sorted([*shown, *gallery.SCANS]) == sorted(p.stem for p in (ROOT / "configs").glob("*.toml"))
    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(), (
        "docs/gallery.md is out of date: make gallery"
    )
    assert {p.stem for p in gallery.FIGURES.glob("*.png")} == set(shown)


if __name__ == "__main__":
    MODEL.write_text(TABLE.sub(lambda _: table(), MODEL.read_text(encoding="utf-8")), encoding="utf-8")
    NUMERICS.write_text(
        LISTED.sub(lambda _: integrators(), NUMERICS.read_text(encoding="utf-8")), encoding="utf-8"
    )
    VALIDATION.write_text(
        MET.sub(lambda _: targets(), VALIDATION.read_text(encoding="utf-8")), encoding="utf-8"
    )
