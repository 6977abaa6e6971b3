"""Many runs: the design, the workers, one table of results."""
