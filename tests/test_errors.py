"""docs/errors.md held against the code: every row has a case that provokes it, and every error that is raised
has a row.
"""

import ast
import re

import pytest

from tests.support import errors_input, errors_runs, errors_sweeps
from tests.support.errors_here import HELD, Here, make_runs
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "errors.md"
CASES = errors_input.CASES | errors_runs.CASES | errors_sweeps.CASES


# --- the page -----------------------------------------------------------------------------------------------


def rows() -> dict[str, tuple[str, int]]:
    """id -> (text, exit status) of every row of the page."""
    found, status = {}, 0
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            status = int(re.search(r"status (\d)|$", line)[1] or 0)
        elif match := re.fullmatch(r"\| ([a-z0-9-]+) \| `(.+)` \|.*\|", line):
            assert match[1] not in found, match[1]
            found[match[1]] = match[2], status
    return found


ROWS = rows()


def pattern(text: str) -> re.Pattern:
    """What a message that is documented so looks like."""
    parts = re.split(r"\{[^{}]*\}", text.removesuffix("…"))
    return re.compile(r"[\s\S]*?".join(map(re.escape, parts)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("runs"))


def test_rows_and_cases_are_the_same():
    assert sorted(ROWS) == sorted(CASES)


@pytest.mark.parametrize("row", ROWS)
def test_the_error_is_as_documented(row, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, status = ROWS[row]
    said, left = CASES[row](Here(runs, monkeypatch))
    while HELD:
        HELD.pop().close()
    assert pattern(text).search(said), said
    assert left == status
    assert "Traceback" not in said


# --- the code -----------------------------------------------------------------------------------------------


def sites() -> list[tuple[str, str]]:
    """Every error that is raised, and every fault of a config or of a model: where, and its text, X for what
    is put in.
    """
    found = []
    for path in sorted((ROOT / "rdsolver").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name("InputError" | "Damaged" | "RunError"), args=[text, *_]):
                    pass
                case ast.Raise(exc=ast.Call(func=ast.Name("ValueError"), args=[text])) if (
                    path.name == "units.py"
                ):
                    pass
                case ast.Yield(value=ast.Tuple([_, text])) if path.parent.name in (
                    "config",
                    "components",
                ) or path.name in (
                    "model_checks.py",
                    "spec.py",
                ):
                    pass
                case _:
                    continue
            found.append((f"{path.relative_to(ROOT)}:{node.lineno}", template(text)))
    return found


def template(node: ast.expr) -> str:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(template, parts))
        case ast.BinOp(left, ast.Add(), right):
            return template(left) + template(right)
    return "X"


PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def letters(text: str) -> int:
    return len(re.sub(r"[^a-z]", "", PLACEHOLDER.sub("", text)))


def ends() -> list[str]:
    """Of every row its text from each of its letters on: a site may leave the file or the key before it to
    others.
    """
    texts = [text.removesuffix("…") for text, _ in ROWS.values()]
    return [text[i:] for text in texts for i in range(len(text)) if letters(text[i:]) > 8]


def test_every_error_that_is_raised_has_a_row():
    """Texts that are put together elsewhere have few letters of their own here: those are provoked above."""
    found = [(where, text.lstrip("X")) for where, text in sites() if letters(text) > 12]
    assert len(found) > 200
    plain = tuple({PLACEHOLDER.sub("X", end) for end in ends()})
    rest = [(where, text) for where, text in found if not text.startswith(plain)]
    patterns = [pattern(end) for end in ends() if end[0] in " ={."]
    assert [
        (where, text)
        for where, text in rest
        if not any(p.match(text) or p.match(f" {text}") for p in patterns)
    ] == []
