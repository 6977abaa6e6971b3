"""Measurements, from a checkout. Timings live here, never in the tests."""
