"""Histories, accounts and a small book of invoices in which the rulebook's examples are told.

Amounts are written as in the rulebook, decimal texts of major units; dates as `day("2025-03-16")`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, Period
from domain.money import format_amount, parse_amount
from domain.premium.account_terms import AccountTerms
from domain.premium.anyb import AnybKey, InvoicedAmount, charge_sources, member_anyb
from domain.premium.charges import Charge, charges, charges_billed_in
from domain.premium.timeline import MemberTerms, Timeline, build_timeline
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    PolicyTransaction,
    PremiumAmount,
    PremiumSequence,
    SequenceHolder,
    TransactionType,
    WaiverSource,
)

LIFE = ItemKey("LIFE")
START = dt.date(2025, 1, 1)


def day(text: str) -> dt.date:
    """A date from its ISO text."""
    return dt.date.fromisoformat(text)


def cents(text: str) -> int:
    """Minor units of an amount such as "-49.32" in a currency with two decimals."""
    return parse_amount(text, "USD")


def money(minor: int) -> str:
    """The amount as the rulebook writes it."""
    return format_amount(minor, "USD")


def amount(annual: str | None, key: ItemKey = LIFE, *sequences: PremiumSequence) -> PremiumAmount:
    """An annual amount; None removes the key."""
    return PremiumAmount(key, None if annual is None else cents(annual), sequences)


def sequence(
    number: int, annual: str, since: str = "2025-01-01", end: str | None = None, **more: str
) -> PremiumSequence:
    """A premium sequence S<number> with one holder over its dates; `id` and `replaces` may be given."""
    until = day(end) if end else None
    return PremiumSequence(
        more.get("id", f"S{number}"),
        number,
        day(since),
        (SequenceHolder(f"P{number}", cents(annual), day(since), until),),
        until,
        more.get("replaces"),
    )


@dataclass
class History:
    """The transactions of one member, recorded in the order in which they are told."""

    member: str = "M"
    effective: dt.date = START
    anchor: dt.date | None = None
    expiration: dt.date | None = None
    transactions: list[PolicyTransaction] = field(default_factory=list)

    def add(self, kind: TransactionType, on: str | dt.date, **stated: object) -> PolicyTransaction:
        """Record one transaction."""
        order = len(self.transactions) + 1
        date = day(on) if isinstance(on, str) else on
        transaction = PolicyTransaction(
            transaction_id=f"T{order}",
            type=kind,
            effective_date=date,
            transaction_date=date,
            recorded_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
            order=order,
            **stated,  # type: ignore[arg-type]
        )
        self.transactions.append(transaction)
        return transaction

    def new_business(self, *amounts: PremiumAmount, **stated: object) -> History:
        """Start on the effective date, on account G unless stated."""
        self.add(TransactionType.NEW_BUSINESS, self.effective, amounts=amounts, **{"account": "G", **stated})
        return self

    def amend(self, on: str, *amounts: PremiumAmount, **stated: object) -> History:
        self.add(TransactionType.AMENDMENT, on, amounts=amounts, kinds=(AmendmentKind.GENERAL,), **stated)
        return self

    def stop(self, on: str) -> History:
        kinds = (AmendmentKind.STOP_BILLING,)
        self.add(TransactionType.AMENDMENT, on, kinds=kinds, nonforfeiture="REDUCED_PAID_UP")
        return self

    def resume(self, on: str) -> History:
        kinds = (AmendmentKind.RESUME_BILLING,)
        self.add(TransactionType.AMENDMENT, on, kinds=kinds, reason="PAYMENT_RECEIVED")
        return self

    def cancel(self, on: str) -> History:
        self.add(TransactionType.CANCELLATION, on)
        return self

    def rescind(self, on: str) -> History:
        self.add(TransactionType.RESCIND_CANCELLATION, on)
        return self

    def reinstate(self, on: str, *amounts: PremiumAmount) -> History:
        self.add(TransactionType.REINSTATEMENT, on, amounts=amounts)
        return self

    def port(self, on: str, account: str, *amounts: PremiumAmount, modality: Frequency = Frequency.MONTHLY) -> History:
        self.add(TransactionType.PORTABILITY, on, account=account, modality=modality, amounts=amounts)
        return self

    def employ(self, on: str, location: str | None, account: str | None = None) -> History:
        self.add(TransactionType.EMPLOYMENT_CHANGE, on, location=location, account=account)
        return self

    def waive(self, on: str, until: str | None = None, *coverages: str, waiver: str = "W") -> History:
        self.add(
            TransactionType.WAIVER_ADD,
            on,
            waiver_id=waiver,
            waiver_source=WaiverSource.CLAIMS,
            until=day(until) if until else None,
            coverages=coverages,
        )
        return self

    def end_waiver(self, on: str, waiver: str = "W") -> History:
        self.add(TransactionType.WAIVER_REMOVE, on, waiver_id=waiver, waiver_source=WaiverSource.CLAIMS)
        return self

    @property
    def terms(self) -> MemberTerms:
        return MemberTerms(self.member, self.effective, self.anchor or self.effective, self.expiration)

    def timeline(self) -> Timeline:
        return build_timeline(self.transactions, self.terms)


def member(annual: str = "1200.00", name: str = "M") -> History:
    """The member of the rulebook's examples: one coverage, effective and anchor 2025-01-01, on account G."""
    return History(name).new_business(amount(annual))


