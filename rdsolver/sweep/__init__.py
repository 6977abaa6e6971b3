"""Many runs: what varies (`file`, `design`), where they run, and what came of them in one table."""
