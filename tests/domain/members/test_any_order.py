"""Whatever arrives, in whatever order: the laws of a member record after every step."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.errors import Refusal
from domain.members.decisions import decide
from domain.members.events import ModalPremiumRow, ModalPremiumVersionCreated, RowReference, VersionStatus
from domain.members.guards import Circumstances, kept_problem
from domain.members.placements import placements_of
from domain.members.record import MEMBER_RECORD, cancellation_in_force
from domain.members.requests import RollOnAction, RollOnDecision, RoutingKey, TransactionRequest
from domain.members.rollon import instruct
from domain.members.rows import rows_of
from domain.platform.error_codes import ERROR_CODES
from domain.premium.transactions import AmendmentKind, ItemKey, TransactionStatus, TransactionType, WaiverSource
from domain.products.master_policy import PolicyTerms
from tests.domain.members.story import Group, Member, amount, day, direct_account, group_account, with_gaps

T = TransactionType
DATES = st.sampled_from([f"{month:02}-{on:02}" for month in range(1, 9) for on in (1, 16)] + ["2024-12-16"])
AMOUNTS = st.sampled_from(["1200.00", "1260.00", "1500.00", "0.00"])
PLACES = st.sampled_from(["L1", "L2", "L9", ""])
CLASSES = st.sampled_from(["A", "B"])


def route(sought: RoutingKey) -> Routed:
    """PER_LOCATION_AND_CLASS with two locations; the root R for employment changes to anywhere else."""
    code = sought.member_class or "A"
    if sought.location in ("L1", "L2"):
        return Routed(f"{sought.location}-{code}")
    return (
        Routed(f"R-{code}", fallback=sought.location is not None) if sought.employment_change else _not_set_up(sought)
    )


def _not_set_up(sought: RoutingKey) -> Routed:
    if sought.location is None:
        return Routed(f"R-{sought.member_class or 'A'}")
    return Routed(None, ("EMPLOYER_BILLING_MISSING",))


def open_or_knocked_at(machine: Any) -> bool:
    """Whether a message has a chance: at a locked or cancelled record only the first two are tried, then it must move.

    Without this most of a history would be messages refused for the same reason.
    """
    record = machine.member.record
    return machine.knocks < 2 or not (record.is_roll_on_pending or record.is_cancelled)


class AnyOrder(RuleBasedStateMachine):
    """One record; every message may arrive at any time, decisions come whenever there is something to decide."""

    @initialize(
        source=st.sampled_from(WaiverSource),
        allowed=st.sampled_from([tuple(Frequency), (Frequency.QUARTERLY,)]),
        invoiced=st.integers(0, 6),
    )
    def start(self, source: WaiverSource, allowed: tuple[Frequency, ...], invoiced: int) -> None:
        accounts = {f"{place}-{code}": group_account(f"{place}-{code}") for place in ("L1", "L2", "R") for code in "AB"}
        accounts |= {name: direct_account(name) for name in ("ID", "ID2")}
        terms = PolicyTerms(premium_waiver_source=source, allowed_modalities=allowed)
        self.group = Group(accounts, route, terms)
        self.member = Member(self.group).start(
            amounts=(amount("1200.00", ItemKey("LIFE", coverage_class="A")), amount("600.00", ItemKey("DENTAL"))),
            location="L1",
            member_class="A",
            payroll_frequency=Frequency.MONTHLY,
        )
        self.number = 1
        self.knocks = 0
        self.last: TransactionRequest | None = None
        for month in range(1, invoiced + 1):
            self.group.invoice("L1-A", f"{month:02}-01")

    def send(self, kind: T, on: str, **stated: Any) -> None:
        """Send a message; a refusal has a known code and changes nothing."""
        self.number += 1
        request = self.member.request(kind, on, transaction_id=f"X{self.number}", **stated)
        before, refused = self.member.record, self.refusal_of(kind, on, request.transaction_id, stated)
        if refused is None:
            self.last, self.knocks = request, 0
            return
        self.knocks += 1
        assert self.member.record is before
        # The reasons of the validator are dead-letter reasons, not codes of a refusal.
        assert all(problem.code in ERROR_CODES or "MISSING" in problem.code for problem in refused.problems)

    def refusal_of(self, kind: T, on: str, identifier: str | None, stated: dict[str, Any]) -> Refusal | None:
        try:
            self.member.send(kind, on, transaction_id=identifier, **stated)
        except Refusal as refusal:
            return refusal
        return None

    @precondition(open_or_knocked_at)
    @rule(on=DATES, annual=AMOUNTS)
    def amend(self, on: str, annual: str) -> None:
        key = ItemKey("DENTAL")
        self.send(T.AMENDMENT, on, kinds=(AmendmentKind.GENERAL,), amounts=(amount(annual, key),))

    @precondition(open_or_knocked_at)
    @rule(on=DATES, annual=AMOUNTS, code=CLASSES, place=st.none() | PLACES)
    def change_class(self, on: str, annual: str, code: str, place: str | None) -> None:
        amounts = (amount(annual, ItemKey("LIFE", coverage_class=code)),)
        kinds = (AmendmentKind.CLASSIFICATION_CHANGE,)
        self.send(T.AMENDMENT, on, kinds=kinds, amounts=amounts, member_class=code, location=place)

    @precondition(open_or_knocked_at)
    @rule(on=DATES, frequency=st.sampled_from([Frequency.MONTHLY, Frequency.BIWEEKLY]))
    def change_payroll(self, on: str, frequency: Frequency) -> None:
        kinds = (AmendmentKind.PAYROLL_FREQUENCY_CHANGE,)
        self.send(T.AMENDMENT, on, kinds=kinds, payroll_frequency=frequency)

    @precondition(open_or_knocked_at)
    @rule(on=DATES)
    def stop(self, on: str) -> None:
        self.send(T.AMENDMENT, on, kinds=(AmendmentKind.STOP_BILLING,), nonforfeiture="EXTENDED_TERM")

    @precondition(open_or_knocked_at)
    @rule(on=DATES)
    def resume(self, on: str) -> None:
        self.send(T.AMENDMENT, on, kinds=(AmendmentKind.RESUME_BILLING,), reason="OTHER")

    @precondition(open_or_knocked_at)
    @rule(on=DATES)
    def cancel(self, on: str) -> None:
        self.send(T.CANCELLATION, on)

    @precondition(lambda self: self.member.record.is_cancelled)
    @rule(on=st.none() | DATES, kind=st.sampled_from([T.RESCIND_CANCELLATION, T.REINSTATEMENT]))
    def undo_a_cancellation(self, on: str | None, kind: T) -> None:
        cancellation = cancellation_in_force(self.member.record.active_transactions)
        assert cancellation is not None
        self.send(kind, on or cancellation.effective_date.isoformat())

    @precondition(open_or_knocked_at)
    @rule(on=DATES, annual=AMOUNTS)
    def renew(self, on: str, annual: str) -> None:
        self.send(T.RENEWAL, on, amounts=(amount(annual, ItemKey("DENTAL")),))

    @precondition(open_or_knocked_at)
    @rule(on=DATES, kind=st.sampled_from([T.CONTINUATION, T.PORTABILITY]), account=st.sampled_from(["ID", "ID2"]))
    def move(self, on: str, kind: T, account: str) -> None:
        self.send(kind, on, account=account, modality=Frequency.MONTHLY)

    @precondition(lambda self: open_or_knocked_at(self) and len(self.member.record.placements) > 1)
    @rule(on=DATES, kind=st.sampled_from([T.MOVED_TO_LIST_BILL, T.CONTINUATION_REMOVED]))
    def give_back(self, on: str, kind: T) -> None:
        self.send(kind, on)

    @rule(on=DATES, place=PLACES)
    def employ(self, on: str, place: str) -> None:
        self.send(T.EMPLOYMENT_CHANGE, on, location=place)

    @precondition(open_or_knocked_at)
    @rule(on=DATES, until=st.none() | DATES)
    def waive(self, on: str, until: str | None) -> None:
        end = None if until is None else day(until)
        self.send(T.WAIVER_ADD, on, waiver_source=self.group.terms.premium_waiver_source, until=end)

    @precondition(lambda self: any(one.type is T.WAIVER_ADD for one in self.member.record.transactions))
    @rule(on=DATES)
    def end_waiver(self, on: str) -> None:
        waiver = [one for one in self.member.record.transactions if one.type is T.WAIVER_ADD][-1].waiver_id
        self.send(T.WAIVER_REMOVE, on, waiver_id=waiver, waiver_source=self.group.terms.premium_waiver_source)

    @precondition(lambda self: len(self.member.record.transactions) > 9)
    @rule(on=st.sampled_from(["01-16", "02-01", "03-01"]))
    def rewrite(self, on: str) -> None:
        self.send(T.REWRITE, on, cascade=f"R{self.number}")

    @rule(gaps=st.sampled_from([(), (6,), (6, 7)]), account=st.sampled_from(["L1-A", "L2-A"]))
    def change_gaps(self, gaps: tuple[int, ...], account: str) -> None:
        same = self.group.accounts[account].seasonal_gaps == frozenset(gaps)
        if same or any(self.group.invoices.get(account, {}).values()):
            return  # the gaps of an invoiced account are locked (CAL-090)
        self.group.accounts[account] = with_gaps(self.group.accounts[account], *gaps)
        self.send(T.SEASONAL_UPDATE, "01-01", account=account)

    @rule(account=st.sampled_from(["L1-A", "L1-B", "L2-A", "R-A", "ID"]))
    def invoice(self, account: str) -> None:
        issued = len(self.group.invoices.get(account, {}))
        if issued < 6:
            self.group.invoice(account, f"{issued + 1:02}-01")

    @precondition(lambda self: self.member.record.is_roll_on_pending)
    @rule(data=st.data())
    def decide_what_waits(self, data: st.DataObject) -> None:
        waiting = self.member.record.backed_off
        count = data.draw(st.integers(1, len(waiting)))
        actions = data.draw(st.lists(st.sampled_from(RollOnAction), min_size=count, max_size=count))
        decisions = [RollOnDecision(one.transaction_id, action) for one, action in zip(waiting, actions, strict=False)]
        before = self.member.record
        try:
            self.member.decide(*decisions)
        except Refusal:
            assert self.member.record is before
            self.member.decide(*(RollOnDecision(one.transaction_id, RollOnAction.DROP) for one in waiting))
        else:
            assert instruct(self.member.record, decisions, self.group.facts()) == ()

    @precondition(lambda self: self.member.record.parked and not self.member.record.is_roll_on_pending)
    @rule()
    def unpark(self) -> None:
        identifier = self.member.record.parked[0].request.transaction_id
        assert identifier is not None
        self.member.unpark(identifier)

    @precondition(lambda self: self.last is not None)
    @rule()
    def deliver_again(self) -> None:
        assert self.last is not None
        before, rejected = self.member.record, self.last.transaction_id
        if before.receipt(rejected or "") is None and not any(
            one.request.transaction_id == rejected for one in before.parked
        ):
            return  # rejected after it was parked, or a change of an account that did not concern the record
        stated = {"transaction_id": rejected, "type": self.last.type}
        assert self.member.happen(_decide(self.member, self.last)) == [], stated
        assert self.member.record is before

    # ----------------------------------------------------------------------------------------------------- the laws

    @invariant()
    def versions_are_numbered_without_gaps_and_exactly_one_is_active(self) -> None:
        versions = self.member.record.versions
        assert [one.number for one in versions] == list(range(1, len(versions) + 1))
        assert [one.status for one in versions].count(VersionStatus.ACTIVE) == 1
        pending = any(one.status is VersionStatus.PENDING for one in versions)
        assert pending == self.member.record.is_roll_on_pending

    @invariant()
    def something_is_backed_off_exactly_while_the_record_is_locked(self) -> None:
        record = self.member.record
        assert bool(record.backed_off) == record.is_roll_on_pending
        rolled = {one.rolled_on_from for one in record.transactions if one.rolled_on_from is not None}
        ended = {one.transaction_id for one in record.transactions if one.status is TransactionStatus.ROLLED_ON}
        assert rolled == ended
        assert all(one.rolled_on_as is not None for one in record.decided if one.action is RollOnAction.ROLL_ON)

    @invariant()
    def everything_in_force_may_be_in_force(self) -> None:
        record, facts = self.member.record, self.group.facts()
        for one in record.transactions:
            if one.in_force:
                assert kept_problem(one, Circumstances.of(record, one, facts)) is None, one

    @invariant()
    def replaying_the_events_gives_the_same_record(self) -> None:
        assert MEMBER_RECORD.fold(self.member.events) == self.member.record

    @invariant()
    def placements_follow_one_another_from_the_start(self) -> None:
        record = self.member.record
        if record.is_roll_on_pending:
            return
        placements = record.placements
        assert placements == placements_of(record.transactions, record.direct_accounts, record.fallbacks)
        assert placements[0].start == record.effective_date
        assert all(one.end == after.start for one, after in pairwise(placements))
        assert placements[-1].end is None
        for segment in self.member.active.segments:
            holding = [one for one in placements if one.holds(segment.start)]
            assert [one.account for one in holding] == [segment.account]

    @invariant()
    def the_rows_are_those_of_the_timeline_and_the_events_build_them(self) -> None:
        record = self.member.record
        rows: dict[RowReference, ModalPremiumRow] = {}
        for one in self.member.events:
            if type(one).__name__ == "BillingRewritten":
                rows = {}
            if not isinstance(one, ModalPremiumVersionCreated):
                continue
            for gone in one.withdrawn:
                del rows[gone]
            for row in one.rows:
                assert rows.setdefault(RowReference(row.account, row.key, row.effective), row) is row
        assert set(rows.values()) == set(record.rows)
        shown = {(one.account, one.key, one.effective): (one.annual, one.modality) for one in record.rows}
        now = rows_of(self.member.latest, self.group.accounts, {})
        assert shown == {(one.account, one.key, one.effective): (one.annual, one.modality) for one in now}

    @invariant()
    def anyb_recomputed_from_the_beginning_is_what_was_published(self) -> None:
        if not self.member.record.is_roll_on_pending:
            assert self.member.publish() == []


def _decide(member: Member, request: TransactionRequest) -> tuple[object, ...]:
    return decide(member.record, request, member.group.facts())


AnyOrder.TestCase.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.rule("PRM-004", "PRM-012", "PRM-040", "PRM-043", "PRM-105", "PRM-113", "PRM-114", "PRM-123", "MEM-069")
class TestAnyOrder(AnyOrder.TestCase):  # type: ignore[misc]
    """The laws hold after every step of every history."""
