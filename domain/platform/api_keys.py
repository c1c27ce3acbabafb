"""API keys: how a machine says who it is (PLT-095).

A key is issued to a client application with named privileges and an end; its secret is shown once and only its hash is
kept. Rotating a key issues another one with the same rights and lets the old one go on for seven days, so that the
client can change over without a gap; revoking ends a key at once.

    ACTIVE: rotate -> RETIRING (7 days) -> EXPIRED; any: revoke -> REVOKED
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final

from domain.aggregate import Aggregate
from domain.errors import Problem, refuse, refuse_if_any
from domain.events import event
from domain.platform.privileges import PRIVILEGES, SYSTEM_PRIVILEGE

#: The longest life of a key.
MAX_DAYS: Final = 365
#: How long the old key goes on after a rotation.
RETIRING_DAYS: Final = 7
#: How long before its end a key is listed for renewal.
WARNING_DAYS: Final = 30

#: decision: what only a person may do is not given to a key: approvals are judged by person (PLT-037), and a key that
#: grants rights could grant itself more.
_FOR_PERSONS_ONLY: Final = frozenset(
    name
    for name in PRIVILEGES
    if name.endswith((".approve", ".approve_high"))
    or name in ("user.manage", "apikey.manage", "refundbatch.release", SYSTEM_PRIVILEGE)
)


@event()
class ApiKeyIssued:
    """A client got a key. `secret_hash` is SHA-256 of the secret, in hex; `scope` None means all customers.

    `addresses` are networks in CIDR form from which the key may be used, empty: from anywhere. `expires_at` is the
    first instant at which it is no longer valid. `replaces` names the key that was rotated for it.
    """

    key_id: str
    client: str
    privileges: tuple[str, ...]
    scope: tuple[str, ...] | None
    addresses: tuple[str, ...]
    secret_hash: str
    expires_at: dt.datetime
    replaces: str | None


@event()
class ApiKeyRotated:
    """A key was replaced; it stays valid up to, not including, `valid_until`."""

    key_id: str
    replaced_by: str
    valid_until: dt.datetime


@event()
class ApiKeyRevoked:
    """A key was ended at once."""

    key_id: str
    reason: str | None


class KeyStatus(StrEnum):
    """What a key is at an instant."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    RETIRING = "RETIRING"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class ApiKeyState:
    """A key. `ends_at` is the earlier of its expiry and the end of its retirement."""

    key_id: str = ""
    client: str = ""
    privileges: tuple[str, ...] = ()
    scope: tuple[str, ...] | None = None
    addresses: tuple[str, ...] = ()
    secret_hash: str = ""
    ends_at: dt.datetime | None = None
    replaced_by: str | None = None
    revoked: bool = False

    def status_at(self, now: dt.datetime) -> KeyStatus:
        """The key's state at an instant."""
        if self.ends_at is None:
            return KeyStatus.UNKNOWN
        if self.revoked:
            return KeyStatus.REVOKED
        if now >= self.ends_at:
            return KeyStatus.EXPIRED
        return KeyStatus.RETIRING if self.replaced_by else KeyStatus.ACTIVE

    def is_usable(self, now: dt.datetime, address: str | None) -> bool:
        """Whether the key is valid at an instant and from an address."""
        if self.status_at(now) not in (KeyStatus.ACTIVE, KeyStatus.RETIRING):
            return False
        return not self.addresses or (address is not None and _within(address, self.addresses))

    def ends_soon(self, now: dt.datetime) -> bool:
        """Whether an active key ends within the warning time."""
        if self.ends_at is None or self.status_at(now) is not KeyStatus.ACTIVE:
            return False
        return self.ends_at - now <= dt.timedelta(days=WARNING_DAYS)


def evolve(state: ApiKeyState, occurred: object) -> ApiKeyState:
    """The state after an event."""
    match occurred:
        case ApiKeyIssued():
            return ApiKeyState(
                occurred.key_id,
                occurred.client,
                tuple(occurred.privileges),
                None if occurred.scope is None else tuple(occurred.scope),
                tuple(occurred.addresses),
                occurred.secret_hash,
                occurred.expires_at,
            )
        case ApiKeyRotated():
            return replace(state, replaced_by=occurred.replaced_by, ends_at=occurred.valid_until)
        case ApiKeyRevoked():
            return replace(state, revoked=True)
        case _:
            raise TypeError(f"{type(occurred).__name__} is no event of an API key")


