"""Before a purchase: would a member be billed, and if not, what has to be set up first (MEM-090)?"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field

from application.command import Command, Identifier, Outcome, Part, command, handles
from application.members import facts_of
from application.setups import load_policy
from application.unit_of_work import UnitOfWork
from domain.calendar.frequency import Frequency
from domain.errors import Refusal
from domain.members.dead_letter import reasons_of
from domain.members.first_placement import Employment, first_account, first_modality, one_employment
from domain.members.requests import RoutingKey, TransactionFacts
from domain.products.master_policy import MASTER_POLICY, MemberValidationFailed

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class EmploymentPart(Part):
    """An employment: `effective_date` is its first day, `end_date` the first day it no longer holds; left out: open."""

    location: _Name | None = None
    division: _Name | None = None
    effective_date: dt.date | None = None
    end_date: dt.date | None = None

    def active_on(self, day: dt.date) -> bool:
        return (self.effective_date is None or self.effective_date <= day) and (
            self.end_date is None or day < self.end_date
        )


@command(
    privilege="integration.policy",
    room="03",
    summary="Check before a purchase whether the member could be billed",
    rules=("MEM-084", "MEM-086", "MEM-087", "MEM-088", "MEM-090", "MEM-092"),
    refusals=("MASTER_POLICY_NOT_FOUND",),
    example={
        "master_policy": "MP-100",
        "effective_date": "2025-01-01",
        "member_class": "C1",
        "employments": [{"location": "C-101"}],
    },
)
class CheckMemberPurchase(Command):
    """Answers AUTHORIZED, or BLOCKED with the reasons of the first stage that fails; nothing of the member is kept."""

    master_policy: Identifier
    effective_date: dt.date
    member_class: _Name | None = None
    payroll_frequency: Frequency | None = None
    employments: Annotated[tuple[EmploymentPart, ...], Field(max_length=50)] = ()


@handles(CheckMemberPurchase)
def check_member_purchase(command: CheckMemberPurchase, unit: UnitOfWork) -> Outcome:
    policy = load_policy(unit, command.master_policy)
    try:
        account = _billed_on(command, facts_of(unit, policy.state, ""))
    except Refusal as refusal:
        reasons = reasons_of(refusal.problems)
        failed = MemberValidationFailed(
            master_policy=policy.identifier,
            effective_date=command.effective_date,
            reasons=tuple(one.code for one in reasons),
        )
        unit.append(MASTER_POLICY, policy.identifier, [failed], effective_date=command.effective_date)
        told = [{"code": one.code, "message": one.message, "hint": one.hint} for one in reasons]
        return Outcome({"status": "BLOCKED", "account": None, "reasons": told})
    return Outcome({"status": "AUTHORIZED", "account": account, "reasons": []})


def _billed_on(command: CheckMemberPurchase, facts: TransactionFacts) -> str:
    """The account that would bill the member. Refuses with the reasons of the first stage that fails."""
    day = command.effective_date
    active = [Employment(one.location, one.division) for one in command.employments if one.active_on(day)]
    employment = one_employment(active)
    sought = RoutingKey(day, employment.location, employment.division, command.member_class, command.payroll_frequency)
    account = first_account(sought, facts)
    first_modality(account, command.payroll_frequency, facts)
    return account
