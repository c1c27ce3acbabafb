"""Authentication by API key (PLT-095).

The key's own stream in the event log is what it is judged by, so that a key is valid from the command that issued it
and dead from the one that revoked it, without a copy that could lag behind. A stream holds one to three events.
"""

from __future__ import annotations

import hmac

from application.clock import Clock
from application.command import Principal
from application.platform.api_keys import PREFIX, secret_hash, split_key
from application.security import Credentials, NotAuthenticatedError
from domain.platform.api_keys import API_KEY, ApiKeyState
from infrastructure.auth.oidc import bearer_of
from infrastructure.event_store.streams import fold_rows, load_call
from infrastructure.postgres.database import Database


class ApiKeyAuthenticator:
    """Authenticates API keys sent as bearer tokens."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def authenticate(self, credentials: Credentials) -> Principal:
        key = split_key(bearer_of(credentials))
        if key is None:
            raise NotAuthenticatedError("MALFORMED")
        key_id, secret = key
        state = self._load(key_id)
        # Compared also when there is no such key, so that the time taken tells nothing.
        if not hmac.compare_digest(state.secret_hash or "0" * 64, secret_hash(secret)) or not state.key_id:
            raise NotAuthenticatedError("KEY_UNKNOWN")
        if not state.is_usable(self._clock.now(), credentials.address):
            raise NotAuthenticatedError("KEY_NOT_USABLE")
        return Principal(
            kind="MACHINE",
            identifier=f"api_key:{key_id}",
            client=state.client,
            privileges=frozenset(state.privileges),
            scope=state.scope,
            address=credentials.address,
        )

    def _load(self, key_id: str) -> ApiKeyState:
        # From the writers' side: a replica may not know of the revocation yet.
        with self._database.writing() as connection:
            [rows] = connection.round_trip(load_call(API_KEY, [API_KEY.stream(key_id)]))
        return next((folded.state for _, folded in fold_rows(API_KEY, rows)), ApiKeyState())


def is_api_key(token: str) -> bool:
    """Whether a bearer token is an API key rather than a JWT."""
    return token.startswith(PREFIX)
