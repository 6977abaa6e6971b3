"""The JSON schema of a config, for editors."""

from __future__ import annotations

from typing import Any

from ..models.bone.binders import LABELS, drug
from ..models.bone.components import every
from ..models.bone.parameters import parameters
from .config import Config
from .tables import json_quantity


def schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors: quantities are numbers or text, with their internal units."""
    tree = Config.model_json_schema(by_alias=True)
    rows = [
        *parameters(tuple(map(drug, LABELS)), every()),
        *parameters(tissue="artery"),
    ]
    by_name = {p.name: json_quantity(p.unit) | {"description": f"{p.meaning} ({p.source})"} for p in rows}
    tree["$defs"]["Model"]["properties"]["parameters"]["properties"] = by_name
    _tell_units(tree)
    return tree


def _tell_units(node: Any) -> None:
    """Move the unit of every quantity into its description."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tell_units(child)
    if isinstance(node, dict) and isinstance(unit := node.get("unit"), str):
        del node["unit"]
        told = "A number" if unit == "1" else f"In {unit}, or text with a unit"
        node["description"] = f"{node.get('description', '')} {told}.".strip()
