"""On which device: CPU or GPU, batches of runs."""
