"""Many runs: the design of a sweep, the workers, one table of results."""
