"""Which targets of `rdsolver validate` each parameter moves, as studies/validation/influence.py has found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")


@cache
def moves() -> dict[str, list[str]]:
    """By the name of a parameter, the targets that a rise of it by a tenth moves. A parameter of a user or of
    a drug without targets is not among them.
    """
    return json.loads(FILE.read_text(encoding="utf-8"))
