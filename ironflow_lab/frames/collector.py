"""The garbage collector kept out of the way while a page of records becomes columns."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Run a block without cyclic collections, and leave the collector as it was found.

    Records hold no cycles, so that each of its passes over them is for nothing: a third of the
    time of a large read.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
