"""The device of a run, CPU or GPU, and batches of runs."""
