"""Paid-to-date of accounts and members, worked out from the items as they stand and the premium in force (BAL-079).

The unit of a true-group account is a master policy on it, from which each member's value follows; elsewhere it is the
member record on the account (BAL-080). decision: nothing is stored; the figure is a function of the register and the
timelines, and every channel shows what this function gives (BAL-101).

What the days of a whole policy cost takes all its members' timelines. It is remembered while nothing of what it depends
on has changed, so that the value of one member does not read all the others each time.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, NamedTuple

from application.invoices import PricedMember, members_of
from application.parameters import account_keys, parameters_in_force
from application.pricing import account_terms
from application.register import ItemRegister, MemberChanges, PaidInvoiceRow, Placements
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT, Account
from domain.accounts.bill_type import AllocationMode, BillType
from domain.balances.member_days import absences, first_day, gaps_from, member_segments
from domain.balances.paid_to_date import (
    Absence,
    PaidToDate,
    RateSegment,
    Settings,
    Strategy,
    UnitInvoice,
    member_of_group,
    paid_to_date,
    settled_amount,
    unit_segments,
)
from domain.errors import refuse
from domain.premium.account_terms import AccountTerms
from domain.premium.timeline import OPEN_END
from domain.products.master_policy import MASTER_POLICY

#: Of how many policies on accounts a process remembers what their days cost.
REMEMBERED: Final = 1_000

_SETTINGS = ("ptd.strategy", "ptd.gap_credit", "ptd.require_first_invoice_paid", "ptd.cap_at_billed_end")


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A paid-to-date with what it was worked out from: the unit, its invoices, what is settled (minor units)."""

    account: str
    master_policy: str
    member_record: str | None
    result: PaidToDate
    settled: int
    invoices: tuple[PaidInvoiceRow, ...]
    segments: tuple[RateSegment, ...]


class _Basis(NamedTuple):
    """What rates depend on beside the events of members: a change of any of it makes them be worked out anew."""

    terms: AccountTerms
    last_invoiced: dt.date | None
    policy_expiration: dt.date | None
    multiple_sequences: bool


@dataclass(frozen=True, slots=True)
class _Rates:
    """What the days of a policy cost on an account: the segments and their first day, if there are any.

    No event of a member of the policy by a transaction before `horizon` is missing in them.
    """

    basis: _Basis
    horizon: int
    segments: tuple[RateSegment, ...]
    start: dt.date | None


class RateMemory:
    """The rates worked out last, by account and policy. Safe to share between the threads of a process."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], _Rates] = OrderedDict()
        self._lock = Lock()

    def get(self, account: str, master_policy: str) -> _Rates | None:
        """What is remembered; whether it still holds is the caller's to find out."""
        with self._lock:
            return self._kept.get((account, master_policy))

    def put(self, account: str, master_policy: str, rates: _Rates) -> None:
        """Remember rates; of many, those used last."""
        with self._lock:
            self._kept[account, master_policy] = rates
            self._kept.move_to_end((account, master_policy))
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)


def account_paid_to_date(
    unit: UnitOfWork, account: str, master_policy: str, memory: RateMemory | None = None
) -> Reckoned:
    """The value of a master policy on a true-group account (BAL-080). Refused where the account has no such unit."""
    state = _account(unit, account)
    if state.bill_type is BillType.FLEXIBILL or state.allocation_mode is AllocationMode.INDIVIDUAL:
        raise refuse("CAPABILITY_NOT_AVAILABLE", "the account has no paid-to-date by policy", entity=account)
    return _of_group(unit, state, master_policy, memory or RateMemory())


def member_paid_to_date(
    unit: UnitOfWork, member_record: str, account: str, memory: RateMemory | None = None
) -> Reckoned:
    """The value of a member on an account (BAL-094 to BAL-098). Refused MEMBER_RECORD_NOT_FOUND."""
    state = _account(unit, account)
    for portion in members_of(unit, [member_record]):
        for member in portion:
            away = absences(member.timeline, account)
            start = first_day(member.timeline, account)
            policy = member.record.master_policy
            if state.allocation_mode is AllocationMode.INDIVIDUAL or state.bill_type is BillType.INDIVIDUAL_DIRECT:
                return _of_member(unit, state, member)
            whole = _of_group(unit, state, policy, memory or RateMemory())
            result = member_of_group(whole.result, start or member.record.effective_date, away)
            return Reckoned(account, policy, member_record, result, whole.settled, whole.invoices, whole.segments)
    raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")


def _account(unit: UnitOfWork, account: str) -> Account:
    state = unit.load(ACCOUNT, account).state
    if not state.number:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    return state


