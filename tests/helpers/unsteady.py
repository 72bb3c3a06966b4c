"""A fit that fails on its first call in a run, as a machine might."""

import os

from nisf.fit.gauss_newton import fit_gauss_newton


def fit(network, points, marker, **options):
    """``fit_gauss_newton``; raises where no file ``marker`` is there yet, and makes it."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return fit_gauss_newton(network, points, **options)
    raise RuntimeError("the machine hiccupped")
