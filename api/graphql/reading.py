"""The write side's own calculations, for queries: a unit of work that can only read.

Premium terms, prices and unbilled amounts are worked out by the functions that commands use, over the snapshot of the
request, so that a query never shows a figure that a command would not act on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from api.graphql.context import Context
from application.unit_of_work import Loaded, UnitOfWork
from domain.aggregate import Aggregate

S = TypeVar("S")


class _ReadUnit:
    """The reading half of application.unit_of_work.UnitOfWork."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, Loaded[Any]] = {}

    @property
    def now(self) -> dt.datetime:
        return self._context.clock.now()

    def today(self, time_zone: str = "UTC") -> dt.date:
        return self._context.today(time_zone)

    def load(self, aggregate: Aggregate[S], identifier: str) -> Loaded[S]:
        return self.load_many(aggregate, [identifier]).get(identifier) or Loaded(identifier, aggregate.initial, 0)

    def load_many(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        wanted = list(dict.fromkeys(identifiers))
        missing = [one for one in wanted if aggregate.stream(one) not in self._known]
        for identifier, loaded in self._context.history.states(aggregate, missing).items():
            self._known[aggregate.stream(identifier)] = loaded
        return {one: self._known[aggregate.stream(one)] for one in wanted if aggregate.stream(one) in self._known}

    read_many = load_many

    def exists(self, aggregate: Aggregate[Any], identifier: str) -> bool:
        return bool(self.load_many(aggregate, [identifier]))

    def port(self, kind: Any) -> Any:
        return self._context.port(kind)

    def lock(self, *_: str) -> None:
        """Nothing to lock: the snapshot does not move."""


def reading(context: Context) -> UnitOfWork:
    """A unit for calculations; whatever would write fails."""
    return cast(UnitOfWork, _ReadUnit(context))
