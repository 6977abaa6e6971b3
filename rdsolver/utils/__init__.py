"""Helpers: reporting, memory, locks, signals, safe files."""
