"""The version, where all that notes it can read it."""

__version__ = "0.1.0"
