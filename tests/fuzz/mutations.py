"""Valid files made invalid: what `python -m tests.fuzz` feeds the readers with."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from random import Random

from rdsolver.runs.checkpoint_file import HEAD, MARK
from tests.fuzz.hdf5 import hdf5, tables
from tests.fuzz.images import image
from tests.fuzz.meaning import declared
from tests.fuzz.schedules import schedule
from tests.fuzz.seeds import CONFIGS
from tests.fuzz.values import TEXTS, alike, places, shake, toml, value


def config(folder: Path, rng: Random) -> Path:
    path = folder / f"{rng.randrange(len(CONFIGS))}.toml"
    text = path.read_text()
    if rng.random() < 0.15:
        path.write_bytes(shake(text.encode(), rng))
        return path
    if rng.random() < 0.1:
        n = rng.choice((100, 2000, 100_000, 400_000))
        odd = (
            f"a = {'[' * n}{']' * n}",
            f"{'a.' * n}a = 1",
            f"[{'a.' * n}a]",
            "[[dose]]\n" * (n // 10),
            f"x = {'9' * n}",
            "a = {b=" * n,
            f"k{'k' * n} = 1",
        )
        path.write_text(rng.choice((text + "\n", "")) + rng.choice(odd))
        return path
    tree = tomllib.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder, key = rng.choice(places(tree))
        fate = rng.randrange(8)
        if fate == 0:
            del holder[key]
        elif fate == 1 and isinstance(holder, dict):
            holder[rng.choice((*TEXTS, "from", "kind", "at"))] = holder.pop(key)
        elif (
            fate == 2 and isinstance(holder, list) and not isinstance(holder[key], list | dict)
        ):  # one object, which may grow, thousands of times
            holder.extend([holder[key]] * rng.choice((1, 100, 3000)))
        else:
            holder[key] = alike(holder[key], rng) if fate < 6 else value(rng)
        if not places(tree):
            break
    path.write_text("\n".join(f"{json.dumps(k)} = {toml(v)}" for k, v in tree.items()), errors="replace")
    return path


def run_file(folder: Path, rng: Random) -> Path:
    path = folder / "run.h5"
    damage(path, rng)
    return path


def damage(path: Path, rng: Random) -> None:
    kind = rng.random()
    if kind < 0.3:
        path.write_bytes(shake(path.read_bytes(), rng))
    elif kind < 0.8:
        hdf5(path, rng)
    else:
        tables(path, rng)


def checkpoint_file(folder: Path, rng: Random) -> Path:
    """Mostly with the SHA-256 that belongs to it."""
    path = folder / "checkpoint.h5"
    damage(path, rng)
    data = path.read_bytes()
    if rng.random() < 0.8 and re.match(MARK.encode(), data):
        head = f"{MARK} {hashlib.sha256(data[HEAD:]).hexdigest()}\n".encode()
        path.write_bytes(head.ljust(HEAD, b"\0") + data[HEAD:])
    return path


KINDS: dict[str, Callable[[Path, Random], Path]] = {
    "config": config,
    "image": image,
    "run": run_file,
    "checkpoint": checkpoint_file,
    "schedule": schedule,
    "declared": declared,
}
