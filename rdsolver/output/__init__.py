"""The run file: written, read, repaired, exported."""
