"""The input file: keys, checks, messages, and its problem."""
