"""What stays in memory after something large was loaded is put aside; the rest is given back.

80,000 objects are imported and loaded once, and each full collection of Python's would walk through them
for 50 ms. A request leaves nothing in circles, but many requests at once look like garbage that piles up.
Measured at 32 in flight: a third of the time went into collections that found nothing, and one answer in a
hundred waited for one.
"""

import ctypes
import gc

YOUNG_OBJECTS = 10_000
"""More than a hundred requests hold at once; Python's own 700 are a dozen requests'."""


IMPORTED_OBJECTS = 100_000
"""As many as both functions import and load."""


def expect_imports() -> None:
    """Keeps the collector from looking through what is being imported: a seventh of what imports take."""
    gc.set_threshold(IMPORTED_OBJECTS, *gc.get_threshold()[1:])


def settle() -> None:
    """Takes all objects there are out of the collector's sight, and gives freed memory back to the system."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    # Loading a model takes several times its size for a moment, which glibc would keep: 5 MB for one of 1 MB.
    if give_back := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give_back(0)
