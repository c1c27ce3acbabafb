"""Where a new member record would be billed, and why it could not: one validator for New Business and for the check
before a purchase (MEM-084).

In stages, each only if the ones before it found nothing: the employment, the account of the routing key, its status,
its payroll calendar, and the modality. What is found is refused with every reason of the failing stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.accounts.bill_type import AllocationMode
from domain.calendar.frequency import Frequency
from domain.errors import Problem, Refusal, refuse
from domain.members.modality import ModalityChoice, placed_modality
from domain.members.requests import RoutingKey, TransactionFacts
from domain.premium.account_terms import AccountTerms


@dataclass(frozen=True, slots=True)
class Employment:
    """Where somebody works: a location, a division, or neither."""

    location: str | None = None
    division: str | None = None

    def __str__(self) -> str:
        return "/".join(unit for unit in (self.location, self.division) if unit) or "-"


def one_employment(active: Sequence[Employment]) -> Employment:
    """Stage 1: the only employment active on the day, if there is any. Refuses MULTIPLE_EMPLOYMENTS (MEM-086)."""
    if len(active) > 1:
        named = ", ".join(str(one) for one in active)
        raise refuse("MULTIPLE_EMPLOYMENTS", f"several employments are active: {named}")
    return active[0] if active else Employment()


def first_account(sought: RoutingKey, facts: TransactionFacts) -> str:
    """Stages 2 to 4: the account that bills the record. Refuses with the reasons of the set-up (MEM-087), with
    BILLING_ACCOUNT_NOT_ACTIVE or with PAYROLL_CALENDAR_MISSING (MEM-088)."""
    answer = facts.route(sought)
    if answer.account is None:
        reasons = answer.reasons or ("BILLING_ACCOUNT_MISSING",)
        raise Refusal([Problem(reason, "no account is set up for the routing key") for reason in reasons])
    if answer.account in facts.inactive_accounts:
        raise refuse("BILLING_ACCOUNT_NOT_ACTIVE", "the account is not active", entity=answer.account)
    terms = facts.terms_of(answer.account)
    needed = _payroll_calendar(terms, sought.payroll_frequency)
    if needed is not None and all(one.frequency is not needed for one in terms.payroll):
        raise refuse(
            "PAYROLL_CALENDAR_MISSING",
            f"the account has no payroll calendar for {needed.value}",
            entity=answer.account,
        )
    return answer.account


def first_modality(account: str, payroll_frequency: Frequency | None, facts: TransactionFacts) -> ModalityChoice:
    """Stage 5: the modality on the account. Refuses MODALITY_UNRESOLVED (MEM-110)."""
    return placed_modality(facts.terms_of(account), payroll_frequency, facts.policy.terms.allowed_modalities)


def _payroll_calendar(terms: AccountTerms, payroll_frequency: Frequency | None) -> Frequency | None:
    """The calendar an INDIVIDUAL account needs for a member; None: none, or no frequency to choose it by, which is for
    the modality to tell. On a seasonal account its locked monthly calendar serves every payroll frequency."""
    if terms.allocation_mode is not AllocationMode.INDIVIDUAL:
        return None
    return Frequency.MONTHLY if terms.seasonal_gaps else payroll_frequency
