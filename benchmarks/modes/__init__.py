"""One module for each mode: arguments(parser), main(arguments) -> rows."""
