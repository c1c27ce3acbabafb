"""Cash conservation, as a machine that does whatever users, the hub and jobs may do, in any order.

After every step: what all records of all payments have, with general suspense, is what was received less what was
declined or reversed; no invoice line holds more money than it was billed; the lines that the events name add up to what
the records say they hold on each invoice; and the ledger, posted from the events alone, shows the same buckets.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from domain.errors import Refusal
from domain.ledger.journal import Dating, Dimensions, post
from domain.ledger.postings import Envelope, payment_posting
from domain.payments.allocation import OpenAccount, SpreadSettings
from domain.payments.classification import AccountKind, Bucket, Category, Cause
from domain.payments.configuration import allocate_automatically, default_configuration
from domain.payments.consumption import Consumable, consume, use_member_money
from domain.payments.distribution import Distribution, allocate, allocate_by_command, of_plan
from domain.payments.manual_allocation import TargetFacts, distribute_to_targets
from domain.payments.payment import (
    AllocatedItems,
    MemberAmounts,
    MemberOverpaymentAllocated,
    PaymentAllocated,
    PaymentRecord,
    PaymentUnallocated,
    check_conservation,
    fold,
    move_between_buckets,
    record_lines,
)
from domain.payments.reallocation import reallocate_members
from domain.payments.receiving import NamedInvoice, receive
from domain.payments.targets import Remainder, Target, TargetKind
from domain.payments.transfer import TransferRequest, transfer
from domain.payments.unallocation import (
    MemberScope,
    allocate_member_money,
    release_member_overpayment,
    unallocate_discarded,
    unallocate_excess,
    unallocate_from_members,
    unallocate_payment,
)
from domain.payments.withdrawal import ReleaseTarget, decline, release, reverse, suspend
from tests.domain.payments.builders import TODAY, Row, account, details, offer, open_invoices, open_items

KINDS = {
    "BA-LBI": AccountKind.LIST_BILL_INDIVIDUAL,
    "BA-LBG": AccountKind.LIST_BILL_TRUE_GROUP,
    "BA-IND": AccountKind.INDIVIDUAL_DIRECT,
}
INVOICES = ("INV-1", "INV-2", "INV-3")
MEMBERS = ("MR-1", "MR-2", "MR-3")
BILLED = {
    (name, invoice, line): 1000 * line + 7 * place + 1
    for name in KINDS
    for place, invoice in enumerate(INVOICES)
    for line in (1, 2, 3)
}
ENVELOPE = Envelope("E", dt.datetime(2025, 3, 1, tzinfo=dt.UTC), TODAY)
CONFIRMED = ("DRAFT_DELETION", "MEMBER_UNAPPLIED_MOVE", "UNALLOCATION", "RETAIN_REMAINDER")


def line_dimensions(invoice: str, line: int) -> Dimensions:
    """What the register would say of a line."""
    return Dimensions("ALPHA", invoice=invoice, item=f"{invoice}/{line}", member=MEMBERS[line - 1])


class CashConservation(RuleBasedStateMachine):
    """Three accounts with nine billed lines each, and any number of payments."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, PaymentRecord] = {}
        self.held: dict[str, dict[tuple[str, int], int]] = {}
        self.received = 0
        self.gone = 0
        self.count = 0
        self.ledger: dict[tuple[str, str], int] = {}

    payments = Bundle("payments")

    # --- facts as the register would give them

    def due(self, name: str) -> dict[tuple[str, int], int]:
        left = {
            (invoice, line): billed for (account_name, invoice, line), billed in BILLED.items() if account_name == name
        }
        for record_id, held in self.held.items():
            if self.records[record_id].known.account == name:
                for key, amount in held.items():
                    left[key] -= amount
        return left

    def open_account(self, name: str) -> OpenAccount:
        rows = [
            Row(invoice, amount, member=MEMBERS[line - 1]) for (invoice, line), amount in sorted(self.due(name).items())
        ]
        spread = SpreadSettings(use_priority_rules=KINDS[name].member_level)
        return OpenAccount(open_items(rows), open_invoices(*INVOICES), spread)

    def facts(self, name: str) -> TargetFacts:
        named = {number: NamedInvoice(number, name, False) for number in INVOICES}
        return TargetFacts(name, KINDS[name], self.open_account(name), named, MEMBERS)

    def items(self, record_id: str) -> AllocatedItems:
        rows = sorted((key, amount) for key, amount in self.held[record_id].items() if amount)
        return AllocatedItems(
            tuple(invoice for (invoice, _), _ in rows),
            tuple(line for (_, line), _ in rows),
            tuple(MEMBERS[line - 1] for (_, line), _ in rows),
            tuple(amount for _, amount in rows),
        )

    def apply(self, record_id: str, events: list[object] | tuple[object, ...]) -> None:
        before = self.records.get(record_id, PaymentRecord())
        self.records[record_id] = fold(before, events)
        held = self.held.setdefault(record_id, {})
        self.post(events)
        for event in events:
            sign = -1 if isinstance(event, PaymentUnallocated) else 1
            if isinstance(event, PaymentAllocated | PaymentUnallocated | MemberOverpaymentAllocated):
                for invoice, line, amount in record_lines(event.lines):
                    held[(invoice, line)] = held.get((invoice, line), 0) + sign * amount

    def post(self, events: Iterable[object]) -> None:
        """Keep the ledger: balances by billing account and code, debits less credits."""
        for event in events:
            money = payment_posting(event, ENVELOPE, lambda _: "ALPHA", line_dimensions)
            entry = post(money, Dating(TODAY)).entry if money else None
            for line in entry.lines if entry else ():
                key = (line.dimensions.account or "", line.code)
                self.ledger[key] = self.ledger.get(key, 0) + line.debit - line.credit

    def of_payment(self, record_id: str) -> list[PaymentRecord]:
        number = self.records[record_id].known.payment_number
        return [state for state in self.records.values() if state.known.payment_number == number]

    # --- what may happen

    @initialize(target=payments, categories=st.lists(st.sampled_from(Category), min_size=3, max_size=3))
    def start_with_a_payment_on_each_account(self, categories: list[Category]) -> object:
        names = zip(sorted(KINDS), categories, strict=True)
        return multiple(*(self.received_on(name, 5000, category) for name, category in names))

    @rule(
        target=payments,
        name=st.sampled_from(sorted(KINDS)),
        amount=st.integers(1, 9000),
        category=st.sampled_from(Category),
    )
    def receive(self, name: str, amount: int, category: Category) -> str:
        return self.received_on(name, amount, category)

    def received_on(self, name: str, amount: int, category: Category) -> str:
        self.count += 1
        number = f"PAY-{self.count:08d}"
        stated = offer(amount, details(category))
        self.apply(number, receive(stated, account(KINDS[name], name), number=number, record=number, today=TODAY))
        self.received += amount
        return number

    @rule(payment=payments)
    def allocate_by_rules(self, payment: str) -> None:
        state = self.records[payment]
        if state.in_force:
            name = state.known.account
            plan = allocate_automatically(
                default_configuration(KINDS[name]), state.unapplied, [], self.open_account(name)
            )
            self.apply(payment, allocate(state, of_plan(plan), cause=Cause.RULES, date=TODAY))

    @rule(
        payment=payments,
        amount=st.integers(1, 4000),
        kind=st.sampled_from([*TargetKind, TargetKind.MEMBER, TargetKind.MEMBER, TargetKind.INVOICE_MEMBER]),
        invoice=st.sampled_from(INVOICES),
        member=st.sampled_from(MEMBERS),
        remainder=st.sampled_from(Remainder),
    )
    def allocate_by_hand(
        self, payment: str, amount: int, kind: TargetKind, invoice: str, member: str, remainder: Remainder
    ) -> None:
        state = self.records[payment]
        target = Target(kind, amount, invoice=invoice, member_record=member)
        try:
            done: Distribution = distribute_to_targets(
                state.unapplied, [target], remainder, self.facts(state.known.account)
            )
            self.apply(payment, allocate_by_command(state, done, date=TODAY))
        except Refusal:
            pass

    @rule(payment=payments, member=st.sampled_from(MEMBERS), amount=st.integers(1, 5000))
    def give_to_a_member(self, payment: str, member: str, amount: int) -> None:
        state = self.records[payment]
        amount = min(amount, state.unapplied)
        if state.in_force and amount and state.known.account != "BA-LBG":
            target = Target(TargetKind.MEMBER, amount, member_record=member)
            facts = self.facts(state.known.account)
            done = distribute_to_targets(
                state.unapplied, [target], Remainder.KEEP_UNAPPLIED, facts, member_targets=True
            )
            self.apply(payment, allocate(state, done, cause=Cause.INSTRUCTION, date=TODAY))

    @rule(payment=payments, member=st.sampled_from(MEMBERS), amount=st.integers(1, 5000))
    def keep_for_a_member(self, payment: str, member: str, amount: int) -> None:
        """Overpayment of a member who still owes something: what `use_overpayment` is for."""
        state = self.records[payment]
        amount = min(amount, state.unapplied)
        if state.in_force and amount and state.known.account != "BA-LBG":
            kept = MemberAmounts((member,), (amount,))
            moved = move_between_buckets(
                state,
                Bucket.UNAPPLIED,
                Bucket.MEMBER_OVERPAYMENT,
                cause=Cause.INSTRUCTION,
                date=TODAY,
                to_members=kept,
            )
            self.apply(payment, moved)

    @rule(name=st.sampled_from(sorted(KINDS)))
    def consume_unapplied(self, name: str) -> None:
        offered = [
            Consumable(key, key, state.known.category, state.effective_date, state.unapplied)
            for key, state in self.records.items()
            if state.in_force and state.known.account == name
        ]
        for key, lines in consume(offered, self.open_account(name)).by_record:
            events = allocate(self.records[key], Distribution(lines), cause=Cause.CONSUMPTION, date=TODAY)
            self.apply(key, events)

    @rule(name=st.sampled_from(["BA-LBI", "BA-IND"]))
    def use_overpayment(self, name: str) -> None:
        self.walk_member_money(name, Cause.OVERPAYMENT)

    def walk_member_money(self, name: str, cause: Cause) -> None:
        holdings = [
            Consumable(key, key, state.known.category, state.effective_date, amount, member)
            for key, state in self.records.items()
            if state.in_force and state.known.account == name
            for member, amount in state.member_overpayment.items()
        ]
        for key, members in use_member_money(holdings, self.open_account(name)).by_record:
            self.apply(key, allocate_member_money(self.records[key], members, cause=cause, date=TODAY))

    @rule(payment=payments, member=st.sampled_from(MEMBERS), amount=st.integers(1, 3000))
    def release_overpayment(self, payment: str, member: str, amount: int) -> None:
        with contextlib.suppress(Refusal):
            self.apply(payment, release_member_overpayment(self.records[payment], member, amount, date=TODAY))

    @rule(payment=payments, invoices=st.one_of(st.none(), st.sets(st.sampled_from(INVOICES), min_size=1)))
    def unallocate(self, payment: str, invoices: set[str] | None) -> None:
        with contextlib.suppress(Refusal):
            self.apply(
                payment,
                unallocate_payment(
                    self.records[payment], self.items(payment), invoices=invoices, reason="ERROR", date=TODAY
                ),
            )

    @rule(payment=payments, member=st.sampled_from(MEMBERS), scope=st.sampled_from(MemberScope))
    def unallocate_member(self, payment: str, member: str, scope: MemberScope) -> None:
        with contextlib.suppress(Refusal):
            self.apply(
                payment,
                unallocate_from_members(
                    self.records[payment],
                    self.items(payment),
                    members=[member],
                    scope=scope,
                    reason="ERROR",
                    date=TODAY,
                ),
            )

    @rule(name=st.sampled_from(sorted(KINDS)), invoice=st.sampled_from(INVOICES))
    def discard(self, name: str, invoice: str) -> None:
        for key, state in list(self.records.items()):
            if state.in_force and state.known.account == name and invoice in state.items:
                self.apply(key, unallocate_discarded(state, self.items(key), invoice=invoice, date=TODAY))

    @rule(payment=payments, part=st.integers(1, 100), amendment=st.booleans())
    def free_excess(self, payment: str, part: int, amendment: bool) -> None:
        state, items = self.records[payment], self.items(payment)
        if state.in_force and len(items):
            first = items.select([0])
            freed = replace(first, amounts=(max(first.amounts[0] * part // 100, 1),))
            events = unallocate_excess(state, freed, date=TODAY, caused_by="INV-9", amendment=amendment)
            self.apply(payment, events)

    @rule(payment=payments, wanted=st.dictionaries(st.sampled_from(MEMBERS), st.integers(0, 4000), min_size=1))
    def reallocate(self, payment: str, wanted: dict[str, int]) -> None:
        state = self.records[payment]
        try:
            done = reallocate_members(
                state,
                self.items(payment),
                wanted,
                self.open_account(state.known.account),
                confirm_remainder=True,
                date=TODAY,
            )
        except Refusal:
            return
        self.apply(payment, done.events)

    @rule(target=payments, payment=payments, to=st.sampled_from(sorted(KINDS)), part=st.integers(1, 100))
    def transfer(self, payment: str, to: str, part: int) -> object:
        state = self.records[payment]
        self.count += 1
        new = f"{state.known.payment_number}/{self.count}"
        request = TransferRequest(account(KINDS[to], to), state.transferable * part // 100, new)
        try:
            events, arrivals = transfer(
                state, self.items(payment), [request], reason="MISAPPLIED", confirmations=CONFIRMED, date=TODAY
            )
        except Refusal:
            return multiple()
        self.apply(payment, events)
        self.apply(new, arrivals[new])
        return new

    @rule(payment=payments)
    def suspend(self, payment: str) -> None:
        states = self.of_payment(payment)
        items = {state.known.record_id: self.items(state.known.record_id) for state in states}
        try:
            for key, events in suspend(states, items, reason="MISDIRECTED", date=TODAY).items():
                self.apply(key, events)
        except Refusal:
            pass

    @rule(target=payments, payment=payments, to=st.sampled_from(sorted(KINDS)))
    def release(self, payment: str, to: str) -> object:
        states = self.of_payment(payment)
        self.count += 1
        new = f"{states[0].known.payment_number}/{self.count}"
        amount = sum(state.suspended for state in states)
        try:
            existing, arrived = release(states, [ReleaseTarget(account(KINDS[to], to), amount, new)], date=TODAY)
        except Refusal:
            return multiple()
        for key, events in (existing | arrived).items():
            self.apply(key, events)
        return multiple(*arrived)

    @rule(payment=payments, way=st.sampled_from(["reverse", "decline", "keep", "keep", "keep", "keep", "keep", "keep"]))
    def take_away(self, payment: str, way: str) -> None:
        if way == "keep":  # most payments are honoured
            return
        states = self.of_payment(payment)
        items = {state.known.record_id: self.items(state.known.record_id) for state in states}
        had = sum(state.amount for state in states if state.in_force or state.suspended)
        withdraw = reverse if way == "reverse" else decline
        try:
            outcome = withdraw(states, items, reason="OTHER", text="a mistake", date=TODAY)
        except Refusal:
            return
        for key, events in outcome.items():
            self.apply(key, events)
        self.gone += had

    # --- what always holds

    @invariant()
    def every_cent_is_somewhere(self) -> None:
        has = 0
        for state in self.records.values():
            check_conservation(state, thoroughly=True)
            has += (
                state.items_total
                + state.member_overpayment_total
                + state.member_unapplied_total
                + state.unapplied
                + state.refunded
                + state.suspended
            )
        assert has == self.received - self.gone

    @invariant()
    def no_line_holds_more_than_it_was_billed(self) -> None:
        for name in KINDS:
            assert all(left >= 0 for left in self.due(name).values())

    @invariant()
    def the_lines_in_the_events_are_the_records_own(self) -> None:
        for key, state in self.records.items():
            by_invoice: dict[str, int] = {}
            for (invoice, _), amount in self.held[key].items():
                assert amount >= 0
                by_invoice[invoice] = by_invoice.get(invoice, 0) + amount
            assert {invoice: amount for invoice, amount in by_invoice.items() if amount} == dict(state.items)

    @invariant()
    def the_ledger_shows_the_same_money_as_the_records(self) -> None:
        for name in KINDS:
            own = [state for state in self.records.values() if state.known.account == name and state.in_force]
            shown = [-self.ledger.get((name, code), 0) for code in ("2100", "2110", "2120", "1100")]
            assert shown == [
                sum(state.unapplied for state in own),
                sum(state.member_unapplied_total for state in own),
                sum(state.member_overpayment_total for state in own),
                sum(state.items_total for state in own),
            ]
        suspended = sum(state.suspended for state in self.records.values())
        assert -sum(value for (_, code), value in self.ledger.items() if code == "2150") == suspended
        assert sum(self.ledger.values()) == 0

    @invariant()
    def members_money_lies_where_the_account_keeps_it(self) -> None:
        for state in self.records.values():
            assert state.in_bucket(Bucket.MEMBER_UNAPPLIED) == 0 or state.known.account == "BA-LBI"
            assert state.in_bucket(Bucket.MEMBER_OVERPAYMENT) == 0 or state.known.account != "BA-LBG"
            if state.known.category is Category.CUSTOMER_CREDIT:
                assert state.member_unapplied_total == 0


CashConservation.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestCashConservation = pytest.mark.rule("PAY-002", "BAL-008", "BAL-009", "PAY-007", "LED-037", "LED-049")(
    CashConservation.TestCase
)
