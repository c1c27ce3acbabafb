"""Issuing, rotating and revoking API keys (PLT-095).

The secret is made here, told once in the answer, and forgotten: the event and the stored answer hold its hash, or
nothing. A repeated command is therefore answered without it; whoever lost it rotates the key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Annotated, Final

from pydantic import Field

from application.command import Command, Identifier, Outcome, command, handles
from application.unit_of_work import UnitOfWork
from domain.platform.api_keys import API_KEY, issue, revoke, rotate

#: What every key begins with, so that one found in a log or a repository is known for what it is.
PREFIX: Final = "rk_"
_SECRET_BYTES: Final = 32  # 256 bits

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["0195545c1d3b7a2e8f0c6d5b4a392817"])]


@command(
    privilege="apikey.manage",
    room="13",
    summary="Issue an API key to a client application; its secret is shown once",
    example={
        "client": "policy-system",
        "privileges": ["policytxn.submit", "integration.policy"],
        "expires_on": "2025-12-31",
    },
    refusals=("VALUE_OUT_OF_RANGE",),
    rules=("PLT-095",),
)
class IssueApiKey(Command):
    """`scope` lists customer numbers whose accounts the client may see, none given: all. `addresses` are networks such
    as 192.0.2.0/24 from which the key may be used, none given: any. The key ends at the beginning of `expires_on`
    (UTC), at most 365 days from today."""

    client: Identifier
    privileges: Annotated[list[Identifier], Field(min_length=1, max_length=200)]
    scope: Annotated[list[Identifier], Field(max_length=1000)] | None = None
    addresses: Annotated[list[Identifier], Field(max_length=100)] = Field(default_factory=list)
    expires_on: dt.date


@handles(IssueApiKey)
def issue_api_key(wanted: IssueApiKey, unit: UnitOfWork) -> Outcome:
    """Issue the key."""
    key_id, secret = unit.new_id().hex, _new_secret()
    loaded = unit.load(API_KEY, key_id)
    unit.expect_main(API_KEY, loaded)
    events = issue(
        key_id,
        wanted.client,
        wanted.privileges,
        wanted.scope,
        wanted.addresses,
        wanted.expires_on,
        secret_hash(secret),
        unit.today(),
    )
    unit.append(API_KEY, key_id, events)
    return _told_once(key_id, secret, wanted.expires_on)


@command(
    privilege="apikey.manage",
    room="13",
    summary="Replace an API key by a new one; the old one is valid seven more days",
    example={"key_id": "0195545c1d3b7a2e8f0c6d5b4a392817", "expires_on": "2025-12-31"},
    refusals=("ENTITY_NOT_FOUND", "STATE_INVALID", "VALUE_OUT_OF_RANGE"),
    rules=("PLT-095",),
)
class RotateApiKey(Command):
    """The new key has the client, privileges, scope and addresses of the old one."""

    key_id: KeyId
    expires_on: dt.date


@handles(RotateApiKey)
def rotate_api_key(wanted: RotateApiKey, unit: UnitOfWork) -> Outcome:
    """Issue the successor and let the key retire."""
    loaded = unit.load(API_KEY, wanted.key_id)
    unit.expect_main(API_KEY, loaded)
    new_id, secret = unit.new_id().hex, _new_secret()
    retired, issued = rotate(loaded.state, new_id, secret_hash(secret), wanted.expires_on, unit.now)
    unit.append(API_KEY, wanted.key_id, retired)
    unit.append(API_KEY, new_id, issued)
    return _told_once(new_id, secret, wanted.expires_on)


@command(
    privilege="apikey.manage",
    room="13",
    summary="End an API key at once",
    example={"key_id": "0195545c1d3b7a2e8f0c6d5b4a392817", "reason": "leaked"},
    refusals=("ENTITY_NOT_FOUND", "STATE_INVALID"),
    rules=("PLT-095",),
)
class RevokeApiKey(Command):
    """The key is refused from the next request on."""

    key_id: KeyId
    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = None


@handles(RevokeApiKey)
def revoke_api_key(wanted: RevokeApiKey, unit: UnitOfWork) -> Outcome:
    """End the key."""
    loaded = unit.load(API_KEY, wanted.key_id)
    unit.expect_main(API_KEY, loaded)
    unit.append(API_KEY, wanted.key_id, revoke(loaded.state, wanted.reason, unit.now))
    return Outcome({"key_id": wanted.key_id})


def secret_hash(secret: str) -> str:
    """SHA-256 of a secret, in hex. A secret of 256 random bits needs no slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_key(key: str) -> tuple[str, str] | None:
    """Id and secret of a key as its client sends it; None when it is not of that form."""
    key_id, _, secret = key.removeprefix(PREFIX).partition("_")
    formed = key.startswith(PREFIX) and len(key_id) == 32 and key_id.isascii() and key_id.isalnum()
    return (key_id, secret) if formed and 40 <= len(secret) <= 50 else None


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _told_once(key_id: str, secret: str, expires_on: dt.date) -> Outcome:
    return Outcome(
        {"key_id": key_id, "expires_on": expires_on.isoformat()},
        once={"api_key": f"{PREFIX}{key_id}_{secret}"},
    )
