"""The page docs/gallery.md: every config that comes with rdsolver, run as shipped, with its figure.

python -m rdsolver.studies.gallery          all of them (some minutes)
python -m rdsolver.studies.gallery NAME ..  only these figures anew, and the page
"""

from __future__ import annotations

import re
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import matplotlib
from PIL import Image

from ..config.load import load_config
from ..figures import style
from ..figures.overview import compose
from ..runs.run import simulate

ROOT = Path(__file__).parents[2]
CONFIGS, PAGE, FIGURES = ROOT / "configs", ROOT / "docs" / "gallery.md", ROOT / "docs" / "gallery"
DPI, COLOURS = 110, 256  # for the page; `rdsolver plot` gives 200 dpi and all colours

CHAPTERS = {
    "Healthy bone": ("healthy_homeostasis", "healthy_mouse"),
    "RANKL, OPG and bone mass": (
        "rankl_opg_ratio",
        "estrogen_deficiency",
        "opg_knockout",
        "opg_overexpression",
    ),
    "Drugs in healthy bone": ("rank_fc_section_2d", "fc_opg_section_2d", "withdrawal_rebound"),
    "Tumours in bone": (
        "metastasis_osteolytic",
        "metastasis_tumour_opg",
        "metastasis_osteoblastic",
        "myeloma",
        "hypercalcaemia",
        "metastasis_block_3d",
    ),
    "Treatment": (
        "treat_rank_fc",
        "treat_fc_opg",
        "treat_soluble_rank",
        "treat_denosumab",
        "treat_bisphosphonate",
    ),
    "Beyond bone": ("artery_calcification", "lymph_node", "mammary_gland"),
    "A user model": ("gray_scott",),
}
SCANS = ("microct_slice_2d", "microct_block_3d")  # configs that need a user's scan


def header(config: Path) -> str:
    """The comment at the head of a config, as one paragraph; its indented commands are left out."""
    lines = re.match(r"(?:#.*\n)*", config.read_text(encoding="utf-8"))
    assert lines
    return " ".join(
        line.lstrip("# ").strip() for line in lines[0].splitlines() if not line.startswith("#  ")
    ).strip()


def draw(name: str) -> None:
    """Run a config as shipped and draw its figure."""
    path = CONFIGS / f"{name}.toml"
    with simulate(load_config(path, allow_python=True)) as run, matplotlib.rc_context(style.RC):
        drawn = BytesIO()
        compose(run).savefig(drawn, dpi=DPI)
        FIGURES.mkdir(exist_ok=True)
        Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(
            FIGURES / f"{name}.png", optimize=True
        )


def page() -> str:
    parts = [
        "# Gallery",
        (
            "Each config as it is shipped, and the figure that `rdsolver run` made of it. `make gallery`"
            " makes this page."
        ),
    ]
    for chapter, names in CHAPTERS.items():
        parts.append(f"## {chapter}")
        for name in names:
            config = load_config(CONFIGS / f"{name}.toml", allow_python=True)
            command = f"`rdsolver run configs/{name}.toml{' --allow-python' if name == 'gray_scott' else ''}`"
            parts += [
                f"### {config.title}",
                textwrap.fill(header(CONFIGS / f"{name}.toml"), 110, break_on_hyphens=False),
                command,
                f"![{config.title}](gallery/{name}.png)",
            ]
    parts += [
        "## From scans",
        (
            f"{' and '.join(f'`configs/{n}.toml`' for n in SCANS)} run on your own scan, so they have no"
            " figure here."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def main(names: list[str]) -> None:
    for name in names or [n for chapter in CHAPTERS.values() for n in chapter]:
        print(name, flush=True)
        draw(name)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
