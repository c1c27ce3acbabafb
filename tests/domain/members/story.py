"""A group, its accounts and its members, told as the rulebook tells its examples: what is sent, what is invoiced.

`Group` keeps the accounts, the set-up by which members are routed, and the live invoices; `Member` sends transactions
to its record, folds the events and publishes ANYB after each, as the application does. Amounts are written as texts of
major units.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from domain.accounts.bill_type import AllocationMode, BillType
from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, Period
from domain.errors import Refusal
from domain.members.anyb_publication import changed_since, publish_anyb
from domain.members.decisions import decide, unpark
from domain.members.record import MEMBER_RECORD, MemberRecord, VersionStatus, active_timeline, latest_timeline
from domain.members.requests import (
    NewMember,
    PolicyFacts,
    RollOnAction,
    RollOnDecision,
    RoutingKey,
    TransactionFacts,
    TransactionRequest,
)
from domain.members.rollon import instruct
from domain.money import format_amount, parse_amount
from domain.premium.account_terms import AccountTerms, PayrollSchedule
from domain.premium.anyb import InvoicedAmount
from domain.premium.charges import Charge, ChargeKey, charges, charges_billed_in
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    Origin,
    PremiumAmount,
    PremiumSequence,
    TransactionType,
    WaiverSource,
)
from domain.products.master_policy import PolicyTerms
from tests.domain.premium.builders import Dates

LIFE = ItemKey("LIFE")
START = dt.date(2025, 1, 1)
NOW = dt.datetime(2025, 9, 1, 8, 0, tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    """A date of 2025 from "03-16", or any from its ISO text."""
    return dt.date.fromisoformat(text if len(text) > 5 else f"2025-{text}")


def cents(text: str) -> int:
    return parse_amount(text, "USD")


def money(minor: int) -> str:
    return format_amount(minor, "USD")


def amount(annual: str | None, key: ItemKey = LIFE, *sequences: PremiumSequence) -> PremiumAmount:
    """An annual amount; None removes the key."""
    return PremiumAmount(key, None if annual is None else cents(annual), sequences)


def roll_on(transaction_id: str, annual: str | None = None, as_: str | None = None) -> RollOnDecision:
    """The decision to roll a transaction on, re-rated or as it was."""
    amounts = () if annual is None else (amount(annual),)
    return RollOnDecision(transaction_id, RollOnAction.ROLL_ON, amounts, as_)


def drop(transaction_id: str) -> RollOnDecision:
    return RollOnDecision(transaction_id, RollOnAction.DROP)


def group_account(
    name: str, start: str = "01-01", frequency: Frequency = Frequency.MONTHLY, **more: Any
) -> AccountTerms:
    """A TRUE_GROUP list-bill account, invoicing from a date."""
    return AccountTerms(name, "USD", InvoicingGrid.starting(day(start), frequency), **more)


#: Deductions on the first day of each full modal period of 2025.
PAYROLL = (
    PayrollSchedule(Frequency.MONTHLY, Dates(tuple(dt.date(2025, month, 1) for month in range(1, 13)))),
    PayrollSchedule(
        Frequency.BIWEEKLY, Dates(tuple(dt.date(2025, 1, 1) + dt.timedelta(days=14 * k) for k in range(26)))
    ),
)


def individual_account(name: str, **more: Any) -> AccountTerms:
    """A list-bill account with payroll deduction."""
    return group_account(name, allocation_mode=AllocationMode.INDIVIDUAL, **more)


def direct_account(name: str, start: str = "01-01") -> AccountTerms:
    """An individual direct account, invoicing monthly from a date."""
    return group_account(name, start, bill_type=BillType.INDIVIDUAL_DIRECT, allocation_mode=None)


def one_account(_: RoutingKey) -> Routed:
    """SINGLE_BILL: everybody on G."""
    return Routed("G")


def per_location(sought: RoutingKey) -> Routed:
    """PER_LOCATION with accounts of the locations' names, R for the root; L9 is not set up."""
    if sought.location is None:
        return Routed("R")
    if sought.location != "L9":
        return Routed(sought.location)
    return Routed("R", fallback=True) if sought.employment_change else Routed(None, ("EMPLOYER_BILLING_MISSING",))


