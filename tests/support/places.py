"""Where the tests find the project and its files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
DATA = ROOT / "tests" / "data"
SHARED = ROOT.parent / "shared"
