"""The commands: read input, call the library, print the result."""

from typing import TYPE_CHECKING

from .._moved import moved

if not TYPE_CHECKING:
    __getattr__ = moved("cli")
