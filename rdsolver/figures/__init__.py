"""Figures, movies and reports, made from files alone."""

import os

from ..errors import InputError

try:
    import matplotlib as matplotlib
except ValueError as error:  # from a setting of the environment; no figure here needs a window
    raise InputError(
        f"Matplotlib does not start ({error}). MPLBACKEND is {os.environ.get('MPLBACKEND')}: unset it, or set"
        " it to agg."
    ) from error
