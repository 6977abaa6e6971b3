"""Untrusted TOML: text that cannot be a config is refused before a parser sees it, which it might keep busy
forever.
"""

from __future__ import annotations

import re

LONGEST = 1_000_000  # characters; a config is a page of text
QUOTED = re.compile(r"""\"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
DEEP = re.compile(r"(?:\.[ \t]*+[\w-]++[ \t]*+){20}")  # keys so deep take the parser for ever


def excess(text: str) -> str:
    """What a text has too much of to be parsed; empty if it can be."""
    if len(text) > LONGEST:
        return f"more than {LONGEST:,} characters"
    return "a key of more than 20 parts" if DEEP.search(QUOTED.sub("k", text)) else ""
