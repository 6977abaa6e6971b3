"""One run in memory: baseline, scenario, loop over steps."""
