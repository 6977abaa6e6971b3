"""The run file: writing, reading, repair and export."""
