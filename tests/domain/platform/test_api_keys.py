"""The life of an API key."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.errors import Refusal
from domain.platform.api_keys import (
    API_KEY,
    ApiKeyIssued,
    ApiKeyRotated,
    ApiKeyState,
    KeyStatus,
    issue,
    revoke,
    rotate,
)

TODAY = dt.date(2025, 3, 1)
NOON = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


def issued(days: int = 90, addresses: tuple[str, ...] = ()) -> ApiKeyState:
    expires_on = TODAY + dt.timedelta(days=days)
    return API_KEY.fold(issue("k1", "policy", ["policytxn.submit"], None, addresses, expires_on, "h" * 64, TODAY))


@pytest.mark.rule("PLT-095")
def test_a_key_lives_at_most_365_days() -> None:
    (event,) = issue("k1", "policy", ["policytxn.submit"], None, (), dt.date(2026, 3, 1), "h", TODAY)
    assert isinstance(event, ApiKeyIssued)
    assert event.expires_at == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for too_far in (dt.date(2026, 3, 2), TODAY, dt.date(2025, 2, 1)):
        with pytest.raises(Refusal) as refused:
            issue("k1", "policy", ["policytxn.submit"], None, (), too_far, "h", TODAY)
        assert refused.value.code == "VALUE_OUT_OF_RANGE"


@pytest.mark.rule("PLT-095")
def test_a_key_holds_named_privileges_only_and_none_that_is_a_persons() -> None:
    with pytest.raises(Refusal) as refused:
        issue(
            "k1",
            "policy",
            ["policytxn.submit", "everything", "refund.approve", "arrangement.approve_high", "apikey.manage"],
            None,
            ["10.0.0.0/33"],
            TODAY,
            "h",
            TODAY,
        )
    assert [problem.pointer for problem in refused.value.problems] == [
        "/privileges/1",
        "/privileges/2",
        "/privileges/3",
        "/privileges/4",
        "/addresses/0",
        "/expires_on",
    ]


def test_a_key_ends_at_the_beginning_of_its_last_day() -> None:
    key = issued(days=1)
    assert key.status_at(NOON) is KeyStatus.ACTIVE
    assert key.status_at(dt.datetime(2025, 3, 1, 23, 59, 59, 999999, dt.UTC)) is KeyStatus.ACTIVE
    assert key.status_at(dt.datetime(2025, 3, 2, tzinfo=dt.UTC)) is KeyStatus.EXPIRED


@pytest.mark.rule("PLT-095")
def test_a_key_is_used_from_its_addresses_only() -> None:
    key = issued(addresses=("192.0.2.0/24", "2001:db8::/32"))
    assert key.is_usable(NOON, "192.0.2.7")
    assert key.is_usable(NOON, "2001:db8::1")
    assert not key.is_usable(NOON, "198.51.100.7")
    assert not key.is_usable(NOON, None)
    assert not key.is_usable(NOON, "somewhere")
    assert issued().is_usable(NOON, None)


@pytest.mark.rule("PLT-095")
def test_after_a_rotation_the_old_key_is_valid_seven_more_days() -> None:
    key = issued()
    old, new = rotate(key, "k2", "n" * 64, dt.date(2025, 12, 1), NOON)
    key, successor = API_KEY.fold(old, key), API_KEY.fold(new)
    assert key.status_at(NOON) is KeyStatus.RETIRING
    assert key.is_usable(NOON + dt.timedelta(days=7, microseconds=-1), None)
    assert key.status_at(NOON + dt.timedelta(days=7)) is KeyStatus.EXPIRED
    assert (successor.client, successor.privileges) == (key.client, key.privileges)
    assert successor.status_at(NOON) is KeyStatus.ACTIVE
    assert key.replaced_by == successor.key_id == "k2"
    with pytest.raises(Refusal) as refused:
        rotate(key, "k3", "n", dt.date(2025, 12, 1), NOON)
    assert refused.value.code == "STATE_INVALID"


def test_a_rotation_never_lengthens_the_life_of_the_old_key() -> None:
    key = issued(days=2)
    (event,), _ = rotate(key, "k2", "n", dt.date(2025, 12, 1), NOON)
    assert isinstance(event, ApiKeyRotated)
    assert event.valid_until == key.ends_at


@pytest.mark.rule("PLT-095")
def test_a_revoked_key_is_dead_at_once_and_for_good() -> None:
    key = issued()
    key = API_KEY.fold(revoke(key, "leaked", NOON), key)
    assert key.status_at(NOON) is KeyStatus.REVOKED
    assert not key.is_usable(NOON, None)
    for change in (lambda: revoke(key, None, NOON), lambda: rotate(key, "k2", "n", dt.date(2025, 12, 1), NOON)):
        with pytest.raises(Refusal) as refused:
            change()
        assert refused.value.code == "STATE_INVALID"


def test_an_unknown_key_is_not_found() -> None:
    with pytest.raises(Refusal) as refused:
        revoke(ApiKeyState(), None, NOON)
    assert refused.value.code == "ENTITY_NOT_FOUND"


@pytest.mark.rule("PLT-095")
def test_a_key_is_listed_for_renewal_thirty_days_before_its_end() -> None:
    key = issued(days=90)
    end = dt.datetime(2025, 5, 30, tzinfo=dt.UTC)
    assert not key.ends_soon(end - dt.timedelta(days=30, microseconds=1))
    assert key.ends_soon(end - dt.timedelta(days=30))
    assert not key.ends_soon(end)
