"""One module a mode: arguments(parser), main(arguments) -> rows."""
