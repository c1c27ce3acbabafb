"""The trail of queries in PostgreSQL: written on the writers' side, read page by page (PLT-079)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from psycopg.rows import dict_row

from application.query_trail import QueryRecord
from infrastructure.event_store.codec import canonical
from infrastructure.postgres.connection import Call, Statement, StoreConnection
from infrastructure.postgres.database import Database

Row = dict[str, Any]

_INSERT = Statement(
    "query_audit_record",
    """
    INSERT INTO query_audit (recorded_at, actor_kind, actor, person, client, address, session, query, classes, objects,
        object_count, duration_us, correlation_id)
    VALUES ($1::timestamptz, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::json, $9::text[],
        $10::text[], $11::integer, $12::bigint, $13::uuid)
    """,
)


class PostgresQueryTrail:
    """Port `QueryTrail`; each record is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, record: QueryRecord) -> None:
        principal = record.principal
        values: list[object] = [
            record.recorded_at,
            principal.kind,
            principal.identifier,
            principal.person,
            principal.client,
            principal.address,
            principal.session,
            canonical(list(record.fields)).decode(),
            [str(one) for one in record.classes],
            list(record.objects),
            record.object_count,
            record.duration,
            record.correlation_id,
        ]
        with self._database.writing() as connection:
            connection.round_trip(Call(_INSERT, values))


class QueryHistory:
    """Reads the trail over one connection, in the transaction it has open."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def page(
        self,
        *,
        actor: str | None,
        concerning: str | None,
        since: dt.datetime | None,
        until: dt.datetime | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> list[tuple[Row, tuple[str, str]]]:
        """Records behind a place, the oldest first, each with its own place; `concerning` is an object they name,
        `since` and `until` are inclusive."""
        rows = self._connection.cursor(row_factory=dict_row).execute(
            """
            SELECT a.*, a.transaction::text AS transaction, a.correlation_id::text AS correlation_id
              FROM query_audit AS a
             WHERE (%(actor)s::text IS NULL OR a.actor = %(actor)s)
               AND (%(concerning)s::text IS NULL OR a.objects @> ARRAY[%(concerning)s::text])
               AND (%(since)s::timestamptz IS NULL OR a.recorded_at >= %(since)s)
               AND (%(until)s::timestamptz IS NULL OR a.recorded_at <= %(until)s)
               AND (a.transaction, a.position) > (%(transaction)s::xid8, %(position)s::bigint)
             ORDER BY a.transaction, a.position LIMIT %(limit)s
            """,
            {
                "actor": actor,
                "concerning": concerning,
                "since": since,
                "until": until,
                "transaction": after[0] if after else "0",
                "position": after[1] if after else "0",
                "limit": limit,
            },
        )
        return [(row, (str(row["transaction"]), str(row["position"]))) for row in rows]
