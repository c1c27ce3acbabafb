"""Billing under any order of commands: one account, a few members, and whatever may happen to them.

After every step the laws of books.py hold: no cent is lost, no item is paid beyond itself, what is billed and what is
not yet billed make what the days cost, the register shows what the events say. A refused command leaves no trace in the
log, and none ends in an error of the service.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.graphql.context import Context
from api.graphql.reading import reading
from application.command import Principal
from application.paid_to_date import account_paid_to_date
from domain.members.record import MEMBER_RECORD, MemberRecord, cancellation_in_force
from domain.money import format_amount, parse_amount
from infrastructure.postgres.server import EmbeddedServer
from tests.scenarios.billing import balances, figures_of
from tests.scenarios.books import check_all, check_snapshots, looking
from tests.scenarios.conftest import World, fresh_world

MEMBERS = ("MR-1", "MR-2", "MR-3", "MR-4")
FIRST = dt.date(2025, 1, 1)

#: Dates that transactions take effect on: mostly firsts and days near them, up to half a year ahead.
days = st.one_of(
    st.sampled_from([dt.date(2025, month, 1) for month in range(1, 9)]),
    st.integers(0, 240).map(lambda days: FIRST + dt.timedelta(days)),
)
annual = st.sampled_from(["0.00", "0.05", "100.00", "365.00", "1000.00", "1200.00", "1234.56", "2400.00"])
#: Members by place among those there are.
members = st.integers(0, len(MEMBERS) - 1)
coverages = st.sampled_from(["LIFE", "LIFE", "DENTAL"])
#: Places in a list that grows: the newest most of the time.
places = st.integers(0, 3)

#: Codes that mean a defect, whoever asked for what.
DEFECTS = frozenset({"RECONCILIATION_OUT_OF_BALANCE", "STATEMENT_NOT_RECONCILED", "BALANCE_CONSTRAINT_VIOLATED"})

WorldMaker = Callable[[], AbstractContextManager[World]]


class Billing(RuleBasedStateMachine):
    """Random commands on one account, sent over HTTP."""

    make_world: WorldMaker

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world = self._stack.enter_context(self.make_world())
        self.today = dt.date(2024, 12, 20)
        self.world.on(self.today.isoformat())
        self.account = ""
        self.policy = ""
        self.transactions = itertools.count(1)
        self.members: list[str] = []
        self.invoices: list[str] = []
        self.discarded: list[str] = []
        self.payments: list[str] = []
        #: By evening, what was shown of the account.
        self.shown: list[tuple[dt.date, str, dict[str, Any]]] = []

    def teardown(self) -> None:
        try:
            if self.account:
                check_snapshots(self.world.system)
                for day, moment, then in self.shown:
                    past = balances(self.world, self.account, on=day.isoformat(), asOf=moment)
                    assert figures_of(past) == figures_of(then), moment
        finally:
            self._stack.close()

    def _send(self, name: str, **payload: Any) -> dict[str, Any] | None:
        """The result; None when the command was refused, which then has changed nothing."""
        before = self.world.head()
        response = self.world.send(name, **payload)
        if response.status_code == 200:
            result: dict[str, Any] = response.json()["result"]
            return result
        codes = {problem["code"] for problem in response.json()["problems"]}
        assert response.status_code < 500, response.text
        assert not codes & DEFECTS, response.text
        assert not codes & {"REQUEST_INVALID", "FORBIDDEN"}, response.text
        # A waiver whose start fits no premium is refused too, and is somebody's task from then on (PRM-092).
        tasks = "WAIVER_DATE_MISALIGNED" in codes
        assert self.world.head() <= before + tasks, f"{name} was refused {codes} and wrote"
        return None

    def _transaction(self, name: str, member: int | str, day: dt.date, **payload: Any) -> dict[str, Any] | None:
        return self._send(
            name,
            transaction_id=f"TX-{next(self.transactions)}",
            member_record=member if isinstance(member, str) else self.members[member % len(self.members)],
            effective_date=day.isoformat(),
            **payload,
        )

    # Members

    @initialize(amounts=st.lists(annual, min_size=2, max_size=3), start=st.sampled_from(["2025-01-01", "2025-01-16"]))
    def begin(self, amounts: list[str], start: str) -> None:
        self.account, self.policy = self.world.group(premium_waiver_source="CLAIMS", multiple_premium_sequences=True)
        for member, amount in zip(MEMBERS, amounts, strict=False):
            self.world.member(self.policy, member, start, amount)
            self.members.append(member)
        self.generate()
        self.payment(15_000)

    @rule(member=st.sampled_from(MEMBERS), day=days, amount=annual)
    def new_business(self, member: str, day: dt.date, amount: str) -> None:
        accepted = self._transaction(
            "ApplyNewBusiness",
            member,
            day,
            master_policy=self.policy,
            customer=f"P-{member}",
            amounts=[{"coverage": "LIFE", "annual_amount": amount}],
        )
        if accepted is not None and member not in self.members:
            self.members.append(member)

    @rule(member=members, day=days, amount=annual, coverage=coverages)
    def amendment(self, member: int, day: dt.date, amount: str, coverage: str) -> None:
        self._transaction(
            "ApplyAmendment", member, day, kinds=["GENERAL"], amounts=[{"coverage": coverage, "annual_amount": amount}]
        )

    @rule(
        member=members,
        day=days,
        shares=st.lists(st.integers(1, 200_000), min_size=1, max_size=3),
        replacing=st.booleans(),
    )
    def premium_sequences(self, member: int, day: dt.date, shares: list[int], replacing: bool) -> None:
        """A coverage in up to three sequences, of which the third may replace the second."""
        owner = self.members[member % len(self.members)]
        sequences: list[dict[str, Any]] = []
        for number, share in enumerate(shares, start=1):
            start = "2025-01-16" if number == 1 else day.isoformat()
            holder = {"party": f"P-{owner}", "annual_amount": format_amount(share, "USD"), "effective_date": start}
            sequences.append(
                {"sequence_id": f"SQ-{owner}-{number}", "number": number, "effective_date": start, "holders": [holder]}
            )
        if replacing and len(sequences) == 3:
            replaced = sequences.pop(1)
            sequences[1]["replaces_sequence_id"] = replaced["sequence_id"]
        total = sum(parse_amount(one["holders"][0]["annual_amount"], "USD") for one in sequences)
        amount = {"coverage": "CRITICAL", "annual_amount": format_amount(total, "USD"), "sequences": sequences}
        self._transaction("ApplyAmendment", member, day, kinds=["GENERAL"], amounts=[amount])

    @rule(member=members, day=days)
    def cancellation(self, member: int, day: dt.date) -> None:
        self._transaction("ApplyCancellation", member, day)

    @rule(later=st.sampled_from([None, 0, 1, 15, 31]))
    def back_from_cancellation(self, later: int | None) -> None:
        """Rescinded, or reinstated some days later."""
        for member in self.members:
            cancelled = cancellation_in_force(self._record(member).transactions)
            if cancelled is not None:
                day = cancelled.effective_date
                if later is None:
                    self._transaction("RescindCancellation", member, day)
                else:
                    self._transaction("ApplyReinstatement", member, day + dt.timedelta(later))
                return

    @rule(member=members, day=days, length=st.integers(1, 70))
    def waiver(self, member: int, day: dt.date, length: int) -> None:
        last = day + dt.timedelta(length)
        self._transaction("ApplyPremiumWaiver", member, day, source="CLAIMS", last_waived_day=last.isoformat())

    @rule(action=st.sampled_from(["ROLL_ON", "ROLL_ON", "DROP"]), amount=st.none() | annual)
    def roll_on(self, action: str, amount: str | None) -> None:
        for member in self.members:
            waiting = self._record(member).backed_off
            decisions: list[dict[str, Any]] = []
            for one in waiting:
                decision: dict[str, Any] = {"transaction_id": one.transaction_id, "action": action}
                if amount is not None and action == "ROLL_ON" and one.amounts:
                    decision["amounts"] = [{"coverage": "LIFE", "annual_amount": amount}]
                decisions.append(decision)
            if decisions:
                self._send("InstructRollOn", member_record=member, decisions=decisions)

    def _record(self, member: str) -> MemberRecord:
        with looking(self.world.system) as unit:
            record: MemberRecord = unit.load(MEMBER_RECORD, member).state
            return record

    # Invoices

    @rule()
    def generate(self) -> None:
        self._issued(self._send("GenerateInvoice", account=self.account, confirmed=True))

    @rule(back=places)
    def discard(self, back: int) -> None:
        invoice = self.invoices[-1 - back % len(self.invoices)] if self.invoices else ""
        if invoice and self._send("DiscardInvoice", invoice=invoice, reason="Wrong", confirmed=True) is not None:
            self.discarded.append(invoice)

    @rule(back=places)
    def discard_another(self, back: int) -> None:
        self.discard(back)

    @precondition(lambda self: self.discarded)
    @rule(place=places)
    def regenerate(self, place: int) -> None:
        invoice = self.discarded[place % len(self.discarded)]
        self._issued(self._send("RegenerateInvoice", invoice=invoice, confirmed=True))

    @rule(amount=annual, day=days, member=members)
    def correct_and_generate(self, amount: str, day: dt.date, member: int) -> None:
        self.amendment(member, day, amount, "LIFE")
        self.generate()

    def _issued(self, result: dict[str, Any] | None) -> None:
        if result is not None:
            self.invoices.append(result["invoice"])

    # Money

    @rule(amount=st.one_of(st.integers(1, 60_000), st.sampled_from([1, 10_000, 20_000, 30_000])))
    def payment(self, amount: int) -> None:
        number = len(self.payments) + 1
        result = self._send(
            "ApplyPayment",
            account=self.account,
            amount=format_amount(amount, "USD"),
            method="CHECK",
            check_number=str(number),
            check_date=self.today.isoformat(),
            reference=f"CHK-{number}",
            bank_processing=False,
            allocation="RULES",
        )
        if result is not None:
            self.payments.append(result["payment"])

    @precondition(lambda self: self.payments)
    @rule(back=places, invoice=st.none() | places)
    def unallocation(self, back: int, invoice: int | None) -> None:
        if invoice is None or invoice < len(self.invoices):
            chosen = {} if invoice is None else {"invoices": [self.invoices[-1 - invoice]]}
            self._send(
                "UnallocatePayment", record=self.payments[-1 - back % len(self.payments)], reason="MISAPPLIED", **chosen
            )

    @precondition(lambda self: self.payments)
    @rule(back=places, invoice=places, amount=st.integers(1, 30_000))
    def allocation(self, back: int, invoice: int, amount: int) -> None:
        if invoice < len(self.invoices):
            self._send(
                "AllocatePayment",
                record=self.payments[-1 - back % len(self.payments)],
                targets=[
                    {"kind": "INVOICE", "invoice": self.invoices[-1 - invoice], "amount": format_amount(amount, "USD")}
                ],
                remainder="KEEP_UNAPPLIED",
            )

    @precondition(lambda self: self.payments)
    @rule(back=places, source=places, towards=places)
    def reallocation(self, back: int, source: int, towards: int) -> None:
        if max(source, towards) < len(self.invoices):
            record, invoice = self.payments[-1 - back % len(self.payments)], self.invoices[-1 - source]
            books = check_all(self.world.system, self.account)
            amount = sum(part for (number, _), part in books.records[record].items.items() if number == invoice)
            if amount:
                self._send(
                    "ReallocatePayment",
                    record=record,
                    invoices=[invoice],
                    targets=[
                        {
                            "kind": "INVOICE",
                            "invoice": self.invoices[-1 - towards],
                            "amount": format_amount(amount, "USD"),
                        }
                    ],
                    reason="MISAPPLIED",
                )

    @rule(back=places, declined=st.booleans())
    def withdrawal(self, back: int, declined: bool) -> None:
        if self.payments:
            name, reason = ("DeclinePayment", "INSUFFICIENT_FUNDS") if declined else ("ReversePayment", "ENTRY_ERROR")
            self._send(name, payment=self.payments[-1 - back % len(self.payments)], reason=reason)

    # Time

    @rule(days=st.integers(1, 40))
    def time(self, days: int) -> None:
        if self.account:
            self.world.on(self.today.isoformat(), hour=18)
            evening = f"{self.today.isoformat()}T18:00:00Z"
            self.shown.append((self.today, evening, balances(self.world, self.account)))
            self._paid_to_date()
        self.today += dt.timedelta(days)
        self.world.on(self.today.isoformat())

    def _paid_to_date(self) -> None:
        """What is remembered of the members never stands for what has become of them."""
        text = """query ($account: String!) { accountPaidToDate(account: $account) {
            paidToDate byInvoice byDailyRate days { start end daily } } }"""
        [shown] = self.world.query(text, account=self.account)["accountPaidToDate"]
        with self.world.system.read_models.session() as session:
            context = Context(Principal("JOB", "test", "test", frozenset()), session, self.world.clock)
            afresh = account_paid_to_date(reading(context), self.account, self.policy)
        found = afresh.result
        assert [shown[name] for name in ("paidToDate", "byInvoice", "byDailyRate")] == [
            None if day is None else day.isoformat() for day in (found.paid_to_date, found.by_invoice, found.daily_rate)
        ]
        assert [(one["start"], one["daily"]) for one in shown["days"]] == [
            (one.start.isoformat(), str(one.daily)) for one in afresh.segments
        ]

    @precondition(lambda self: self.account)
    @invariant()
    def laws(self) -> None:
        check_all(self.world.system, self.account)


#: A longer run is asked for from outside: examples of how many steps.
EXAMPLES, STEPS = int(os.environ.get("ROLLON_EXAMPLES", "10")), int(os.environ.get("ROLLON_STEPS", "20"))


@pytest.mark.rule("BAL-001", "PAY-002", "PRM-120", "PRM-122", "BAL-013", "PLT-012")
def test_no_order_of_commands_loses_a_cent(database_server: EmbeddedServer, service_template: str) -> None:
    class Machine(Billing):
        @staticmethod
        def make_world() -> AbstractContextManager[World]:
            return fresh_world(database_server, service_template)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
