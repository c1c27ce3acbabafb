"""Lists of rows read page by page in a stable order: a page begins behind the last row of the one before (PLT-068).

Keyset paging: the place of a row is its values in the columns that order the list, so that a page costs the same
wherever it stands, and neither repeats nor omits rows that did not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Executes SQL with named parameters; the rows.
Fetch = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: SQL of its rows without order, and the columns that order it.

    `order` is (column, descending, SQL type) and ends with a unique column. With `key`, a unique (column, SQL type), a
    place is known outside by that column alone: the others may hold what nobody should carry around. `counted` is SQL
    with as many rows as `sql`, where they cost less without their columns.
    """

    name: str
    sql: str
    order: tuple[tuple[str, bool, str], ...]
    key: tuple[str, str] | None = None
    counted: str | None = None

    def page(
        self, fetch: Fetch, parameters: Mapping[str, Any], limit: int, after: Sequence[str] | None
    ) -> list[tuple[dict[str, Any], list[str]]]:
        """The rows behind a place, at most `limit`, each with its own place: the texts of its ordering columns."""
        bound: dict[str, Any] = dict(parameters) | {"page_rows": limit}
        condition = ""
        if after is not None:
            condition = f" where {self._behind()}"
            bound |= {f"after_{index}": value for index, value in enumerate(after)}
        places, columns = self._places()
        order = ", ".join(f"{column}{' desc' if down else ''}" for column, down, _ in self.order)
        rows = fetch(
            f"select listed.*, {columns} from ({self.sql}) as listed{condition} order by {order} limit %(page_rows)s",
            bound,
        )
        return [(row, [row.pop(place) for place in places]) for row in rows]

    def locate(self, fetch: Fetch, parameters: Mapping[str, Any], key: str) -> list[str] | None:
        """The place of the row with this value of `key`; None when the list has no such row."""
        assert self.key is not None
        column, kind = self.key
        if kind == "integer" and not (key.isascii() and key.isdigit() and len(key) < 10):
            return None
        places, columns = self._places()
        found = fetch(
            f"select {columns} from ({self.sql}) as listed where {column} = %(located)s::{kind}",
            dict(parameters) | {"located": key},
        )
        return [found[0][place] for place in places] if found else None

    def _places(self) -> tuple[list[str], str]:
        """The names of the columns that hold a row's place, and the SQL that gives them."""
        places = [f"place_{index}" for index in range(len(self.order))]
        columns = ", ".join(
            f"({column})::text as {place}" for (column, *_), place in zip(self.order, places, strict=True)
        )
        return places, columns

    def count(self, fetch: Fetch, parameters: Mapping[str, Any], most: int | None = None) -> int:
        """How many rows there are; counting ends behind `most`."""
        rows = self.counted or self.sql
        [found] = fetch(
            f"select count(*) as n from (select from ({rows}) as listed limit %(page_most)s) as counted",
            dict(parameters) | {"page_most": None if most is None else most + 1},
        )
        return int(found["n"])

    def _behind(self) -> str:
        """The condition for rows behind the place: lexicographic, column by column."""
        alternatives = []
        for index, (column, down, kind) in enumerate(self.order):
            equal = [
                f"{before} = %(after_{number})s::{its_kind}"
                for number, (before, _, its_kind) in enumerate(self.order[:index])
            ]
            beyond = f"{column} {'<' if down else '>'} %(after_{index})s::{kind}"
            alternatives.append("(" + " and ".join([*equal, beyond]) + ")")
        return "(" + " or ".join(alternatives) + ")"
