"""How values stand in a column: the PostgreSQL types a read model may use, and how a batch of values is written.

A batch goes to the server as a COPY block in CSV, or as one array literal a column. Both are made by a JSON encoder in
one pass in C, which is what keeps a rebuild close to the speed of reading the log: a row as a JSON array without its
brackets is a line of CSV, a column as a JSON array in braces is an array literal. The three forms agree on everything
but control characters inside a text; where there is one, the batch is written value by value.

A column takes exactly the Python type it is declared for. A float has no column to go to (no float ever touches money),
a bool is not an int, a datetime not a date: a wrong value is an error at the event that brought it, not a rounded row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec

#: How a COPY block of `copy_block` is to be read.
COPY_FORMAT: Final = r"(format csv, null 'null', escape '\')"

_encoder = msgspec.json.Encoder()
_document_encoder = msgspec.json.Encoder(order="deterministic")
_time_zone = attrgetter("tzinfo")


class ColumnValueError(ValueError):
    """A row holds a value its column does not take. Names the column and the types, never the value."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A PostgreSQL type as the engine writes it.

    `accepts` are the Python types taken (subclasses too, except bool for int and datetime for date). Values of a type
    with `freeze` can be changed in place: they are kept and written in the text form that it gives. `through_text`
    types are put into an array as texts and cast afterwards.
    """

    name: str
    accepts: tuple[type, ...]
    ddl: str
    freeze: Callable[[Any], str] | None = None
    through_text: bool = False


def _document(value: object) -> str:
    if _holds_float(value):
        raise ColumnValueError("a float in a jsonb column")
    return _document_encoder.encode(value).decode()


def _holds_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_float, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_float, value))
    return isinstance(value, float)


def _array(value: Sequence[object]) -> str:
    """The array literal of one value of an array column."""
    if any(isinstance(item, float) for item in value):
        raise ColumnValueError("a float in an array column")
    return "{" + ",".join(map(_quoted, value)) + "}"


TYPES: Final[dict[str, ColumnType]] = {
    kind.name: kind
    for kind in (
        ColumnType("text", (str,), 'text collate "C"'),  # PLT-069: text is ordered by code point
        ColumnType("bigint", (int,), "bigint"),
        ColumnType("integer", (int,), "integer"),
        ColumnType("smallint", (int,), "smallint"),
        ColumnType("numeric", (int, Decimal), "numeric"),
        ColumnType("boolean", (bool,), "boolean"),
        ColumnType("date", (dt.date,), "date"),
        ColumnType("timestamptz", (dt.datetime,), "timestamptz"),
        ColumnType("uuid", (UUID,), "uuid"),
        ColumnType("jsonb", (dict, list, tuple, str, int, bool), "jsonb", freeze=_document),
        ColumnType("text[]", (list, tuple), 'text[] collate "C"', freeze=_array, through_text=True),
        ColumnType("bigint[]", (list, tuple), "bigint[]", freeze=_array, through_text=True),
        ColumnType("date[]", (list, tuple), "date[]", freeze=_array, through_text=True),
    )
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a read model: its name, one of the types of `TYPES`, and whether it may be empty."""

    name: str
    type: str
    nullable: bool = False

    @property
    def kind(self) -> ColumnType:
        return TYPES[self.type]


def freeze(column: Column, value: Any) -> str | None:
    """The text form of a value of a type that can be changed in place. Raises ColumnValueError."""
    kind = column.kind
    assert kind.freeze is not None
    if value is None:
        return None
    if not isinstance(value, kind.accepts):
        raise ColumnValueError(f"column {column.name} ({column.type}) does not take a {type(value).__name__}")
    return kind.freeze(value)


def check(column: Column, values: Sequence[Any]) -> None:
    """Raise ColumnValueError if one of the values, mutable ones frozen, is of a type the column does not take."""
    kind = column.kind
    found = set(map(type, values))
    if len(found) == 1 and kind.accepts[0] in found and kind.name != "timestamptz" and not kind.freeze:
        return
    for cls in found:
        if cls is type(None):
            if not column.nullable:
                raise ColumnValueError(f"column {column.name} may not be empty")
        elif not _takes(kind, cls):
            raise ColumnValueError(f"column {column.name} ({column.type}) does not take a {cls.__name__}")
    if kind.name == "timestamptz" and None in set(map(_time_zone, [value for value in values if value is not None])):
        raise ColumnValueError(f"column {column.name} does not take an instant without time zone")


def _takes(kind: ColumnType, cls: type) -> bool:
    if kind.freeze is not None:
        return cls is str
    if cls in kind.accepts:
        return True
    return cls is not bool and not issubclass(cls, dt.datetime) and issubclass(cls, kind.accepts)


def copy_block(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """The rows, given in column order with mutable values frozen, as a block for COPY. Raises ColumnValueError."""
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        check(column, values)
    lines = _encoder.encode_lines(rows)
    if _agrees(lines):
        return lines[1:-2].replace(b"]\n[", b"\n") + b"\n"
    return "".join([",".join(map(_quoted, row)) + "\n" for row in rows]).encode()


def array_literal(column: Column, values: Sequence[Any]) -> str:
    """The values of a column, mutable ones frozen, as one array literal. Raises ColumnValueError."""
    check(column, values)
    encoded = _encoder.encode(values)
    if _agrees(encoded):
        return f"{{{encoded[1:-1].decode()}}}"
    return "{" + ",".join(map(_quoted, values)) + "}"


def _agrees(encoded: bytes) -> bool:
    """Whether JSON, CSV and array literals write this alike: with no escapes, or those of quote and backslash only."""
    if b"\\" not in encoded:
        return True
    return b"\\" not in encoded.replace(b"\\\\", b"").replace(b'\\"', b"")


def _quoted(value: object) -> str:
    """A value as CSV and array literals write it, whatever characters it holds."""
    if value is None:
        return "null"
    text = value.isoformat() if isinstance(value, dt.date) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
