"""The stages of the validator: each is looked at only if the ones before it found nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.errors import Refusal
from domain.members.first_placement import Employment, first_account, first_modality, one_employment
from domain.members.requests import RoutingKey
from domain.premium.account_terms import AccountTerms
from tests.domain.members.story import PAYROLL, Group, group_account, individual_account, with_gaps

_F = Frequency


def found(account: AccountTerms, payroll_frequency: Frequency | None = None, **more: Any) -> list[str]:
    """What stages 2 to 5 find for a member on the account; nothing: it can be billed."""
    facts = Group({"G": account}).facts(**more)
    sought = RoutingKey(dt.date(2025, 3, 1), None, None, None, payroll_frequency)
    try:
        assert first_account(sought, facts) == "G"
        first_modality("G", payroll_frequency, facts)
    except Refusal as refusal:
        return [problem.code for problem in refusal.problems]
    return []


def nowhere(_: RoutingKey) -> Routed:
    return Routed(None, ("EMPLOYMENT_MISSING", "PARENT_BILLING_MISSING"))


@pytest.mark.rule("MEM-084", "MEM-088")
@pytest.mark.parametrize(
    ("account", "payroll_frequency", "more", "reasons"),
    [
        (group_account("G"), None, {}, []),
        (group_account("G"), _F.WEEKLY, {}, []),
        # Every reason of a stage, and nothing of a later one.
        (
            individual_account("G"), _F.WEEKLY, {"route": nowhere, "inactive_accounts": frozenset("G")},
            ["EMPLOYMENT_MISSING", "PARENT_BILLING_MISSING"],
        ),
        (
            individual_account("G"), _F.WEEKLY, {"inactive_accounts": frozenset("G")}, ["BILLING_ACCOUNT_NOT_ACTIVE"],
        ),
        (individual_account("G", payroll=PAYROLL), _F.WEEKLY, {}, ["PAYROLL_CALENDAR_MISSING"]),
        (individual_account("G", payroll=PAYROLL), _F.BIWEEKLY, {}, []),
        (individual_account("G", payroll=PAYROLL), None, {}, ["MODALITY_UNRESOLVED"]),
        # The locked monthly calendar of a seasonal account serves every payroll frequency.
        (with_gaps(individual_account("G", payroll=PAYROLL), 7), _F.WEEKLY, {}, []),
        (with_gaps(individual_account("G", payroll=PAYROLL[1:]), 7), _F.BIWEEKLY, {}, ["PAYROLL_CALENDAR_MISSING"]),
    ],
)  # fmt: skip
def test_what_is_not_set_up_is_found_stage_by_stage(
    account: AccountTerms, payroll_frequency: Frequency | None, more: dict[str, Any], reasons: list[str]
) -> None:
    assert found(account, payroll_frequency, **more) == reasons


@pytest.mark.rule("MEM-086")
def test_only_one_employment_may_be_active() -> None:
    assert one_employment([]) == Employment()
    assert one_employment([Employment("L1")]) == Employment("L1")
    with pytest.raises(Refusal, match="MULTIPLE_EMPLOYMENTS") as raised:
        one_employment([Employment("L1"), Employment("L2", "D")])
    assert "L1, L2/D" in raised.value.problems[0].message
