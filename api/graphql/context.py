"""What a query is resolved with: who asks, one snapshot of the read models, and the states of aggregates behind it.

All fields of one request read the same snapshot. States are folded from their streams inside it, so that they agree
with the rows of the inline read models to the event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from strawberry.dataloader import DataLoader

from application.anyb_times import AnybTimes
from application.clock import Clock, civil_date
from application.command import Principal
from application.paid_to_date import RateMemory
from application.query_trail import DataClass
from application.unit_of_work import Loaded
from domain.aggregate import Aggregate
from infrastructure.anyb_times import PostgresAnybTimes
from infrastructure.event_store.history import EventHistory
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.query_records import QueryHistory
from projections.engine import ReadSession
from projections.reads import Reads
from projections.register.queries import PORTS

P = TypeVar("P")
S = TypeVar("S")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class Context:
    """The context of one request."""

    principal: Principal
    session: ReadSession
    clock: Clock
    #: What the days of policies cost, remembered from query to query.
    rates: RateMemory = field(default_factory=RateMemory)
    #: By object, named by its stream: the classes of personal data that the answer tells of it; none: a view.
    told: dict[str, set[DataClass]] = field(default_factory=dict)
    #: Accounts whose balances were found not to fit together.
    incomplete: set[str] = field(default_factory=set)
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)

    @property
    def connection(self) -> StoreConnection:
        return cast(StoreConnection, self.session.connection)

    def today(self, time_zone: str = "UTC") -> dt.date:
        """The civil day in a time zone."""
        return civil_date(self.clock.now(), time_zone)

    def tell(self, stream: str, *classes: DataClass) -> None:
        """Note that the answer shows data of these classes about an object; none: that it is viewed (INV-235)."""
        self.told.setdefault(stream, set()).update(classes)

    @cached_property
    def reads(self) -> Reads:
        """The rows of the read models."""
        return Reads(self.session)

    @cached_property
    def queries(self) -> QueryHistory:
        """The trail of queries."""
        return QueryHistory(self.connection)

    @cached_property
    def history(self) -> EventHistory:
        """The events behind them."""
        return EventHistory(self.connection)

    @cached_property
    def anyb_times(self) -> AnybTimes:
        """When what is not billed yet was last worked out."""
        return PostgresAnybTimes(self.connection)

    def port(self, kind: type[P]) -> P:
        """A read model as the write side reads it."""
        queries: P = PORTS[kind](self.connection.cursor(), self.reads.tables)
        return queries

    def state(self, aggregate: Aggregate[S], identifier: str) -> Loaded[S] | None:
        """The state of one aggregate; None when it does not exist."""
        return self.history.states(aggregate, [identifier]).get(identifier)

    async def state_of(self, aggregate: Aggregate[S], identifier: str) -> Loaded[S] | None:
        """As `state`, but together with what the other rows of the answer ask for."""
        return await self.batched(
            ("state", aggregate.stream_type),
            lambda keys: cast(Mapping[str, Loaded[S]], self.history.states(aggregate, keys)),
            identifier,
        )

    async def batched(self, name: Any, load: Callable[[list[K]], Mapping[K, V]], key: K) -> V | None:
        """The value of a key, loaded together with the keys that the other rows of the answer ask for; None: absent."""
        loader = self._loaders.get(name)
        if loader is None:

            async def several(keys: list[K]) -> list[V | None]:
                found = load(list(dict.fromkeys(keys)))
                return [found.get(wanted) for wanted in keys]

            loader = self._loaders[name] = DataLoader(load_fn=several, max_batch_size=1_000)
        return cast("V | None", await loader.load(key))
