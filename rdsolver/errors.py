"""The errors a user can meet, each with the exit status the command line gives it."""


class RdsolverError(Exception):
    """Anything rdsolver says in one paragraph instead of a traceback."""

    exit_status = 3


class InputError(RdsolverError):
    """The input is at fault: found before anything is computed or written (exit status 2).

    The message names the file, the key, what was found and what is allowed.
    """

    exit_status = 2


class RunError(RdsolverError):
    """The run had to stop; what it had computed is on disk (exit status 3)."""

    exit_status = 3
