"""Automatic use of money that is on the account already: unapplied and members' overpayment (PAY-077 to PAY-083, 096).

Money of several payment records pays in consumption order: category by category, then the oldest effective date. What
each item gets is decided on the total, once; the records then fill those amounts in item order, so that the shares of
the items never depend on how many payments they come from (PAY-044).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.payments.allocation import Dues, OpenAccount, lines_of
from domain.payments.classification import Category
from domain.payments.payment import InvoiceLines

#: Order in which categories are used up (PAY-038); configurable per row of the allocation configuration.
CONSUMPTION_ORDER = (Category.CUSTOMER_CREDIT, Category.INTERNAL, Category.BANKING)


@dataclass(frozen=True, slots=True)
class Consumable:
    """Money of one payment record that may be used: `amount` minor units of its `unapplied`, or of a member's part."""

    record: str
    payment_number: str
    category: Category
    effective_date: dt.date
    amount: int
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Consumption:
    """What each record pays, in consumption order, and what is left of the total; who pays nothing is absent."""

    by_record: tuple[tuple[str, tuple[InvoiceLines, ...]], ...]
    rest: int
    reversed_write_offs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberConsumption:
    """What each record's overpayment pays by member, in member record order; `left` what stays, by (record, member)."""

    by_record: tuple[tuple[str, tuple[tuple[str, tuple[InvoiceLines, ...]], ...]], ...]
    left: Mapping[tuple[str, str], int]
    reversed_write_offs: tuple[str, ...] = ()

    @property
    def allocated(self) -> int:
        return sum(part.total for _, members in self.by_record for _, lines in members for part in lines)


def in_consumption_order(
    records: Iterable[Consumable], category_order: Sequence[Category] = CONSUMPTION_ORDER
) -> list[Consumable]:
    """Category order, then effective date, payment number, record id, all ascending (PAY-083)."""
    rank = {category: place for place, category in enumerate(category_order)}
    return sorted(records, key=lambda one: (rank[one.category], one.effective_date, one.payment_number, one.record))


def consume(
    records: Iterable[Consumable],
    account: OpenAccount,
    *,
    category_order: Sequence[Category] = CONSUMPTION_ORDER,
    only_invoices: frozenset[str] | None = None,
) -> Consumption:
    """Walk the consumable total over the account's open invoices (PAY-079); nothing consumable: nothing (PAY-078).

    `records` leave out what is locked by a refund or being processed. `only_invoices`: those the recurring job
    selected; it also passes RECURRING_SETTINGS. Items of members with a requested cancellation are not taken (PAY-077).
    """
    ordered = [one for one in in_consumption_order(records, category_order) if one.amount > 0]
    total = sum(one.amount for one in ordered)
    dues, write_offs = account.work()
    items = account.items
    rows = None
    if only_invoices is not None or items.withheld:
        rows = [
            row
            for row in range(len(items))
            if (only_invoices is None or items.invoices[row] in only_invoices)
            and not (items.withheld and items.withheld[row])
        ]
    rest = dues.walk(total, rows, write_offs.give_way)
    filled = fill(dues, [one.amount for one in ordered], dues.given)
    return Consumption(
        tuple(
            (one.record, lines_of(items, given, dues.place))
            for one, given in zip(ordered, filled, strict=True)
            if given
        ),
        rest,
        tuple(write_offs.reversed),
    )


def fill(dues: Dues, amounts: Sequence[int], given: Mapping[int, int]) -> list[dict[int, int]]:
    """Share item amounts out to sources that fill them one after another in item order (PAY-044).

    Returns amounts by row for each source; Σ `amounts` ≥ Σ `given`.
    """
    if len(amounts) == 1:
        return [dict(given)]
    shares: list[dict[int, int]] = [{} for _ in amounts]
    source, left = 0, amounts[0] if amounts else 0
    for row in dues.in_item_order(given):
        need = given[row]
        while need:
            if left == 0:
                source += 1
                left = amounts[source]
                continue
            taken = min(need, left)
            shares[source][row] = shares[source].get(row, 0) + taken
            need -= taken
            left -= taken
    return shares


def use_member_money(
    holdings: Iterable[Consumable],
    account: OpenAccount,
    *,
    category_order: Sequence[Category] = CONSUMPTION_ORDER,
    limit: int | None = None,
    give_way: bool = True,
) -> MemberConsumption:
    """Walk members' money over their own unpaid items, member by member in member record order (PAY-081, 082, 096).

    `holdings` carry a member each: overpayment, or money that a discarded invoice freed. `limit`: at most this much, in
    all (PAY-082). A refund lock does not stop it.
    """
    by_member: dict[str, list[Consumable]] = {}
    for one in holdings:
        if one.amount > 0 and one.member is not None:
            by_member.setdefault(one.member, []).append(one)
    dues, write_offs = account.work()
    rows_of: dict[str, list[int]] = {}
    for row, member in enumerate(account.items.members):
        if member in by_member:
            rows_of.setdefault(member, []).append(row)
    before: Callable[[str, int], None] | None = write_offs.give_way if give_way else None
    used: dict[str, list[tuple[str, tuple[InvoiceLines, ...]]]] = {}
    left: dict[tuple[str, str], int] = {}
    allowance = limit
    for member in sorted(by_member):
        ordered = in_consumption_order(by_member[member], category_order)
        total = sum(one.amount for one in ordered)
        usable = total if allowance is None else min(total, allowance)
        dues.given = {}
        rest = dues.walk(usable, rows_of.get(member, []), before)
        if allowance is not None:
            allowance -= usable - rest
        filled = fill(dues, [one.amount for one in ordered], dues.given)
        for one, given in zip(ordered, filled, strict=True):
            if given:
                used.setdefault(one.record, []).append((member, lines_of(account.items, given, dues.place)))
            stays = one.amount - sum(given.values())
            if stays:
                left[(one.record, member)] = left.get((one.record, member), 0) + stays
    return MemberConsumption(
        tuple((record, tuple(members)) for record, members in used.items()), left, tuple(write_offs.reversed)
    )
