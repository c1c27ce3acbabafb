"""Ports over the register: the inline projections that handlers may read inside a unit of work.

The register holds, for every account, what is billed, paid, offset and written off by item, which money lies where,
what is not billed yet, and who is placed where: all of it folded from events in the same transaction that stores them,
so a handler that holds the account's lock reads exactly the state its decision will be applied to. Amounts are minor
units; an item is named by invoice number and line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Directory(Protocol):
    """Numbers and who belongs to whom."""

    def resolve_account(self, number: str) -> str | None:
        """The account with this number or legacy number, compared trimmed and upper-cased (ACC-014)."""
        ...

    def accounts_ever_of(self, owner: str) -> int:
        """How many accounts were ever created for the owner (ACC-016)."""
        ...

    def members_of_policy(self, master_policy: str) -> list[str]:
        """Member record numbers of the policy, ascending (PRM-150)."""
        ...

    def members_of_customer(self, customer: str) -> list[str]:
        """Member record numbers of an individual customer, ascending (PRM-094, MEM-007)."""
        ...

    def accounts_on_calendar(self, calendar: str) -> int:
        """How many accounts refer to the business calendar (CAL-009)."""
        ...

    def units_of(self, sponsor: str) -> list[tuple[str, str]]:
        """(reference, role) of the sponsor's units, ascending."""
        ...

    def plan_of_uri(self, uri: str) -> str | None:
        """The key of the payment plan with this URI (CAL-121)."""
        ...

    def plans(self) -> list[str]:
        """The keys of all payment plans, ascending."""
        ...

    def is_setup_account(self, account: str) -> bool:
        """Whether an enabled entry of the latest issued revision of a set-up names the account (ACC-025)."""
        ...


class JobWork(Protocol):
    """What jobs go through, in ascending order behind `after`, at most `limit`; accounts in `excluded` are left out."""

    def active_accounts(
        self, after: str, limit: int, excluded: Sequence[str], groups: Sequence[tuple[str, str]] | None = None
    ) -> list[str]:
        """Active accounts with a bill type; with `groups` those of certain (calendar, time zone), the calendar empty
        for accounts without one."""
        ...

    def groups(self) -> list[tuple[str, str]]:
        """The (calendar, time zone) of all active accounts with a bill type, each once, ascending."""
        ...

    def failed_generations(self, until: dt.datetime, after: str, limit: int, excluded: Sequence[str]) -> list[str]:
        """Accounts whose failed generation is to be tried again at `until` or before (CAL-079)."""
        ...

    def locked_records(
        self, accounts: Sequence[str] | None, after: str, limit: int, excluded: Sequence[str]
    ) -> list[str]:
        """Member records with an undecided roll-on, placed on one of the accounts if some are given (PRM-117)."""
        ...

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        """The latest instant, not after `now`, at which a failed generation is to be tried again."""
        ...


class Placements(Protocol):
    """Which account bills which member on which days."""

    def members_on(self, account: str, first: dt.date, end: dt.date) -> list[str]:
        """Members with a day of placement on the account in [first, end), ascending."""
        ...

    def ever_on(self, account: str, members: Sequence[str]) -> frozenset[str]:
        """Those of the members that have a day of placement on the account."""
        ...

    def has_members_from(self, account: str, day: dt.date) -> bool:
        """Whether a member is placed on the account on the day or later (ACC-025)."""
        ...

    def accounts_of(self, member_record: str) -> list[str]:
        """Every account the member was ever placed on, ascending."""
        ...


class MemberChanges(Protocol):
    """Whether anything happened to the members of a policy since it was last looked at."""

    def horizon(self) -> int:
        """The first transaction of which this snapshot may lack events: what is behind it is not known yet."""
        ...

    def changed(self, master_policy: str, since: int) -> bool:
        """Whether this snapshot shows an event of a member of the policy by that transaction or a later one."""
        ...


class PendingLetters(Protocol):
    """Dead letters that hold up later messages (MEM-093)."""

    def pending(self, key: str) -> list[str]:
        """Dead letters of the record that are open or waiting, in order of receipt."""
        ...


