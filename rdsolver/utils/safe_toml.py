"""A check of untrusted TOML: text that cannot be a config is refused before it is parsed.

A parser might never finish it.
"""

from __future__ import annotations

import re

LONGEST = 1_000_000  # characters; a config is a page of text
QUOTED = re.compile(r"""\"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
DEEP = re.compile(r"(?:\.[ \t]*+[\w-]++[ \t]*+){20}")  # the parser never finishes keys that deep


def excess(text: str) -> str:
    """The part of a text that is too long or too deep to be parsed; empty if there is none."""
    if len(text) > LONGEST:
        return f"more than {LONGEST:,} characters"
    return "a key of more than 20 parts" if DEEP.search(QUOTED.sub("k", text)) else ""
