"""Named advisory locks: agreements between the engine's processes that end with the connection or transaction."""

from __future__ import annotations

import hashlib

from projections.engine.database import Connection


def lock_key(name: str) -> int:
    """The number of a named lock."""
    digest = hashlib.blake2b(f"rollon projections {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def try_lock(connection: Connection, key: int) -> bool:
    """Take a lock for as long as the connection lives, if nobody else holds it."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (key,)).fetchone()
    return row is not None and bool(row[0])


def unlock(connection: Connection, key: int) -> None:
    """Give a lock back that `try_lock` took."""
    connection.execute("select pg_advisory_unlock(%s)", (key,))
