"""Many runs: what varies, the workers, one table of results."""