def account(
    name: str = "G", start: str | dt.date = START, frequency: Frequency = Frequency.MONTHLY, **terms: object
) -> AccountTerms:
    """The account of the rulebook's examples: a TRUE_GROUP account, invoicing monthly from 2025-01-01."""
    since = day(start) if isinstance(start, str) else start
    return AccountTerms(name, "USD", InvoicingGrid.starting(since, frequency), **terms)  # type: ignore[arg-type]


def direct(name: str, start: str) -> AccountTerms:
    """An individual direct account, invoicing monthly from a date."""
    return account(name, start, bill_type=BillType.INDIVIDUAL_DIRECT, allocation_mode=None)


def individual(name: str = "G", **terms: object) -> AccountTerms:
    """A list-bill account with payroll deduction."""
    return account(name, allocation_mode=AllocationMode.INDIVIDUAL, **terms)


@dataclass(frozen=True)
class Dates:
    """A payroll deduction schedule given by its dates."""

    dates: tuple[dt.date, ...]

    @property
    def start(self) -> dt.date:
        return self.dates[0]

    def earliest_in(self, first: dt.date, end: dt.date) -> dt.date | None:
        return next((one for one in self.dates if first <= one < end), None)


def charges_from(history: History, terms: AccountTerms, first: str, end: str) -> list[Charge]:
    """The charges of the periods with a covered day in [first, end)."""
    return charges(history.timeline(), terms, day(first), day(end))


def nets(history: History, terms: AccountTerms, first: str, end: str) -> list[str]:
    """The net charges of the periods that touch [first, end), in order."""
    return [money(one.net) for one in charges_from(history, terms, first, end)]


def net_of(history: History, terms: AccountTerms, month: str) -> str:
    """The net charge of the calendar month "2025-03", over all item keys and sequences."""
    first = day(f"{month}-01")
    found = charges(history.timeline(), terms, first, first + dt.timedelta(days=28))
    return money(sum(one.net for one in found if one.period_start == first))


@dataclass
class Book:
    """The live invoices of one account: what a register would tell, kept by hand."""

    terms: AccountTerms
    invoices: dict[dt.date, list[InvoicedAmount]] = field(default_factory=dict)

    @property
    def billed(self) -> list[Period]:
        return [self.terms.invoicing.period_at(start) for start in self.invoices]

    def items_of(self, member_record: str) -> list[InvoicedAmount]:
        return [one for items in self.invoices.values() for one in items if one.key.member_record == member_record]

    def open_keys(self, history: History) -> tuple[AnybKey, ...]:
        """The open ANYB keys of the member."""
        return member_anyb(history.timeline(), self.terms, self.items_of(history.member), self.billed)

    def anyb(self, *histories: History) -> str:
        """ANYB of the members together."""
        return money(sum(key.amount for history in histories for key in self.open_keys(history)))

    def invoice(self, on: str | dt.date, *histories: History) -> str:
        """Issue the invoice of the period that holds the day; its total, ANYB included."""
        period = self.terms.invoicing.period_at(day(on) if isinstance(on, str) else on)
        assert period.start not in self.invoices
        items: list[InvoicedAmount] = []
        for history in histories:
            timeline = history.timeline()
            kept = {one.key: one.billing_start for one in self.items_of(history.member)}
            items += [
                InvoicedAmount(key.key, key.charge, key.waiver, key.billing_start, key.sources)
                for key in self.open_keys(history)
            ]
            items += [
                InvoicedAmount(one.key, one.gross, one.waiver, period.start, charge_sources(timeline, one))
                for one in charges_billed_in(timeline, self.terms, period, kept)
                if one.has_item
            ]
        self.invoices[period.start] = items
        return money(sum(one.net for one in items))

    def invoice_months(self, first: int, last: int, *histories: History) -> list[str]:
        """Issue the invoices of the months of 2025 from first to last."""
        return [self.invoice(dt.date(2025, month, 1), *histories) for month in range(first, last + 1)]

    def discard(self, on: str) -> None:
        """Discard the invoice of the period that holds the day."""
        del self.invoices[self.terms.invoicing.period_at(day(on)).start]


def parts(keys: Iterable[AnybKey]) -> dict[str, tuple[str, str]]:
    """(charge part, waiver part) of the keys by the month in which their modal period starts."""
    return {f"{one.key.period_start:%m}": (money(one.charge), money(one.waiver)) for one in keys}
