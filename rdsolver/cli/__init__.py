"""The commands: read input, call the library, print the result."""
