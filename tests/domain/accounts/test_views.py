"""What an account shows of itself on a day: the tags of the account home."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from domain.accounts.account import Account, AccountStatus
from domain.accounts.bill_type import AllocationMode, BillType
from domain.accounts.holds import HeldActivity, Hold, HoldType, active_holds
from domain.accounts.views import account_tags

DAY = dt.date(2026, 3, 15)


def _hold(name: str, kind: HoldType, effective: str, expiration: str | None = None) -> Hold:
    until = None if expiration is None else dt.date.fromisoformat(expiration)
    return Hold(name, kind, "dispute", dt.date.fromisoformat(effective), until)


@pytest.mark.rule("ACC-054")
def test_of_overlapping_holds_the_end_of_one_changes_neither_the_pause_nor_the_tag() -> None:
    holds = (
        _hold("C", HoldType.CANCELLATION, "2026-03-12"),
        _hold("A", HoldType.INVOICE, "2026-03-01", "2026-03-15"),
        _hold("B", HoldType.INVOICE, "2026-03-10", "2026-03-20"),
    )
    account = Account(status=AccountStatus.ACTIVE, bill_type=BillType.LIST_BILL, holds=holds)
    shown = {day: account_tags(account, dt.date(2026, 3, day))[1:] for day in (9, 11, 15, 19, 20)}
    assert shown == {
        9: ("Invoice On Hold",),
        11: ("Invoice On Hold",),
        15: ("Invoice On Hold", "Cancellation On Hold"),
        19: ("Invoice On Hold", "Cancellation On Hold"),
        20: ("Cancellation On Hold",),
    }
    paused = {day: bool(active_holds(holds, HeldActivity.INVOICING, dt.date(2026, 3, day))) for day in (9, 15, 19, 20)}
    assert paused == {9: True, 15: True, 19: True, 20: False}


def test_the_tags_stand_in_the_order_of_the_account_home() -> None:
    draft = Account(holds=(_hold("N", HoldType.CANCEL_NOTICE, "2026-01-01"),))
    assert account_tags(draft, DAY) == ("DRAFT", "Empty", "Cancel Notice On Hold")
    billed = replace(
        draft, status=AccountStatus.ACTIVE, bill_type=BillType.LIST_BILL, allocation_mode=AllocationMode.TRUE_GROUP
    )
    assert account_tags(billed, DAY) == ("LIST_BILL", "TRUE_GROUP", "Cancel Notice On Hold")
    assert account_tags(replace(billed, holds=(), status=AccountStatus.CLOSED), DAY)[0] == "CLOSED"
