"""Paid-to-date of accounts and members, worked out from the items as they stand and the premium in force (BAL-079).

The unit of a true-group account is a master policy on it, from which each member's value follows; elsewhere it is the
member record on the account (BAL-080). Nothing is stored: the figure is a function of the register and the timelines,
and every channel shows what this function gives (BAL-101).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from application.invoices import members_of
from application.parameters import account_keys, parameters_in_force
from application.pricing import account_terms
from application.register import ItemRegister, PaidInvoiceRow, Placements
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
from domain.premium.timeline import OPEN_END

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


def account_paid_to_date(unit: UnitOfWork, account: str, master_policy: str) -> Reckoned:
    """The value of a master policy on a true-group account (BAL-080). Refused where the account has no such unit."""
    state = _account(unit, account)
    if state.bill_type is BillType.FLEXIBILL or state.allocation_mode is AllocationMode.INDIVIDUAL:
        raise refuse("CAPABILITY_NOT_AVAILABLE", "the account has no paid-to-date by policy", entity=account)
    return _of_unit(unit, state, master_policy, None)


def member_paid_to_date(unit: UnitOfWork, member_record: str, account: str) -> Reckoned:
    """The value of a member on an account (BAL-094 to BAL-098). Refused MEMBER_RECORD_NOT_FOUND."""
    state = _account(unit, account)
    for portion in members_of(unit, [member_record]):
        for member in portion:
            away = absences(member.timeline, account)
            start = first_day(member.timeline, account)
            policy = member.record.master_policy
            if state.allocation_mode is AllocationMode.INDIVIDUAL or state.bill_type is BillType.INDIVIDUAL_DIRECT:
                return _of_unit(unit, state, policy, member_record)
            whole = _of_unit(unit, state, policy, None)
            result = member_of_group(whole.result, start or member.record.effective_date, away)
            return Reckoned(account, policy, member_record, result, whole.settled, whole.invoices, whole.segments)
    raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")


def _account(unit: UnitOfWork, account: str) -> Account:
    state = unit.load(ACCOUNT, account).state
    if not state.number:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    return state


def _of_unit(unit: UnitOfWork, account: Account, master_policy: str, member: str | None) -> Reckoned:
    """The walk of one unit: a policy on the account, or one of its members."""
    terms = account_terms(unit, account)
    rows = unit.port(ItemRegister).paid_invoices(account.number, master_policy, member)
    own = [row for row in rows if row.own_period]
    invoices = [
        UnitInvoice(row.period_start, row.period_end, row.collectible == 0, row.positive_billed, row.billed)
        for row in own
    ]
    last = max((row.period_end for row in own), default=None)
    numbers = (
        [member] if member is not None else unit.port(Placements).members_on(account.number, dt.date.min, OPEN_END)
    )
    per_member: list[list[RateSegment]] = []
    away: tuple[Absence, ...] = ()
    starts: list[dt.date] = []
    for portion in members_of(unit, numbers):
        for one in portion:
            if one.record.master_policy != master_policy:
                continue
            segments = member_segments(one.timeline, terms, last)
            if not segments:
                continue
            per_member.append(segments)
            starts.append(segments[0].start)
            if member is not None:
                away = absences(one.timeline, account.number)
    segments = per_member[0] if member is not None and per_member else unit_segments(per_member)
    overpayments = unit.port(ItemRegister).overpayments(account.number) if member is not None else []
    overpaid = sum([row.amount for row in overpayments if row.member == member])
    settled = settled_amount(sum(row.paid for row in rows), [("", row.written_off) for row in rows], overpaid)
    start = min(starts, default=account.earliest_day or dt.date.min)
    gaps = gaps_from(last, account.grid, account.seasonal_gaps)
    result = paid_to_date(
        segments, invoices, settled, start=start, gaps=gaps, absences=away, settings=_settings(unit, account)
    )
    return Reckoned(account.number, master_policy, member, result, settled, tuple(rows), tuple(segments))


def _settings(unit: UnitOfWork, account: Account) -> Settings:
    values = parameters_in_force(unit, _SETTINGS, account_keys(account), unit.today(account.time_zone))
    return Settings(
        strategy=Strategy(str(values["ptd.strategy"])),
        gap_credit=bool(values["ptd.gap_credit"]),
        require_first_invoice_paid=bool(values["ptd.require_first_invoice_paid"]),
        cap_at_billed_end=bool(values["ptd.cap_at_billed_end"]),
    )
