"""Waiting for what another process does."""

import time


def until(there, seconds):
    """Waits for something to be."""
    last = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < last
        time.sleep(0.02)
