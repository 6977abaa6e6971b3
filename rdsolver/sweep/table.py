"""The table of a sweep: a CSV file whose first line names keys, and whose other lines are runs.

Spreadsheets separate cells by semicolons where a comma is the decimal sign. Such a file is read as it is
meant, or refused: no number in it is read as another one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ..config import toml
from ..config.load import takes_text
from ..errors import InputError
from ..utils.home import at_home
from ..utils.safe_toml import QUOTED
from .spec import LABELS, clash

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
DECIMAL = re.compile(r"([-+]?\d+),(\d+(?:[eE][-+]?\d+)?(?:\s*[^\d\s,.;].*)?)")  # 0,5 or 0,5 mg/kg
# such as 1,250, which is another number in English
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}(?![\deE]).*")
POINT = re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?(?:\s*[^\d\s,.;].*)?")


def rows(path: Path, name: str, taken: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The runs of a table, each value as after --set.

    path   path of the sweep
    taken  keys that are varied elsewhere, and where

    Raises InputError for a file that cannot be read, or can be read in more than one way.
    """
    where = f'{path}: sample.table = "{name}"'
    separator, lines = _lines(path.parent / at_home(name), where)
    if len(lines) < 2:
        raise InputError(
            f"{where} holds no run. Its first line names the keys, and each further line is a run."
        )
    keys = lines[0]
    seen = dict(taken)
    for i, key in enumerate(keys, 1):
        if not key:
            raise InputError(f"{where}: column {i} has no name. Its first line names the keys.")
        for text in clash(key, seen):
            raise InputError(f"{where}: the column {key} {text}")
        seen[key] = "another column"
    for i, line in enumerate(lines[1:], 2):
        if len(line) != len(keys):
            raise InputError(
                f"{where}: line {i} has {len(line)} cells, and the first line names {len(keys)}. "
                f"Put quotes around {SEPARATORS[separator]}, and write decimals with a point."
            )
    free = [key in LABELS or takes_text(key) for key in keys]
    columns = [list(column) for column in zip(*lines[1:], strict=True)]
    if separator != ",":
        numeric = {key: column for key, column, text in zip(keys, columns, free, strict=True) if not text}
        _check_decimals(where, numeric)
        columns = [
            (
                column
                if text
                else [DECIMAL.sub(r"\1.\2", cell) if DECIMAL.fullmatch(cell) else cell for cell in column]
            )
            for column, text in zip(columns, free, strict=True)
        ]
    for line in zip(*columns, strict=True):
        yield {
            key: cell if key in LABELS else toml.value_of(cell, text)
            for key, cell, text in zip(keys, line, free, strict=True)
        }


def _lines(file: Path, where: str) -> tuple[str, list[list[str]]]:
    """The separator of cells, and the lines that are not empty."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"{where} is not UTF-8 text. Save it as UTF-8; a spreadsheet calls this CSV UTF-8."
        ) from None
    except OSError as error:
        raise InputError(
            f"{where} cannot be read: {error.strerror or error}. The path starts at the folder of the sweep."
        ) from None
    head, _, rest = text.lstrip("\n").partition("\n")
    if said := re.fullmatch(r"sep=([,;\t])", head.strip(" ")):  # the statement of a spreadsheet
        separator, text = said[1], rest
    else:
        there = [s for s in SEPARATORS if s in head]
        if len(there) > 1:
            both = " and ".join(SEPARATORS[s] for s in there)
            raise InputError(
                f"{where}: its first line, which names the keys, holds {both}. Separate cells by one of them."
            )
        separator = there[0] if there else ","
    try:
        lines = [
            [cell.strip() for cell in line]
            for line in csv.reader(StringIO(text, newline=""), delimiter=separator)
        ]
    except csv.Error as error:
        raise InputError(
            f"{where} cannot be read: {error}. Put quotes around cells that hold {SEPARATORS[separator]}."
        ) from None
    return separator, [line for line in lines if any(line)]


def _check_decimals(where: str, columns: Mapping[str, Sequence[str]]) -> None:
    """Raise InputError if a comma in a number is ambiguous."""
    cells = [cell for column in columns.values() for cell in column]
    comma, point = (next(filter(kind.fullmatch, cells), None) for kind in (DECIMAL, POINT))
    if comma and point:
        raise InputError(
            f"{where} holds {comma!r} with a decimal comma and {point!r} with a point. Write all decimals"
            " with a point."
        )
    for key, column in columns.items():
        decimals = [cell for cell in column if DECIMAL.fullmatch(cell)]
        if decimals and all(map(THOUSANDS.fullmatch, decimals)):
            raise InputError(
                f"{where}: {decimals[0]!r} in the column {key} may have a decimal comma, or one of thousands."
                " Write decimals with a point, and thousands without a comma."
            )
        if tight := next(
            (c for c in column if c.startswith("[") and re.search(r"\d,\d", QUOTED.sub("", c))), None
        ):
            raise InputError(
                f"{where}: {tight!r} in the column {key} may have decimal commas, or commas between numbers. "
                "Write decimals with a point, and a space after the commas of a list."
            )
