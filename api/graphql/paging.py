"""Lists page by page (PLT-068): Relay connections over keyset cursors.

A cursor holds the sort key of its row and a fingerprint of the list it belongs to, so that it neither repeats nor omits
rows that did not change, and is refused on another list or order (CURSOR_INVALID).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from api.graphql.context import Context
from domain.errors import refuse
from projections.engine.listing import Listing

#: Rows of a page unless told otherwise, and at most.
DEFAULT_PAGE = 50
LARGEST_PAGE = 200
#: Rows up to which a total is counted exactly.
COUNTED = 10_000

T = TypeVar("T")
U = TypeVar("U")

First = Annotated[int, strawberry.argument(description=f"Rows of the page, 1 to {LARGEST_PAGE}.")]
After = Annotated[str | None, strawberry.argument(description="The end cursor of the page before.")]


@strawberry.type(description="Where a page ends, and whether there is more.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are rows behind the page.")
    has_previous_page: bool = strawberry.field(description="Whether the page was asked for behind a cursor.")
    start_cursor: str | None = strawberry.field(description="The cursor of the page's first row.")
    end_cursor: str | None = strawberry.field(
        description="The cursor of the page's last row: `after` of the next page."
    )


@strawberry.type(description="A row with its cursor.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The row.")
    cursor: str = strawberry.field(description="Where it stands in the list.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[T] = strawberry.field(description="The rows.")
    page_info: PageInfo = strawberry.field(description="Where the page ends.")
    total_count: int | None = strawberry.field(
        description=f"All rows of the list; null above {COUNTED}, and for what is read from the log: events, values"
        " ever set, recorded queries."
    )

    def mapped(self, node: Callable[[T], U]) -> Connection[U]:
        """The page with other nodes."""
        nodes = [node(one) for one in self.nodes]
        return connection(
            nodes, [edge.cursor for edge in self.edges], self.page_info.has_next_page,
            self.page_info.has_previous_page, self.total_count,
        )  # fmt: skip


def page(
    context: Context,
    listing: Listing,
    parameters: Mapping[str, Any],
    first: int,
    after: str | None,
    node: Callable[[dict[str, Any]], T],
) -> Connection[T]:
    """One page of a list. Raises REQUEST_INVALID for a page size out of range, CURSOR_INVALID."""
    fetch = context.reads.fetch
    fingerprint = fingerprint_of(listing.name, listing.order, parameters)
    place = check_page(first, after, fingerprint, len(listing.order) if listing.key is None else 1)
    if place is not None and listing.key is not None:
        place = listing.locate(fetch, parameters, place[0])
        if place is None:
            raise _invalid_cursor()
    rows = listing.page(fetch, parameters, first + 1, place)
    counted = listing.count(fetch, parameters, COUNTED)
    total = None if counted > COUNTED else counted
    nodes = [node(row) for row, _ in rows[:first]]
    shown = [place if listing.key is None else [str(row[listing.key[0]])] for row, place in rows[:first]]
    cursors = [cursor_of(fingerprint, place) for place in shown]
    return connection(nodes, cursors, len(rows) > first, after is not None, total)


def page_of(values: Sequence[Any], name: str, first: int, after: str | None, node: Callable[[Any], T]) -> Connection[T]:
    """One page of a short list that is in memory, in its order; cursors count."""
    fingerprint = fingerprint_of(name, (), {})
    found = check_page(first, after, fingerprint, 1)
    start = 0
    if found is not None:
        if not str(found[0]).isascii() or not str(found[0]).isdigit():
            raise _invalid_cursor()
        start = int(found[0]) + 1
    shown = values[start : start + first]
    cursors = [cursor_of(fingerprint, [str(start + index)]) for index in range(len(shown))]
    return connection(
        [node(value) for value in shown], cursors, start + first < len(values), after is not None, len(values)
    )


def connection(nodes: list[T], cursors: Sequence[str], more: bool, behind: bool, total: int | None) -> Connection[T]:
    """A page of nodes."""
    info = PageInfo(
        has_next_page=more,
        has_previous_page=behind,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
    edges = [Edge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)]
    return Connection(edges=edges, nodes=nodes, page_info=info, total_count=total)


def check_page(first: int, after: str | None, fingerprint: str, columns: int) -> list[str] | None:
    """The values of the cursor. Raises REQUEST_INVALID, CURSOR_INVALID."""
    if not 1 <= first <= LARGEST_PAGE:
        raise refuse("REQUEST_INVALID", f"a page has 1 to {LARGEST_PAGE} rows", pointer="/first")
    if after is None:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(after.encode() + b"=="))
    except (ValueError, binascii.Error, UnicodeError):
        raise _invalid_cursor() from None
    fits = isinstance(value, list) and len(value) == columns + 1 and all(isinstance(part, str) for part in value)
    if not fits or value[0] != fingerprint:
        raise _invalid_cursor()
    values: list[str] = value[1:]
    return values


def _invalid_cursor() -> Exception:
    return refuse("CURSOR_INVALID", "the cursor does not belong to this list", pointer="/after")


def cursor_of(fingerprint: str, values: Sequence[str | None]) -> str:
    text = json.dumps([fingerprint, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def fingerprint_of(name: str, order: object, parameters: Mapping[str, Any]) -> str:
    told = json.dumps([name, order, dict(sorted(parameters.items()))], default=_text)
    return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else str(value)


def check_range(first: dt.date | None, last: dt.date | None, pointer: str = "/dateFrom") -> None:
    """Two days that limit a list, both included. Raises DATE_RANGE_INVALID."""
    if first is not None and last is not None and first > last:
        raise refuse("DATE_RANGE_INVALID", "the first day lies behind the last", pointer=pointer)