def per_class(sought: RoutingKey) -> Routed:
    """PER_CLASS with accounts BA-A and BA-B."""
    if sought.member_class in ("A", "B"):
        return Routed(f"BA-{sought.member_class}")
    return Routed(None, ("CLASS_BILLING_MISSING",))


@dataclass
class Group:
    """A master policy with its accounts; invoices by account and period start."""

    accounts: dict[str, AccountTerms] = field(default_factory=lambda: {"G": group_account("G")})
    route: Callable[[RoutingKey], Routed] = one_account
    terms: PolicyTerms = field(default_factory=PolicyTerms)
    bill_type: BillType = BillType.LIST_BILL
    effective: dt.date = dt.date(2020, 1, 1)
    expiration: dt.date | None = None
    members: list[Member] = field(default_factory=list)
    invoices: dict[str, dict[dt.date, list[InvoicedAmount]]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def facts(self, **more: Any) -> TransactionFacts:
        policy = PolicyFacts("MP-1", self.bill_type, "USD", self.effective, self.expiration, self.terms)
        stated = {"today": NOW.date(), "now": NOW, "policy": policy, "accounts": self.accounts, "route": self.route}
        return TransactionFacts(**{**stated, **self.more, **more})

    def billed(self, account: str) -> list[Period]:
        grid = self.accounts[account].invoicing
        return [grid.period_at(start) for start in self.invoices.get(account, {})]

    def items_of(self, account: str, number: str) -> list[InvoicedAmount]:
        issued = self.invoices.get(account, {}).values()
        return [one for items in issued for one in items if one.key.member_record == number]

    def invoice(self, account: str, on: str) -> str:
        """Issue the invoice of the period that holds the day, for all members; its total."""
        terms = self.accounts[account]
        period = terms.invoicing.period_at(day(on))
        issued = self.invoices.setdefault(account, {})
        assert period.start not in issued
        items: list[InvoicedAmount] = []
        for member in self.members:
            items += member.open_items(account) + member.billed_in(account, period)
        issued[period.start] = items
        for member in self.members:
            member.publish()
        return money(sum(one.net for one in items))

    def invoice_months(self, account: str, first: int, last: int) -> list[str]:
        """Issue the invoices of the months of 2025 from first to last."""
        return [self.invoice(account, f"{month:02}-01") for month in range(first, last + 1)]

    def discard(self, account: str, on: str) -> None:
        """Discard the invoice of the period that holds the day."""
        del self.invoices[account][self.accounts[account].invoicing.period_at(day(on)).start]
        for member in self.members:
            member.publish()


@dataclass
class Member:
    """A member record and everything that happened to it."""

    group: Group
    number: str = "M"
    record: MemberRecord = field(default_factory=MemberRecord)
    events: list[object] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self.group.members.append(self)

    # ---------------------------------------------------------------------------------------------- what is sent

    def start(self, annual: str = "1200.00", on: str = "01-01", **stated: Any) -> Member:
        """New Business on the date; `T1` when it is the first message."""
        amounts = stated.pop("amounts", (amount(annual),))
        self.send(TransactionType.NEW_BUSINESS, on, amounts=amounts, member=NewMember("C-1", "Ada", "Byron"), **stated)
        return self

    def amend(self, on: str, annual: str | None = None, **stated: Any) -> list[object]:
        amounts = stated.pop("amounts", () if annual is None else (amount(annual),))
        kinds = stated.pop("kinds", (AmendmentKind.GENERAL,))
        return self.send(TransactionType.AMENDMENT, on, amounts=amounts, kinds=kinds, **stated)

    def stop(self, on: str, **stated: Any) -> list[object]:
        kinds = (AmendmentKind.STOP_BILLING,)
        return self.send(TransactionType.AMENDMENT, on, kinds=kinds, nonforfeiture="REDUCED_PAID_UP", **stated)

    def resume(self, on: str, **stated: Any) -> list[object]:
        kinds = (AmendmentKind.RESUME_BILLING,)
        return self.send(TransactionType.AMENDMENT, on, kinds=kinds, **{"reason": "PAYMENT_RECEIVED", **stated})

    def cancel(self, on: str, **stated: Any) -> list[object]:
        return self.send(TransactionType.CANCELLATION, on, **stated)

    def rescind(self, on: str, **stated: Any) -> list[object]:
        return self.send(TransactionType.RESCIND_CANCELLATION, on, **stated)

    def reinstate(self, on: str, **stated: Any) -> list[object]:
        return self.send(TransactionType.REINSTATEMENT, on, **stated)

    def renew(self, on: str, annual: str, **stated: Any) -> list[object]:
        return self.send(TransactionType.RENEWAL, on, amounts=(amount(annual),), **stated)

    def port(self, on: str, account: str | None = "ID", **stated: Any) -> list[object]:
        return self.move(TransactionType.PORTABILITY, on, account, **stated)

    def move(self, kind: TransactionType, on: str, account: str | None = "ID", **stated: Any) -> list[object]:
        return self.send(kind, on, account=account, **{"modality": Frequency.MONTHLY, **stated})

    def employ(self, on: str, location: str | None = None, **stated: Any) -> list[object]:
        return self.send(TransactionType.EMPLOYMENT_CHANGE, on, location=location, **{"origin": Origin.CEM, **stated})

    def waive(self, on: str, until: str | None = None, **stated: Any) -> list[object]:
        source = stated.pop("waiver_source", WaiverSource.CLAIMS)
        end = None if until is None else day(until)
        return self.send(TransactionType.WAIVER_ADD, on, until=end, waiver_source=source, **stated)

    def end_waiver(self, on: str, waiver_id: str, **stated: Any) -> list[object]:
        source = stated.pop("waiver_source", WaiverSource.CLAIMS)
        return self.send(TransactionType.WAIVER_REMOVE, on, waiver_id=waiver_id, waiver_source=source, **stated)

    def request(self, kind: TransactionType | str, on: str | None, **stated: Any) -> TransactionRequest:
        """The message, with the next transaction id `T<n>` unless one is stated."""
        date = None if on is None else day(on)
        common = {
            "transaction_id": f"T{self.sent + 1}",
            "type": str(kind),
            "effective_date": date,
            "transaction_date": date,
            "origin": Origin.POLICY,
            "member_record": self.number,
        }
        return TransactionRequest(**{**common, **stated})

    def send(self, kind: TransactionType | str, on: str | None, **stated: Any) -> list[object]:
        """Send a message; its events, ANYB included."""
        facts = stated.pop("facts", {})
        request = self.request(kind, on, **stated)
        events = decide(self.record, request, self.group.facts(**facts))
        self.sent += 1
        return self.happen(events)

    def decide(self, *decisions: RollOnDecision) -> list[object]:
        """Instruct the roll-on."""
        return self.happen(instruct(self.record, decisions, self.group.facts()))

    def unpark(self, transaction_id: str) -> list[object]:
        return self.happen(unpark(self.record, transaction_id, self.group.facts()))

    def refused(self, act: Callable[[], object]) -> list[str]:
        """The codes with which the act is refused; nothing has changed."""
        before = self.record
        with pytest.raises(Refusal) as refusal:
            act()
        assert self.record is before
        return [problem.code for problem in refusal.value.problems]

    def happen(self, events: Iterable[object]) -> list[object]:
        """Fold the events and publish ANYB since the first day they may have changed."""
        before, happened = self.record, list(events)
        self._fold(happened)
        if happened:
            happened += self.publish(changed_since(before, happened), happened)
        return happened

    def publish(self, since: dt.date = dt.date.min, events: Iterable[object] = ()) -> list[object]:
        """Publish ANYB on all accounts with an invoice."""
        if not self.record.exists:
            return []
        invoiced = {name: self.group.items_of(name, self.number) for name in self.group.invoices}
        billed = {name: self.group.billed(name) for name in self.group.invoices}
        published = publish_anyb(self.record, self.group.facts(), invoiced, billed, events, since=since)
        self._fold(published)
        return list(published)

    def _fold(self, events: Iterable[object]) -> None:
        for one in events:
            self.record = MEMBER_RECORD.evolve(self.record, one)
            self.events.append(one)

    # ---------------------------------------------------------------------------------------------- what it comes to

    def open_items(self, account: str) -> list[InvoicedAmount]:
        """The ANYB keys an invoice takes; none while held (PRM-111)."""
        published = self.record.anyb_of(account)
        if published is None or self.record.is_roll_on_pending:
            return []
        return [
            InvoicedAmount(
                ChargeKey(self.number, account, one.item, one.sequence, one.modality, one.period_start),
                one.charge,
                one.waiver,
                one.billing_start,
                one.sources,
            )
            for one in published.lines
        ]

    def billed_in(self, account: str, period: Period) -> list[InvoicedAmount]:
        """The charges an invoice of the period bills, from the ACTIVE version."""
        if not self.record.exists:
            return []
        kept = {one.key: one.billing_start for one in self.group.items_of(account, self.number)}
        terms = self.group.accounts[account]
        found = charges_billed_in(self.active, terms, period, kept)
        return [InvoicedAmount(one.key, one.gross, one.waiver, period.start) for one in found if one.has_item]

    @property
    def active(self) -> Any:
        return active_timeline(self.record, term_expiration=self.group.expiration)

    @property
    def latest(self) -> Any:
        return latest_timeline(self.record, term_expiration=self.group.expiration)

    def charges(self, account: str, first: str, end: str, *, latest: bool = False) -> list[Charge]:
        timeline = self.latest if latest else self.active
        return charges(timeline, self.group.accounts[account], day(first), day(end))

    def nets(self, account: str, first: str, end: str, *, latest: bool = False) -> list[str]:
        """The net charges of the modal periods that touch [first, end)."""
        return [money(one.net) for one in self.charges(account, first, end, latest=latest)]

    def anyb(self, account: str = "G") -> str:
        """The last published ANYB on the account."""
        published = self.record.anyb_of(account)
        return "0.00" if published is None else money(published.total)

    def anyb_lines(self, account: str = "G") -> dict[str, tuple[str, str]]:
        """(charge, waiver) of the open keys by the first day of their modal period, "03-01"."""
        published = self.record.anyb_of(account)
        lines = () if published is None else published.lines
        return {f"{one.period_start:%m-%d}": (money(one.charge), money(one.waiver)) for one in lines}

    def status(self, transaction_id: str) -> str:
        found = self.record.transaction(transaction_id)
        assert found is not None
        return found.status.value

    @property
    def versions(self) -> dict[int, str]:
        """Status by version number."""
        return {one.number: one.status.value for one in self.record.versions}

    @property
    def active_number(self) -> int:
        found = [one.number for one in self.record.versions if one.status is VersionStatus.ACTIVE]
        assert len(found) == 1
        return found[0]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(account, effective, modal, prorated or "") of the latest version's rows, in order of date."""
        ordered = sorted(self.record.rows, key=lambda one: (one.effective, one.account, one.key))
        return [(one.account, f"{one.effective:%m-%d}", money(one.modal), _prorated(one.prorated)) for one in ordered]


def _prorated(minor: int | None) -> str:
    return "" if minor is None else money(minor)


def with_gaps(terms: AccountTerms, *months: int) -> AccountTerms:
    """The account with seasonal gaps."""
    return replace(terms, seasonal_gaps=frozenset(months))


def names(events: Iterable[object]) -> list[str]:
    """The type names of events, in order."""
    return [type(one).__name__ for one in events]