class AccountSums(Protocol):
    """Whether the totals kept of an account are what its parts give (INV-243)."""

    def differing(self, account: str) -> list[str]:
        """The totals that are not, by name; nothing: all agree."""
        ...


class WaitingTasks(Protocol):
    """Tasks that nobody has finished and whose cause still stands (PLT-061)."""

    def of_cause(self, cause: str) -> str | None:
        """The task that waits for the cause."""
        ...

    def on_account(self, account: str) -> list[str]:
        """The tasks that wait on an account, in order of their numbers (ACC-025)."""
        ...


class InvoiceRow(NamedTuple):
    """A live invoice with its money. `positive_billed` is the sum of its positive net lines."""

    number: str
    sequence: int
    period_start: dt.date
    period_end: dt.date
    issue_date: dt.date
    due_date: dt.date
    positive_billed: int
    remaining_due: int
    open_credit: int
    held: int
    total_due: int
    position: int

    @property
    def collectible_due(self) -> int:
        """BAL-006."""
        return max(self.remaining_due - self.held, 0)


class ItemRow(NamedTuple):
    """One counted line of a live invoice (positive: payable, negative: credit) with its key and its money."""

    invoice: str
    line: int
    member: str
    coverage: str
    plan: str
    coverage_class: str
    tier: str
    sub_group: str
    sequence: int
    sequence_id: str
    sequence_root: str
    sequence_effective: dt.date | None
    master_policy: str
    modality: str
    modal_start: dt.date
    modal_end: dt.date
    covered_from: dt.date
    covered_end: dt.date
    billing_start: dt.date
    billing_end: dt.date
    cause: str | None
    location: str | None
    division: str | None
    kind: str
    billed: int
    paid: int
    offset: int
    written_off: int
    held: int

    @property
    def due(self) -> int:
        """Collectible due of a positive item; open credit of a negative one is `-billed - offset`."""
        return self.billed - self.paid - self.offset - self.written_off - self.held


class InvoicedRow(NamedTuple):
    """What live invoices carry for one charge key, charge part and waiver part (PRM-121)."""

    member: str
    coverage: str
    plan: str
    coverage_class: str
    tier: str
    sub_group: str
    sequence_root: str
    modality: str
    modal_start: dt.date
    billing_start: dt.date
    charge: int
    waiver: int


class AllocationRow(NamedTuple):
    """Money of a payment record on an item."""

    record: str
    category: str
    invoice: str
    line: int
    member: str
    amount: int
    position: int


class PairRow(NamedTuple):
    """A credit set against a charge (BAL-061); `matched`: by key, else set off (BAL-068)."""

    negative_invoice: str
    negative_line: int
    positive_invoice: str
    positive_line: int
    amount: int
    matched: bool


class OverpaymentRow(NamedTuple):
    """A member's overpayment in a payment record."""

    record: str
    payment: str
    category: str
    effective_date: dt.date
    member: str
    amount: int


class PaidInvoiceRow(NamedTuple):
    """A live invoice as a unit of paid-to-date sees it: figures of the unit's items on it (BAL-082, BAL-087).

    `own_period`: an item is billed for the invoice's own period. `collectible` is what may still be collected.
    """

    invoice: str
    period_start: dt.date
    period_end: dt.date
    own_period: bool
    billed: int
    positive_billed: int
    paid: int
    written_off: int
    collectible: int


class FreedRow(NamedTuple):
    """Money that a reconciliation took off an item into a bucket."""

    record: str
    category: str
    invoice: str
    line: int
    member: str
    bucket: str
    amount: int
    position: int


class UnappliedRow(NamedTuple):
    """A payment record with money that lies loose on an account."""

    record: str
    payment: str
    category: str
    effective_date: dt.date
    unapplied: int
    locked: bool


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """Balances of an account (BAL-013 to BAL-018), all from live invoices and payments in force."""

    remaining_due: int = 0
    open_credit: int = 0
    total_billed: int = 0
    total_paid: int = 0
    written_off: int = 0
    unapplied: int = 0
    member_unapplied: int = 0
    member_overpayment: int = 0
    anyb: int = 0

    @property
    def due_and_unpaid(self) -> int:
        return self.remaining_due - self.open_credit