def _of_member(unit: UnitOfWork, account: Account, member: PricedMember) -> Reckoned:
    """The walk of a member that is a unit of its own."""
    number, policy = member.record.number, member.record.master_policy
    rows = unit.port(ItemRegister).paid_invoices(account.number, policy, number)
    segments = member_segments(member.timeline, account_terms(unit, account), _last_day(rows))
    overpayments = unit.port(ItemRegister).overpayments(account.number)
    overpaid = sum([row.amount for row in overpayments if row.member == number])
    away = absences(member.timeline, account.number) if segments else ()
    start = segments[0].start if segments else None
    return _walked(unit, account, policy, rows, tuple(segments), start, member=number, overpaid=overpaid, away=away)


def _of_group(unit: UnitOfWork, account: Account, master_policy: str, memory: RateMemory) -> Reckoned:
    """The walk of a policy on the account."""
    rows = unit.port(ItemRegister).paid_invoices(account.number, master_policy, None)
    rates = _rates(unit, account, master_policy, _last_day(rows), memory)
    return _walked(unit, account, master_policy, rows, rates.segments, rates.start)


def _rates(unit: UnitOfWork, account: Account, master_policy: str, last: dt.date | None, memory: RateMemory) -> _Rates:
    """What the days of the policy cost on the account, remembered or worked out."""
    policy = unit.load(MASTER_POLICY, master_policy).state
    basis = _Basis(account_terms(unit, account), last, policy.expiration_date, policy.terms.multiple_premium_sequences)
    changes = unit.port(MemberChanges)
    horizon = changes.horizon()
    known = memory.get(account.number, master_policy)
    # An older snapshot than the one that was read for them must not be answered from what it does not show.
    holds = known is not None and known.basis == basis and known.horizon <= horizon
    if known is not None and holds and not changes.changed(master_policy, known.horizon):
        rates = replace(known, horizon=horizon)
    else:
        rates = _worked_out(unit, account.number, master_policy, basis, horizon)
    memory.put(account.number, master_policy, rates)
    return rates


def _worked_out(
    unit: UnitOfWork,
    account: str,
    master_policy: str,
    basis: _Basis,
    horizon: int,
) -> _Rates:
    per_member: list[list[RateSegment]] = []
    for portion in members_of(unit, unit.port(Placements).members_on(account, dt.date.min, OPEN_END)):
        for one in portion:
            if one.record.master_policy == master_policy and (segments := _segments(one, basis)):
                per_member.append(segments)
    start = min((segments[0].start for segments in per_member), default=None)
    return _Rates(basis, horizon, tuple(unit_segments(per_member)), start)


def _segments(member: PricedMember, basis: _Basis) -> list[RateSegment]:
    return member_segments(member.timeline, basis.terms, basis.last_invoiced)


def _last_day(rows: Sequence[PaidInvoiceRow]) -> dt.date | None:
    """The end of the last invoiced period, exclusive; None: nothing is invoiced."""
    return max((row.period_end for row in rows if row.own_period), default=None)


def _walked(
    unit: UnitOfWork,
    account: Account,
    master_policy: str,
    rows: Sequence[PaidInvoiceRow],
    segments: tuple[RateSegment, ...],
    start: dt.date | None,
    *,
    member: str | None = None,
    overpaid: int = 0,
    away: tuple[Absence, ...] = (),
) -> Reckoned:
    """The walk of one unit along its days (BAL-081 to BAL-093)."""
    invoices = [
        UnitInvoice(row.period_start, row.period_end, row.collectible == 0, row.positive_billed, row.billed)
        for row in rows
        if row.own_period
    ]
    settled = settled_amount(sum(row.paid for row in rows), [("", row.written_off) for row in rows], overpaid)
    result = paid_to_date(
        segments,
        invoices,
        settled,
        start=start or account.earliest_day or dt.date.min,
        gaps=gaps_from(_last_day(rows), account.grid, account.seasonal_gaps),
        absences=away,
        settings=_settings(unit, account),
    )
    return Reckoned(account.number, master_policy, member, result, settled, tuple(rows), segments)


def _settings(unit: UnitOfWork, account: Account) -> Settings:
    values = parameters_in_force(unit, _SETTINGS, account_keys(account), unit.today(account.time_zone))
    return Settings(
        strategy=Strategy(str(values["ptd.strategy"])),
        gap_credit=bool(values["ptd.gap_credit"]),
        require_first_invoice_paid=bool(values["ptd.require_first_invoice_paid"]),
        cap_at_billed_end=bool(values["ptd.cap_at_billed_end"]),
    )
