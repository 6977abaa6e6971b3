"""Bytes shaken, and values that no reader expects."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, -(2**31))
TEXTS = (
    "",
    "x" * 100_000,
    "nan",
    "inf um",
    "1e9 um",
    "1e-9 d",
    "1e400 d",
    "-3 d",
    "1 1 1 d",
    "\0",
    "\x1b[31mred",
    "é\u202e",
    "all",
    "circle",
    "otsu",
)
PLACES = (
    "../../../etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "~nobody_here/x.tif",
    "a" * 5000 + ".tif",
    "/etc/hosts.png",
    ".",
    "other.h5",
    "LOCAL",
)


def shake(data: bytes, rng: Random) -> bytes:
    """One to four accidents."""
    for _ in range(rng.randint(1, 4)):
        n = len(data)
        if not n:
            break
        a, b = sorted(rng.randrange(n + 1) for _ in range(2))
        b = min(b, a + rng.choice((1, 8, 64, 512)))
        edit = bytearray(data)
        match rng.randrange(8):
            case 0:
                edit = edit[: rng.choice((a, n - 1, n // 2))]
            case 1 | 2:
                for _ in range(rng.choice((1, 1, 4, 32))):
                    edit[rng.randrange(n)] ^= 1 << rng.randrange(8)
            case 3:
                edit[a:b] = bytes(b - a)
            case 4:
                edit[a:b] = b"\xff" * (b - a)
            case 5:
                c = rng.randrange(n)
                edit[a:b], edit[c : c + b - a] = edit[c : c + b - a], edit[a:b]
            case 6:
                edit[a:a] = edit[a:b] * rng.choice((1, 2, 100))
            case _:
                edit += rng.randbytes(rng.choice((1, 100, 5000)))
        data = bytes(edit)
    return data


def number(rng: Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(rng.choice((8, 16, 32, 63)))


def value(rng: Random) -> Any:
    """Anything that TOML can say, now and then what might stand there."""
    kind = rng.randrange(14)
    if kind < 3:
        return rng.choice(
            (
                *NUMBERS,
                10**30,
                1.5,
                -0.0,
                1e308,
                -1e308,
                5e-324,
                1e9,
                1e-9,
                float("nan"),
                float("inf"),
                -float("inf"),
            )
        )
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice(PLACES)
    if kind == 6:
        nested: Any = 1
        for _ in range(rng.choice((1, 2, 50, 200))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    if kind == 7:
        return [value(rng) for _ in range(rng.randrange(5))]
    if kind == 8:
        return [rng.choice((0, 1.5, "1 d"))] * rng.choice((3, 1000, 50_000))
    if kind == 9:
        return rng.choice((True, False, [], {}, {"x": 1}))
    return rng.choice(
        (
            1,
            2,
            5,
            10,
            20.0,
            0.5,
            0.1,
            "2 d",
            "20 um",
            "40 um",
            "60 um",
            [240, 240, 240],
            [120, 120],
            [[2, 10], [0, 9]],
            "median",
            "z",
            "y-high",
        )
    )


def alike(old: Any, rng: Random) -> Any:
    """Of the same kind, and another size."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return rng.choice((old + 1, old - 1, 10 * old, number(rng)))
    if isinstance(old, float):
        return old * 10.0 ** rng.randint(-20, 20)
    if isinstance(old, str):
        return re.sub(
            r"^[\d.]+",
            lambda _: f"{10 ** rng.uniform(-9, 9):.3g}" if rng.random() < 0.5 else str(rng.randint(0, 500)),
            old,
        )
    return [alike(x, rng) for x in old] if isinstance(old, list) else value(rng)


def toml(item: Any) -> str:
    if isinstance(item, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(toml, item)) + "]"
    if isinstance(item, float):
        return repr(item)
    return json.dumps(item)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [place for k in keys for place in ((tree, k), *places(tree[k]))]