API_KEY: Final = Aggregate("api_key", ApiKeyState, ApiKeyState(), evolve)


def issue(
    key_id: str,
    client: str,
    privileges: Sequence[str],
    scope: Sequence[str] | None,
    addresses: Sequence[str],
    expires_on: dt.date,
    secret_hash: str,
    today: dt.date,
) -> list[object]:
    """Issue a key that is valid until the beginning of `expires_on` (UTC). Refuses with every `VALUE_OUT_OF_RANGE`."""
    refuse_if_any(
        [
            *_problems_of_privileges(privileges),
            *_problems_of_addresses(addresses),
            *_problems_of_expiry(expires_on, today),
        ]
    )
    return [
        ApiKeyIssued(
            key_id=key_id,
            client=client,
            privileges=tuple(sorted(set(privileges))),
            scope=None if scope is None else tuple(sorted(set(scope))),
            addresses=tuple(str(ip_network(address)) for address in addresses),
            secret_hash=secret_hash,
            expires_at=_midnight(expires_on),
            replaces=None,
        )
    ]


def rotate(
    state: ApiKeyState,
    new_key_id: str,
    secret_hash: str,
    expires_on: dt.date,
    now: dt.datetime,
) -> tuple[list[object], list[object]]:
    """Replace an active key: (events of the old key, events of the new one). The old one ends after seven days, or at
    its own end if that comes first. Refuses ENTITY_NOT_FOUND, STATE_INVALID, VALUE_OUT_OF_RANGE."""
    _require(state, now, (KeyStatus.ACTIVE,))
    refuse_if_any(_problems_of_expiry(expires_on, now.date()))
    assert state.ends_at is not None
    retired = ApiKeyRotated(
        key_id=state.key_id,
        replaced_by=new_key_id,
        valid_until=min(state.ends_at, now + dt.timedelta(days=RETIRING_DAYS)),
    )
    issued = ApiKeyIssued(
        key_id=new_key_id,
        client=state.client,
        privileges=state.privileges,
        scope=state.scope,
        addresses=state.addresses,
        secret_hash=secret_hash,
        expires_at=_midnight(expires_on),
        replaces=state.key_id,
    )
    return [retired], [issued]


def revoke(state: ApiKeyState, reason: str | None, now: dt.datetime) -> list[object]:
    """End a key at once, in whatever state it is. Refuses ENTITY_NOT_FOUND, and STATE_INVALID for a revoked one."""
    _require(state, now, (KeyStatus.ACTIVE, KeyStatus.RETIRING, KeyStatus.EXPIRED))
    return [ApiKeyRevoked(key_id=state.key_id, reason=reason)]


def _require(state: ApiKeyState, now: dt.datetime, allowed: Collection[KeyStatus]) -> None:
    status = state.status_at(now)
    if status is KeyStatus.UNKNOWN:
        raise refuse("ENTITY_NOT_FOUND", "there is no such API key", pointer="/key_id", entity="api_key")
    if status not in allowed:
        raise refuse("STATE_INVALID", f"the key is {status}", pointer="/key_id", entity="api_key", status=str(status))


def _problems_of_privileges(privileges: Sequence[str]) -> list[Problem]:
    problems = []
    for index, name in enumerate(privileges):
        if name not in PRIVILEGES:
            message = f"there is no privilege {name}"
        elif name in _FOR_PERSONS_ONLY:
            message = f"{name} is for persons, not for machines"
        else:
            continue
        problems.append(Problem("VALUE_OUT_OF_RANGE", message, pointer=f"/privileges/{index}"))
    return problems


def _problems_of_addresses(addresses: Sequence[str]) -> list[Problem]:
    problems = []
    for index, address in enumerate(addresses):
        try:
            ip_network(address)
        except ValueError:
            message = "a network such as 192.0.2.0/24, without host bits"
            problems.append(Problem("VALUE_OUT_OF_RANGE", message, pointer=f"/addresses/{index}"))
    return problems


def _problems_of_expiry(expires_on: dt.date, today: dt.date) -> list[Problem]:
    if today < expires_on <= today + dt.timedelta(days=MAX_DAYS):
        return []
    message = f"a key ends after today and within {MAX_DAYS} days"
    return [Problem("VALUE_OUT_OF_RANGE", message, pointer="/expires_on", params={"max_days": MAX_DAYS})]


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)
