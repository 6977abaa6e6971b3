"""The origin of a user's model."""

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
        """The SHA-256 hash of the text."""
        return sha256(self.text.encode()).hexdigest()
