"""PostgreSQL's binary COPY format, for rows that are made by the thousand.

A block is the header, the rows, the end; a row is the number of its columns, then every column as its length and its
bytes. What belongs to a column's type is told by the functions here; integers are packed where they stand.
"""

from __future__ import annotations

import datetime as dt
import struct
from typing import Final

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = struct.pack("!h", -1)
NULL: Final = struct.pack("!i", -1)
#: Rows handed to the connection at once, so that both sides work at the same time.
ROWS_PER_WRITE: Final = 256

_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

#: The day from which PostgreSQL counts dates, as an ordinal.
EPOCH_DAY: Final = _EPOCH.date().toordinal()


def sized(value: bytes) -> bytes:
    """A column of text, json, bytea or uuid."""
    return struct.pack("!i", len(value)) + value


def timestamp(instant: dt.datetime) -> bytes:
    """A column timestamptz."""
    return struct.pack("!iq", 8, (instant - _EPOCH) // _MICROSECOND)
