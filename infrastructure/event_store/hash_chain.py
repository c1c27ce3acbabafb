"""The hash chain of a stream: each event's hash is over the hash before it and the event as stored (PLT-024).

    hash = SHA-256( previous_hash in hexadecimal + canonical JSON of the event without its hash )

The canonical JSON has the members of PLT-023, sorted, no blanks, the payload exactly as stored. Anyone can compute it
from a row of the log with a JSON library and SHA-256. decision: `global_position` is not hashed; it is given by the
log, not by the event, and only when the event with its hash is stored.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import NamedTuple
from uuid import UUID

import msgspec

#: The previous hash of a stream's first event: 64 zeros in hexadecimal.
GENESIS = bytes(32)


class Origin(NamedTuple):
    """What all events of one command share: who asked for them, through what, and because of what."""

    actor_kind: str
    actor: str
    client: str
    channel: str
    on_behalf_of: str | None
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None


class Hasher:
    """Hashes the events of one origin and instant; what they share is put into text once."""

    __slots__ = ("_form",)

    def __init__(self, origin: Origin, recorded_at: dt.datetime) -> None:
        head = _json(
            {
                "actor": {"client": origin.client, "id": origin.actor, "kind": origin.actor_kind},
                "causation_id": origin.causation_id,
                "channel": origin.channel,
                "command_id": origin.command_id,
                "correlation_id": origin.correlation_id,
            }
        )[:-1]
        behalf = _json(origin.on_behalf_of)
        instant = _json(timestamp(recorded_at))
        self._form = (
            b"%b"
            + _literal(head)
            + b',"effective_date":"%b","event_id":"%b","on_behalf_of":'
            + _literal(behalf)
            + b',"payload":%b,"previous_hash":"%b","recorded_at":'
            + _literal(instant)
            + b',"schema_version":%d,"stream_id":%b,"stream_position":%d,"stream_type":%b,"type":"%b"}'
        )

    def hash(
        self,
        previous: bytes,
        stream: StreamName,
        stream_position: int,
        type_name: bytes,
        schema_version: int,
        event_id: bytes,
        effective_date: bytes,
        payload: bytes,
    ) -> bytes:
        """The hash of one event; ids and dates as their text."""
        chained = previous.hex().encode()
        text = self._form % (
            chained,
            effective_date,
            event_id,
            payload,
            chained,
            schema_version,
            stream.identifier,
            stream_position,
            stream.kind,
            type_name,
        )
        return hashlib.sha256(text).digest()


class StreamName(NamedTuple):
    """A stream id cut at its colon into JSON strings: the kind of aggregate and the aggregate's own number."""

    kind: bytes
    identifier: bytes

    @classmethod
    def of(cls, stream: str) -> StreamName:
        kind, _, identifier = stream.partition(":")
        return cls(_json(kind), _json(identifier))


def timestamp(instant: dt.datetime) -> str:
    """RFC 3339 in UTC with six decimals and Z."""
    return instant.astimezone(dt.UTC).isoformat(timespec="microseconds")[:-6] + "Z"


_json = msgspec.json.Encoder(order="sorted").encode


def _literal(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
