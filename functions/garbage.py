"""Python's garbage collector, told what this process is like.

What is imported and loaded stays: 80,000 objects, which each full collection would walk through for 50 ms.
A request leaves nothing in circles, but many of them at once look like garbage that piles up. Measured at 32
requests in flight: a third of the time went into collections that found nothing, and one in a hundred
answers waited for one.
"""

import gc

YOUNG_OBJECTS = 10_000
"""More than some hundred requests hold at once; Python's own 700 are a dozen requests."""


def keep_what_is_there() -> None:
    """Takes all objects there are out of the collector's sight. To be called once something large is loaded."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