@dataclass(frozen=True, slots=True)
class StatementWindow:
    """What happened on an account since its previous statement, by recorded position (BAL-044 to BAL-046)."""

    previous_total_due: int = 0
    payments_received: int = 0
    written_off: int = 0
    discarded_billed: int = 0
    payments_allocated: int = 0
    has_previous: bool = False


class ItemRegister(Protocol):
    """Items, invoices and money of accounts."""

    def totals(self, account: str) -> AccountTotals: ...

    def live_invoices(self, account: str, *, open_only: bool) -> list[InvoiceRow]:
        """Live invoices in invoice order (PAY-040); `open_only`: those with collectible due or open credit."""
        ...

    def invoices(self, numbers: Sequence[str]) -> list[InvoiceRow]: ...

    def open_items(self, account: str, named: Sequence[str] = ()) -> list[ItemRow]:
        """Positive items with something collectible, in item order (PAY-040); of `named` invoices all of them."""
        ...

    def open_items_of(
        self, account: str, *, invoices: Sequence[str], members: Sequence[str], named: Sequence[str]
    ) -> list[ItemRow]:
        """Of what `open_items` gives, the items of these members and all of these invoices, without reading others."""
        ...

    def due_by_product(self, account: str) -> dict[str, int]:
        """Remaining due less open credit by master policy, added up from the items of live invoices (BAL-042)."""
        ...

    def credit_items(self, account: str) -> list[ItemRow]:
        """Negative items with open credit, oldest invoice first."""
        ...

    def items_of_keys(self, account: str, members: Sequence[str]) -> list[ItemRow]:
        """All counted items of these members on the account's live invoices, newest invoice first (BAL-060)."""
        ...

    def items_of_invoice(self, invoice: str) -> list[ItemRow]:
        """All counted items of an invoice, in line order."""
        ...

    def invoiced(self, account: str, members: Sequence[str], since: dt.date) -> Iterator[InvoicedRow]:
        """What live invoices of the account carry for these members in modal periods that end after `since`."""
        ...

    def members_with_anyb(self, account: str) -> list[str]:
        """Members not held for whom something on the account is not billed yet, ascending (PRM-126)."""
        ...

    def members_to_republish(self, account: str, invoice: str) -> list[str]:
        """Members whose unbilled differences an invoice's discard may change: on it with corrections, or with any."""
        ...

    def allocations_on(self, invoices: Sequence[str]) -> list[AllocationRow]:
        """Money on the items of these invoices, in order of allocation."""
        ...

    def allocations_of(self, record: str) -> list[AllocationRow]:
        """Money of the record on items, in item order (PAY-040)."""
        ...

    def unapplied_records(self, account: str) -> list[UnappliedRow]:
        """Records in force with unapplied money, in consumption order within their category (PAY-083)."""
        ...

    def overpayments(self, account: str) -> list[OverpaymentRow]:
        """Members' overpayment in force on the account, in member record order."""
        ...

    def paid_invoices(self, account: str, master_policy: str, member: str | None = None) -> list[PaidInvoiceRow]:
        """Live invoices of the account with items of the policy, or of one of its members, by period."""
        ...

    def excess_freed_by(self, invoice: str) -> list[FreedRow]:
        """What the reconciliation of this invoice's credits freed, in order (BAL-075)."""
        ...

    def members_billed_elsewhere(self, account: str, invoice: str, billing_start: dt.date) -> list[str]:
        """Members with items of this billing period on other live invoices of the account than this one."""
        ...

    def invoices_carrying_keys_of(self, invoice: str) -> list[str]:
        """Later live invoices with an item of a key that is on this invoice (INV-121)."""
        ...

    def records_of_payment(self, payment: str) -> list[str]:
        """Ids of a payment's records, in order of their creation."""
        ...

    def account_of_record(self, record: str) -> str | None:
        """The account of a payment record."""
        ...

    def account_of_invoice(self, invoice: str) -> tuple[str, bool] | None:
        """The account of an invoice and whether the invoice is live; None when there is no such invoice."""
        ...

    def pairs_of(self, invoice: str) -> list[PairRow]:
        """Every pair of credit and charge that the invoice takes part in."""
        ...

    def statement_window(self, account: str) -> StatementWindow: ...
