"""What a user sees: figures made from a run file alone."""
