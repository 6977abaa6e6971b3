"""Instructions to install optional dependencies, from the place that rdsolver itself came from.

The distribution is called rdsolver-bone: rdsolver on PyPI is another project.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "rdsolver-bone"
PACKAGE = Path(__file__).resolve().parents[1]


def install(extra: str, what: str = "it") -> str:
    """A sentence with the command that installs an extra, in the folder of the checkout if rdsolver came from
    one.
    """
    folder, mode = _checkout()
    if folder is None:
        return f'Install {what} with: pip install "{DISTRIBUTION}[{extra}]"'
    return f'Install {what}, in {folder}, with: pip install {mode}".[{extra}]"'


def _checkout() -> tuple[Path | None, str]:
    """The checkout that rdsolver runs from or was installed from, and how; None for another origin."""
    if (PACKAGE.parent / "pyproject.toml").is_file():
        return PACKAGE.parent, "-e "
    try:
        origin = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return None, ""
    url = urlsplit(origin.get("url", ""))
    folder = Path(unquote(url.path))
    return (folder, "") if url.scheme == "file" and (folder / "pyproject.toml").is_file() else (None, "")
