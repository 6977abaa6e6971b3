"""Benchmarks: `python -m benchmarks MODE` from a checkout. README.md here says how to read them."""
