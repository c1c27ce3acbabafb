"""Holding back the cyclic garbage collector while a batch of events or rows is made.

A batch makes tens of thousands of objects that stay and hardly any garbage in cycles; looking for it again and again
takes as long as the work itself.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Within, cycles are not looked for; reference counting goes on as ever."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
