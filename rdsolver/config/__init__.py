"""The input file: keys, checks, messages, and its problem."""

from typing import TYPE_CHECKING

from .._moved import moved

if not TYPE_CHECKING:
    __getattr__ = moved("config")
