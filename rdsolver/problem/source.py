"""Where a user's model came from."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Source:
    """The Python file that a model came from, and its text as it was executed."""

    path: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256."""
        return sha256(self.text.encode()).hexdigest()
