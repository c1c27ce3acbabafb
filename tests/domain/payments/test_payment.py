"""The life of payment records: receipt, unallocation, suspension, decline, transfer, reallocation; no cent is lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest

from domain.balances.reconciliation import EXCESS_ORDER
from domain.errors import InvariantError, Refusal
from domain.payments.allocation import ActiveWriteOff, OpenAccount, Permissions, SpreadSettings, WriteOffKind
from domain.payments.classification import (
    AccountKind,
    Bucket,
    Category,
    Cause,
    Channel,
    Explanation,
    FundsStatus,
    InternalSubtype,
    Method,
    PaymentDetails,
    PaymentStatus,
    bank_processing_default,
    detail_problems,
    hub_effective_date,
    mask_account_number,
    payment_number,
    record_id,
)
from domain.payments.configuration import (
    AllocationConfiguration,
    Approach,
    Autoconsumption,
    ConfigurationRequest,
    allocate_automatically,
    configure,
    default_configuration,
    strategy_problems,
)
from domain.payments.consumption import Consumable, use_member_money
from domain.payments.distribution import Distribution, allocate, of_plan
from domain.payments.drafts import (
    clear_draft,
    delete_draft_allocation,
    delete_draft_payment,
    draft_to_apply,
    save_draft,
)
from domain.payments.manual_allocation import TargetFacts, distribute_to_targets
from domain.payments.payment import (
    AllocatedItems,
    DraftAllocationDeleted,
    InvoiceLines,
    MemberAmounts,
    PaymentAllocated,
    PaymentReceived,
    PaymentRecord,
    PaymentRefunded,
    PaymentRefundRestored,
    PaymentReleased,
    PaymentStatusChanged,
    PaymentTransferred,
    PaymentUnallocated,
    Phase,
    RefundLockReleased,
    RefundLockSet,
    SuspenseEntryOpened,
    SuspenseEntryResolved,
    action_problems,
    check_conservation,
    fold,
    in_chunks,
    merged,
    move_between_buckets,
    move_to_items,
)
from domain.payments.reallocation import reallocate_members, reallocate_payment, submission_problems
from domain.payments.receiving import (
    AccountInstructions,
    CashTransaction,
    HubTarget,
    NamedInvoice,
    RegisteredMethod,
    cash_deduction_details,
    cash_transaction_ignored,
    designation_problems,
    hub_instructions,
    initiate,
    method_problems,
    offer_problems,
    preset_allocation,
    receive,
    received,
    settle,
    update_problems,
)
from domain.payments.suspense import hold_internal_payment, needs_entry, open_entry
from domain.payments.targets import Instruction, Remainder, Target, TargetKind
from domain.payments.transfer import TransferRequest, transfer
from domain.payments.unallocation import (
    MemberScope,
    freed_amount,
    release_member_overpayment,
    unallocate_from_members,
    unallocate_payment,
)
from domain.payments.withdrawal import (
    RefundState,
    ReleaseTarget,
    Withdrawal,
    decline,
    redirect,
    refund_guard,
    release,
    reverse,
    suspend,
)
from tests.domain.payments.builders import (
    TODAY,
    Row,
    account,
    allocated,
    by_invoice,
    details,
    offer,
    open_invoices,
    open_items,
    record,
)

LBG = AccountKind.LIST_BILL_TRUE_GROUP
LBI = AccountKind.LIST_BILL_INDIVIDUAL


def codes(refusal: Refusal) -> list[str]:
    return [problem.code for problem in refusal.problems]


def paid(payment: PaymentRecord, rows: Sequence[tuple[str, int, str | None, int]]) -> PaymentRecord:
    """The record with money put on lines (invoice, line, member, amount)."""
    lines = merged(InvoiceLines(invoice, (line,), (amount,)) for invoice, line, _, amount in rows)
    return fold(payment, move_to_items(payment, lines, cause=Cause.MANUAL, date=TODAY))


def put(payment: PaymentRecord, bucket: Bucket, member: str, amount: int) -> PaymentRecord:
    """The record with unapplied money put into a member's bucket."""
    members = MemberAmounts((member,), (amount,))
    return fold(
        payment,
        move_between_buckets(payment, Bucket.UNAPPLIED, bucket, cause=Cause.MANUAL, date=TODAY, to_members=members),
    )


# --- Classification and receipt --------------------------------------------------------------------------------------


@pytest.mark.rule("PAY-003", "PAY-001")
def test_numbers_name_the_kind_of_money_and_further_records_of_a_payment() -> None:
    assert payment_number(Category.BANKING, 7) == "PAY-00000007"
    assert payment_number(Category.INTERNAL, 7) == "INT-00000007"
    assert payment_number(Category.CUSTOMER_CREDIT, 7) == "CRD-00000007"
    assert [record_id("PAY-00000007", ordinal) for ordinal in (1, 2)] == ["PAY-00000007", "PAY-00000007/2"]


@pytest.mark.rule("PAY-015")
def test_an_account_number_shows_its_last_four_characters_at_most() -> None:
    assert [mask_account_number(number) for number in ("123456789", "1234", "12", "12345")] == [
        "*****6789",
        "****",
        "**",
        "*2345",
    ]


@pytest.mark.rule("PAY-014")
@pytest.mark.parametrize(
    ("method", "missing"),
    [
        (Method.CHECK, ["check_number", "check_date", "reference"]),
        (Method.EFT_ACH, ["token_profile", "account_holder"]),
        (Method.CREDIT_CARD, ["token_profile", "account_holder"]),
        (Method.CASH, []),
    ],
)
def test_each_method_needs_its_own_details_and_a_payment_without_them_is_not_created(
    method: Method, missing: list[str]
) -> None:
    bare = details(method=method)
    assert [problem.params["fields"] for problem in detail_problems(bare)] == ([missing] if missing else [])
    if missing:
        for create in (receive, initiate):
            with pytest.raises(Refusal) as refused:
                create(offer(1000, bare), account(LBG), number="PAY-1", record="PAY-1", today=TODAY)
            assert codes(refused.value) == ["PAYMENT_DETAILS_INCOMPLETE"]


@pytest.mark.rule("PAY-019")
@pytest.mark.parametrize("method", list(Method))
def test_only_cards_and_transfers_are_collected_and_by_default_those_from_screen_or_portal(method: Method) -> None:
    collected = method in (Method.CREDIT_CARD, Method.EFT_ACH)
    by_default = {channel for channel in Channel if bank_processing_default(method, channel)}
    assert by_default == ({Channel.UI, Channel.PORTAL} if collected else set())
    problems = [problem.code for problem in detail_problems(details(method=method, bank_processing=True))]
    assert ("BANK_PROCESSING_NOT_ALLOWED" in problems) is not collected


@pytest.mark.rule("PAY-012")
@pytest.mark.parametrize(
    ("stated", "funds"),
    [
        (details(), FundsStatus.CLEARED),
        (details(Category.INTERNAL), FundsStatus.CLEARED),
        (details(Category.CUSTOMER_CREDIT), FundsStatus.CLEARED),
        (details(method=Method.CREDIT_CARD, token_profile="T", account_holder="H"), FundsStatus.CLEARED),
        (details(method=Method.EFT_ACH, token_profile="T", account_holder="H"), FundsStatus.CLEARED),
        (details(method=Method.CHECK, check_number="1", check_date=TODAY, reference="R"), FundsStatus.ISSUED),
        (
            details(method=Method.CREDIT_CARD, token_profile="T", account_holder="H", bank_processing=True),
            FundsStatus.AWAITING,
        ),
    ],
)
def test_the_funds_status_at_receipt_follows_from_the_method(stated: PaymentDetails, funds: FundsStatus) -> None:
    assert (
        received(receive(offer(1000, stated), account(LBI), number="PAY-1", record="PAY-1", today=TODAY)).funds_status
        is funds
    )


@pytest.mark.rule("PAY-005")
def test_the_effective_date_of_a_hub_payment_is_the_first_known_of_bank_check_and_registration() -> None:
    bank, check, registered = dt.date(2025, 4, 27), dt.date(2025, 4, 28), dt.date(2025, 5, 2)
    assert hub_effective_date(bank, check, registered) == bank
    assert hub_effective_date(None, check, registered) == check
    assert hub_effective_date(None, None, registered) == registered


@pytest.mark.rule("PAY-019", "PAY-117")
def test_missing_details_are_named_and_bank_collection_is_refused_where_there_is_none() -> None:
    check = details(method=Method.CHECK, check_number="17", bank_processing=True)
    problems = detail_problems(check)
    assert [problem.code for problem in problems] == ["PAYMENT_DETAILS_INCOMPLETE", "BANK_PROCESSING_NOT_ALLOWED"]
    assert problems[0].params["fields"] == ["check_date", "reference"]
    internal = details(Category.INTERNAL, related_entity=None)
    assert [problem.code for problem in detail_problems(internal)] == ["RELATED_ENTITY_REQUIRED"]


@pytest.mark.rule("PAY-018", "PAY-005", "PAY-117")
def test_an_offer_is_refused_with_everything_that_is_wrong_with_it() -> None:
    wrong = offer(
        0,
        details(Category.INTERNAL),
        currency="EUR",
        effective_date=TODAY + dt.timedelta(days=1),
    )
    problems = offer_problems(wrong, account(AccountKind.SELF_BILL), TODAY)
    assert [problem.code for problem in problems] == [
        "AMOUNT_INVALID",
        "CURRENCY_MISMATCH",
        "EFFECTIVE_DATE_IN_FUTURE",
        "INTERNAL_PAYMENT_NOT_ALLOWED",
    ]
    unknown, inactive = replace(account(LBG), exists=False), replace(account(LBG), active=False)
    assert [problem.code for problem in offer_problems(offer(1), unknown, TODAY)] == ["BILLING_ACCOUNT_NOT_FOUND"]
    # What has nothing to do with the account is told beside it; its currency and kind are not known.
    assert [problem.code for problem in offer_problems(wrong, unknown, TODAY)] == [
        "BILLING_ACCOUNT_NOT_FOUND",
        "AMOUNT_INVALID",
        "EFFECTIVE_DATE_IN_FUTURE",
    ]
    assert [problem.code for problem in offer_problems(offer(1), inactive, TODAY)] == ["ACCOUNT_NOT_ACTIVE"]
    expired = offer(1, expiration_date=TODAY - dt.timedelta(days=1))
    assert [problem.pointer for problem in offer_problems(expired, account(LBG), TODAY)] == ["/expiration_date"]
    assert offer_problems(offer(1, expiration_date=TODAY), account(LBG), TODAY) == []


@pytest.mark.rule("PAY-011", "PAY-012", "PAY-013", "PAY-023")
def test_a_received_check_is_unapplied_and_issued_and_tells_its_status_once() -> None:
    check = details(method=Method.CHECK, check_number="17", check_date=TODAY, reference="R-1")
    events = receive(offer(5000, check), account(LBG), number="PAY-1", record="PAY-1", today=TODAY)
    state = received(events)
    assert (state.status, state.unapplied, state.funds_status) == (PaymentStatus.UNAPPLIED, 5000, FundsStatus.ISSUED)
    changes = [event for event in events if isinstance(event, PaymentStatusChanged)]
    assert [(change.old, change.new, change.cause) for change in changes] == [
        (None, PaymentStatus.UNAPPLIED, Cause.RECEIPT)
    ]
    (accepted,) = [event for event in events if isinstance(event, PaymentReceived)]
    assert (accepted.record, accepted.amount, accepted.details) == (state.known, 5000, check)
    assert (accepted.record.account, accepted.transaction_date, accepted.effective_date) == ("BA-1", TODAY, TODAY)


@pytest.mark.rule("PAY-013")
def test_the_status_is_told_when_it_changes_and_only_then() -> None:
    state = record(LBG, 1000)

    def told(before: PaymentRecord, amount: int) -> list[tuple[PaymentStatus | None, PaymentStatus, Cause]]:
        lines = [InvoiceLines("INV-1", (1,), (amount,))]
        distribution = Distribution(tuple(lines))
        events = allocate(before, distribution, cause=Cause.RULES, date=TODAY)
        return [(one.old, one.new, one.cause) for one in events if isinstance(one, PaymentStatusChanged)]

    unapplied, partly, whole = (
        PaymentStatus.UNAPPLIED,
        PaymentStatus.PARTIALLY_ALLOCATED,
        PaymentStatus.ALLOCATED,
    )
    assert told(state, 400) == [(unapplied, partly, Cause.RULES)]
    half = paid(state, [("INV-1", 1, None, 400)])
    assert told(half, 100) == []
    assert told(half, 600) == [(partly, whole, Cause.RULES)]


@pytest.mark.rule("PAY-E06", "PAY-025", "PAY-005", "PAY-001")
def test_a_hub_payment_over_two_accounts_is_one_number_and_two_records() -> None:
    targets = [HubTarget(None, "INV-9", 60000), HubTarget("BA-2", None, 40000)]
    parts, problems = hub_instructions(100000, targets, [NamedInvoice("INV-9", "BA-1", False)])
    assert problems == []
    assert parts == [
        AccountInstructions("BA-1", 60000, (Instruction(60000, "INV-9"),)),
        AccountInstructions("BA-2", 40000, (Instruction(40000, None),)),
    ]
    assert hub_effective_date(None, dt.date(2025, 4, 28), dt.date(2025, 5, 2)) == dt.date(2025, 4, 28)
    states = []
    for ordinal, (part, rows) in enumerate(
        zip(parts, ([Row("INV-9", 60000)], [Row("INV-1", 25000), Row("INV-2", 20000)]), strict=True), start=1
    ):
        numbers = sorted({row.invoice for row in rows})
        open_account = OpenAccount(open_items(rows), open_invoices(*numbers))
        plan = allocate_automatically(
            _without(default_configuration(LBG), partial=True), part.amount, part.instructions, open_account
        )
        state = record(LBG, part.amount, record_id=record_id("PAY-00000001", ordinal), account_number=part.account)
        states.append(fold(state, allocate(state, of_plan(plan), cause=Cause.RULES, date=TODAY)))
    first, second = states
    assert (first.status, second.status) == (PaymentStatus.ALLOCATED, PaymentStatus.UNAPPLIED)
    assert second.explanation is Explanation.PARTIAL_NOT_ALLOWED
    assert needs_entry(second)
    assert not needs_entry(first)
    assert {state.known.payment_number for state in states} == {"PAY-00000001"}
    _, problems = hub_instructions(
        100000,
        [HubTarget(None, "INV-9", 60000), HubTarget("BA-2", None, 39000)],
        [NamedInvoice("INV-9", "BA-1", False)],
    )
    assert [problem.code for problem in problems] == ["INSTRUCTION_SUM_MISMATCH"]


def _without(configuration: AllocationConfiguration, *, partial: bool = False) -> AllocationConfiguration:
    return replace(configuration, permissions=Permissions(partial_coverage=not partial))


@pytest.mark.rule("PAY-025", "PAY-027")
def test_hub_targets_report_all_their_problems_and_a_single_one_takes_the_whole_amount() -> None:
    parts, problems = hub_instructions(500, [HubTarget("BA-1", None, None)], [])
    assert (parts, problems) == ([AccountInstructions("BA-1", 500, (Instruction(500, None),))], [])
    known = [NamedInvoice("INV-1", "BA-1", False), NamedInvoice("INV-2", "BA-1", True)]
    _, problems = hub_instructions(
        500,
        [
            HubTarget(None, None, 100),
            HubTarget("BA-2", "INV-1", 100),
            HubTarget(None, "INV-2", 100),
            HubTarget(None, "INV-3", None),
        ],
        known,
    )
    assert [problem.code for problem in problems] == [
        "PAYMENT_DATA_MISSING",
        "INVOICE_ACCOUNT_MISMATCH",
        "INVOICE_NOT_ELIGIBLE",
        "PAYMENT_DATA_MISSING",
        "INVOICE_NOT_FOUND",
    ]
    _, problems = hub_instructions(500, [HubTarget(None, None, 0), HubTarget("BA-1", None, 500)], [])
    assert [(problem.code, problem.params.get("fields")) for problem in problems] == [
        ("PAYMENT_DATA_MISSING", ["account"]),
        ("AMOUNT_INVALID", None),
    ]


CARD = {"method": Method.CREDIT_CARD, "token_profile": "T", "account_holder": "H", "bank_processing": True}


@pytest.mark.rule("PAY-E07", "PAY-020", "PAY-107")
def test_money_awaiting_the_bank_counts_only_once_the_bank_honours_it() -> None:
    preset = [Target(TargetKind.INVOICE, 30000, invoice="INV-1"), Target(TargetKind.INVOICE, 20000, invoice="INV-2")]
    events = receive(
        offer(50000, details(**CARD)), account(LBG), number="PAY-1", record="PAY-1", today=TODAY, preset=preset
    )
    pending = received(events)
    assert (pending.status, pending.unapplied, pending.amount) == (PaymentStatus.PENDING, 0, 50000)
    assert pending.preset == tuple(preset)
    in_force = fold(pending, settle(pending, TODAY))
    assert (in_force.status, in_force.unapplied) == (PaymentStatus.UNAPPLIED, 50000)
    assert in_force.funds_status is FundsStatus.SETTLED
    declined = fold(
        pending, decline([pending], {}, reason="CARD_DECLINED", by_hub=True, failed=True, date=TODAY)["PAY-1"]
    )
    assert (declined.status, declined.funds_status, declined.came_in) == (
        PaymentStatus.DECLINED,
        FundsStatus.FAILED,
        0,
    )
    with pytest.raises(Refusal) as refused:
        settle(declined, TODAY)
    assert codes(refused.value) == ["PAYMENT_EVENT_REJECTED"]
    with pytest.raises(Refusal) as refused:
        settle(in_force, TODAY)
    assert codes(refused.value) == ["PAYMENT_EVENT_REJECTED"]


@pytest.mark.rule("PAY-021")
def test_a_recurring_draw_is_in_force_before_the_bank_answers() -> None:
    drawn = record(LBG, 5000, recurring=True, pre_authorised=True, **CARD)
    assert (drawn.status, drawn.funds_status) == (PaymentStatus.UNAPPLIED, FundsStatus.AWAITING)
    settled = fold(drawn, settle(drawn, TODAY))
    assert (settled.funds_status, settled.unapplied) == (FundsStatus.SETTLED, 5000)


@pytest.mark.rule("PAY-031")
def test_an_update_repeats_amount_and_currency_and_changes_no_fixed_attribute() -> None:
    state = record(LBG, 5000)
    problems = update_problems(state, amount=4000, total=5000, currency="EUR", changed=["channel", "reason"])
    assert [problem.code for problem in problems] == ["AMOUNT_MISMATCH", "CURRENCY_MISMATCH", "IMMUTABLE_ATTRIBUTE"]


@pytest.mark.rule("PAY-E20", "PAY-120")
@pytest.mark.parametrize(
    ("amount", "day", "kind", "ignored"),
    [
        (-12000, dt.date(2025, 3, 1), LBI, None),
        (12000, dt.date(2025, 3, 1), LBI, "AMOUNT_NOT_NEGATIVE"),
        (-12000, None, LBI, "ACCOUNTING_DATE_MISSING"),
        (-12000, dt.date(2025, 3, 1), LBG, "ACCOUNT_NOT_ELIGIBLE"),
    ],
)
def test_a_cash_transaction_creates_a_payment_only_for_a_deduction_of_a_member(
    amount: int, day: dt.date | None, kind: AccountKind, ignored: str | None
) -> None:
    reported = CashTransaction(amount, "C-1", day, "MR-5", "LIFE", "CV-1")
    assert cash_transaction_ignored(reported, kind, ()) == ignored
    if ignored is None:
        assert cash_transaction_ignored(reported, kind, ("LIFE",)) is None
        assert cash_transaction_ignored(reported, kind, ("DENTAL",)) == "PRODUCT_NOT_ELIGIBLE"
        assert cash_transaction_ignored(replace(reported, correlation=None), kind, ()) == "CORRELATION_MISSING"
        assert cash_transaction_ignored(replace(reported, member_record=None), kind, ()) == "MEMBER_RECORD_MISSING"


@pytest.mark.rule("PAY-E20", "PAY-121")
def test_a_cash_deduction_pays_the_member_and_keeps_the_excess_as_overpayment() -> None:
    rows = [Row("INV-1", 5000, member="MR-5"), Row("INV-2", 6000, member="MR-5")]
    facts = TargetFacts("BA-1", LBI, OpenAccount(open_items(rows), open_invoices("INV-1", "INV-2")))
    reported = CashTransaction(-12000, "C-1", TODAY, "MR-5", "LIFE", "CV-1")
    stated = cash_deduction_details(details(Category.INTERNAL, related_entity=None), reported)
    assert (stated.subtype, stated.related_entity) == (InternalSubtype.CASH_DEDUCTION, "CV-1")
    assert (stated.correlation, stated.member_record) == ("C-1", "MR-5")
    target = Target(TargetKind.MEMBER, 12000, member_record="MR-5")
    done = distribute_to_targets(12000, [target], None, facts, member_targets=True)
    payment = received(
        receive(offer(12000, stated), account(LBI), number="INT-00000001", record="INT-00000001", today=TODAY)
    )
    after = fold(payment, allocate(payment, done, cause=Cause.INSTRUCTION, date=TODAY))
    assert dict(after.items) == {"INV-1": 5000, "INV-2": 6000}
    assert (dict(after.member_overpayment), after.status) == ({"MR-5": 1000}, PaymentStatus.ALLOCATED)


# --- Unallocation ----------------------------------------------------------------------------------------------------


E11_ITEMS = [("INV-1", 1, "MR-7", 40000), ("INV-1", 2, "MR-8", 20000)]


def e11() -> PaymentRecord:
    """PAY-E11: 1,000.00 with a part in every place."""
    state = paid(record(LBI, 100000), E11_ITEMS)
    state = put(state, Bucket.MEMBER_OVERPAYMENT, "MR-7", 15000)
    return put(state, Bucket.MEMBER_UNAPPLIED, "MR-8", 5000)


@pytest.mark.rule("PAY-E11", "PAY-092", "PAY-011")
def test_unallocating_from_members_moves_overpayment_or_everything_to_their_unapplied() -> None:
    state = e11()
    assert state.status is PaymentStatus.PARTIALLY_ALLOCATED
    items = allocated(E11_ITEMS)
    ask = {"members": ["MR-7"], "reason": "WRONG_MEMBER", "date": TODAY}
    only = fold(state, unallocate_from_members(state, items, scope=MemberScope.OVERPAYMENT_ONLY, **ask))
    assert dict(only.member_unapplied) == {"MR-7": 15000, "MR-8": 5000}
    entire = fold(state, unallocate_from_members(state, items, scope=MemberScope.ENTIRE, **ask))
    assert dict(entire.member_unapplied) == {"MR-7": 55000, "MR-8": 5000}
    assert dict(entire.items) == {"INV-1": 20000}
    with pytest.raises(Refusal) as refused:
        unallocate_from_members(
            state,
            items,
            members=["MR-7", "MR-8", "MR-9"],
            scope=MemberScope.OVERPAYMENT_ONLY,
            reason="R",
            date=TODAY,
        )
    assert codes(refused.value) == ["NOTHING_TO_UNALLOCATE"] * 2
    assert [problem.params["member_record"] for problem in refused.value.problems] == ["MR-8", "MR-9"]


@pytest.mark.rule("PAY-092", "PAY-093")
def test_a_customer_credit_taken_from_a_member_becomes_unapplied_never_member_unapplied() -> None:
    state = paid(record(LBI, 1000, category=Category.CUSTOMER_CREDIT), [("INV-1", 1, "MR-1", 600)])
    state = put(state, Bucket.MEMBER_OVERPAYMENT, "MR-1", 400)
    items = allocated([("INV-1", 1, "MR-1", 600)])
    after = fold(
        state,
        unallocate_from_members(state, items, members=["MR-1"], scope=MemberScope.ENTIRE, reason="ERROR", date=TODAY),
    )
    assert (after.unapplied, after.member_unapplied_total) == (1000, 0)


@pytest.mark.rule("PAY-E11", "PAY-090", "PAY-088")
def test_unallocating_the_whole_record_brings_every_part_to_unapplied() -> None:
    state = e11()
    events = unallocate_payment(state, allocated(E11_ITEMS), invoices=None, reason="ERROR", date=TODAY)
    after = fold(state, events)
    assert (after.unapplied, after.status, after.explanation) == (
        100000,
        PaymentStatus.UNAPPLIED,
        Explanation.UNALLOCATED,
    )
    assert freed_amount(state, events) == 80000
    (unallocated,) = [event for event in events if isinstance(event, PaymentUnallocated)]
    assert (unallocated.reason, unallocated.cause) == ("ERROR", Cause.MANUAL)


@pytest.mark.rule("PAY-E12", "PAY-091", "PAY-090")
@pytest.mark.parametrize(
    ("chosen", "expected"), [(None, {"INV-4": 12000}), (["INV-3"], {"INV-2": 30000, "INV-4": 12000})]
)
def test_on_list_bill_individual_the_rules_use_what_was_freed_on_other_invoices(
    chosen: list[str] | None, expected: dict[str, int]
) -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-2", 1, "MR-1", 30000), ("INV-3", 1, "MR-1", 20000)]
    state = paid(record(LBI, 50000), rows)
    events = unallocate_payment(state, allocated(rows), invoices=chosen, reason="ERROR", date=TODAY)
    middle = fold(state, events)
    freed = {one for one in ("INV-2", "INV-3") if one not in middle.items}
    due = [Row("INV-4", 12000), *(Row(invoice, state.items[invoice]) for invoice in sorted(freed))]
    plan = allocate_automatically(
        default_configuration(LBI),
        freed_amount(state, events),
        [],
        OpenAccount(open_items(due), open_invoices("INV-4", *sorted(freed))),
        excluded=frozenset(freed),
    )
    after = fold(middle, allocate(middle, of_plan(plan), cause=Cause.RULES, date=TODAY))
    assert dict(after.items) == expected
    assert after.unapplied == 50000 - sum(expected.values())
    assert after.status is PaymentStatus.PARTIALLY_ALLOCATED
    group = paid(record(LBG, 50000), rows)
    left_alone = unallocate_payment(group, allocated(rows), invoices=None, reason="ERROR", date=TODAY)
    assert fold(group, left_alone).unapplied == 50000


@pytest.mark.rule("PAY-088", "PAY-090")
def test_an_unallocation_names_its_lines_cause_and_reason_and_leaves_the_other_invoices_alone() -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 300), ("INV-2", 4, "MR-1", 200)]
    state = paid(record(LBG, 500), rows)
    events = unallocate_payment(state, allocated(rows), invoices=["INV-2"], reason="ERROR", date=TODAY)
    (taken,) = [event for event in events if isinstance(event, PaymentUnallocated)]
    assert taken.lines == (InvoiceLines("INV-2", (4,), (200,)),)
    assert (taken.to, taken.cause, taken.reason, taken.date) == (Bucket.UNAPPLIED, Cause.MANUAL, "ERROR", TODAY)
    assert dict(fold(state, events).items) == {"INV-1": 300}


@pytest.mark.rule("PAY-089", "PAY-090")
def test_what_cannot_be_unallocated_is_refused_with_every_reason() -> None:
    state = fold(record(LBG, 1000), [RefundLockSet(record=record(LBG, 1000).known, refund="RF-1")])
    with pytest.raises(Refusal) as refused:
        unallocate_payment(state, AllocatedItems(), invoices=["INV-1"], reason=None, date=TODAY)
    assert codes(refused.value) == [
        "PAYMENT_NOT_UNALLOCATABLE",
        "PAYMENT_LOCKED_BY_REFUND",
        "REASON_REQUIRED",
        "NOTHING_TO_UNALLOCATE",
    ]
    free = put(record(LBI, 1000), Bucket.MEMBER_UNAPPLIED, "MR-1", 1000)
    after = fold(free, unallocate_payment(free, AllocatedItems(), invoices=None, reason="ERROR", date=TODAY))
    assert after.unapplied == 1000


@pytest.mark.rule("PAY-082")
@pytest.mark.parametrize(
    ("kind", "category", "bucket"),
    [
        (LBI, Category.BANKING, Bucket.MEMBER_UNAPPLIED),
        (LBI, Category.CUSTOMER_CREDIT, Bucket.UNAPPLIED),
        (AccountKind.INDIVIDUAL_DIRECT, Category.BANKING, Bucket.UNAPPLIED),
    ],
)
def test_released_overpayment_goes_where_the_account_keeps_free_money(
    kind: AccountKind, category: Category, bucket: Bucket
) -> None:
    state = put(record(kind, 1000, category=category), Bucket.MEMBER_OVERPAYMENT, "MR-1", 1000)
    after = fold(state, release_member_overpayment(state, "MR-1", 600, date=TODAY))
    assert after.in_bucket(bucket) == 600
    assert after.member_overpayment_total == 400
    with pytest.raises(Refusal) as refused:
        release_member_overpayment(state, "MR-1", 1001, date=TODAY)
    assert codes(refused.value) == ["AMOUNT_EXCEEDS_OVERPAYMENT"]


# --- Suspension, release, reversal, decline --------------------------------------------------------------------------


def e14() -> tuple[PaymentRecord, PaymentRecord, dict[str, AllocatedItems]]:
    """PAY-E14: P-1 with a record on BA-A (LBI, refund under way, a draft) and one on BA-B (LBG)."""
    a_rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-7", 60000)]
    b_rows: list[tuple[str, int, str | None, int]] = [("INV-2", 1, "MR-9", 40000)]
    on_a = paid(record(LBI, 65000, number="P-1", account_number="BA-A"), a_rows)
    on_a = fold(on_a, [RefundLockSet(record=on_a.known, refund="RF-1")])
    on_a = fold(on_a, save_draft(on_a, [Target(TargetKind.INVOICE, 5000, invoice="INV-3")]))
    on_b = paid(record(LBG, 40000, number="P-1", record_id="P-1/2", account_number="BA-B"), b_rows)
    return on_a, on_b, {"P-1": allocated(a_rows), "P-1/2": allocated(b_rows)}


@pytest.mark.rule("PAY-E14", "PAY-101", "PAY-102", "PAY-103", "PAY-075")
def test_a_suspension_takes_the_money_of_all_records_to_general_suspense() -> None:
    on_a, on_b, items = e14()
    events = suspend([on_a, on_b], items, reason="MISDIRECTED", refunds=[RefundState("RF-1", "INITIATED")], date=TODAY)
    a, b = fold(on_a, events["P-1"]), fold(on_b, events["P-1/2"])
    assert [state.status for state in (a, b)] == [PaymentStatus.SUSPENDED] * 2
    assert a.suspended + b.suspended == 105000
    assert a.draft is None
    assert any(isinstance(event, DraftAllocationDeleted) for event in events["P-1"])
    assert any(isinstance(event, RefundLockReleased) for event in events["P-1"])
    assert not a.locked_by_refund
    assert (dict(a.items), dict(b.items)) == ({}, {})
    # The member's overpayment of another payment pays what became due again on the list bill account.
    again = OpenAccount(open_items([Row("INV-1", 60000, member="MR-7")]), open_invoices("INV-1"))
    used = use_member_money([Consumable("P-2", "P-2", Category.BANKING, TODAY, 12000, "MR-7")], again)
    assert 60000 - used.allocated == 48000


@pytest.mark.rule("PAY-E14", "PAY-E15", "PAY-102")
def test_an_approved_refund_stops_a_suspension_and_nothing_changes() -> None:
    on_a, on_b, items = e14()
    with pytest.raises(Refusal) as refused:
        suspend([on_a, on_b], items, reason="MISDIRECTED", refunds=[RefundState("RF-1", "APPROVED")], date=TODAY)
    assert codes(refused.value) == ["REFUND_IN_PROGRESS"]


@pytest.mark.rule("PAY-E14", "PAY-104")
def test_released_money_goes_back_to_the_named_account_and_the_other_record_is_empty() -> None:
    on_a, on_b, items = e14()
    events = suspend([on_a, on_b], items, reason="MISDIRECTED", date=TODAY)
    a, b = fold(on_a, events["P-1"]), fold(on_b, events["P-1/2"])
    with pytest.raises(Refusal) as refused:
        release([a, b], [ReleaseTarget(account(LBG, "BA-B"), 100000, "P-1/3")], date=TODAY)
    assert codes(refused.value) == ["RELEASE_AMOUNT_MISMATCH"]
    existing, new = release([a, b], [ReleaseTarget(account(LBG, "BA-B"), 105000, "P-1/3")], date=TODAY)
    a, b = fold(a, existing["P-1"]), fold(b, existing["P-1/2"])
    assert (a.status, a.amount) == (PaymentStatus.TRANSFERRED, 0)
    assert (b.status, b.amount, b.unapplied) == (PaymentStatus.UNAPPLIED, 105000, 105000)
    assert new == {}


@pytest.mark.rule("PAY-104")
def test_release_to_an_account_without_a_record_makes_a_new_one_with_the_number_and_dates() -> None:
    on_a, on_b, items = e14()
    events = suspend([on_a, on_b], items, reason="MISDIRECTED", date=TODAY)
    states = [fold(on_a, events["P-1"]), fold(on_b, events["P-1/2"])]
    existing, new = release(states, [ReleaseTarget(account(LBG, "BA-C"), 105000, "P-1/3")], date=TODAY)
    arrived = received(new["P-1/3"])
    assert (arrived.amount, arrived.known.payment_number, arrived.effective_date) == (105000, "P-1", TODAY)
    assert {fold(state, existing[state.known.record_id]).amount for state in states} == {0}
    with pytest.raises(Refusal) as refused:
        release(
            states,
            [ReleaseTarget(account(LBG, "BA-C"), 105000, "P-1/3", invoice="INV-8")],
            invoices={"INV-8": NamedInvoice("INV-8", "BA-D", False)},
            date=TODAY,
        )
    assert codes(refused.value) == ["INVOICE_ACCOUNT_MISMATCH"]


@pytest.mark.rule("PAY-105")
def test_a_payment_routed_to_another_domain_leaves_empty_records() -> None:
    on_a, on_b, items = e14()
    events = suspend([on_a, on_b], items, reason="MISDIRECTED", date=TODAY)
    states = [fold(on_a, events["P-1"]), fold(on_b, events["P-1/2"])]
    moved = redirect(states, "CLAIMS", date=TODAY)
    gone = [fold(state, moved[state.known.record_id]) for state in states]
    assert [(state.status, state.amount, state.suspended) for state in gone] == [(PaymentStatus.TRANSFERRED, 0, 0)] * 2
    released = [event for events in moved.values() for event in events if isinstance(event, PaymentReleased)]
    assert [(event.domain, event.suspended) for event in released] == [("CLAIMS", 65000), ("CLAIMS", 40000)]


@pytest.mark.rule("PAY-101")
def test_only_bank_money_in_force_is_suspended_and_never_on_the_hubs_request() -> None:
    internal = record(LBG, 1000, category=Category.INTERNAL)
    with pytest.raises(Refusal) as refused:
        suspend([internal], {}, reason="MISDIRECTED", requested_by_hub=True, date=TODAY)
    assert codes(refused.value) == ["SUSPEND_FROM_DOMAIN_ONLY", "PAYMENT_NOT_SUSPENDABLE"]


@pytest.mark.rule("PAY-E15", "PAY-102", "PAY-109")
@pytest.mark.parametrize(
    ("status", "suspension", "reversal", "hub"),
    [
        (None, "go", "go", "go"),
        ("CANCELLED", "go", "go", "go"),
        ("VOIDED", "go", "go", "go"),
        ("INITIATED", "cancel", "cancel", "cancel"),
        ("APPROVED", "REFUND_IN_PROGRESS", "park", "REFUND_IN_PROGRESS"),
        ("STOP_REQUESTED", "REFUND_IN_PROGRESS", "park", "REFUND_IN_PROGRESS"),
        ("PAID", "PAYMENT_REFUNDED", "PAYMENT_REFUNDED", "PAYMENT_REFUNDED"),
    ],
)
def test_the_refund_guard_by_refund_status_and_action(
    status: str | None, suspension: str, reversal: str, hub: str
) -> None:
    refunds = [] if status is None else [RefundState("RF-1", status)]
    actions = (Withdrawal.SUSPENSION, Withdrawal.USER_REVERSAL, Withdrawal.HUB_DECLINE)
    for action, expected in zip(actions, (suspension, reversal, hub), strict=True):
        outcome = refund_guard(action, refunds)
        if outcome.problems:
            assert outcome.problems[0].code == expected
            assert outcome.problems[0].params["refund_status"] == status
        else:
            told = "park" if outcome.parked else "cancel" if outcome.cancel else "go"
            assert told == expected


@pytest.mark.rule("PAY-E15", "PAY-106", "PAY-110", "PAY-111")
def test_a_payment_the_hub_knows_is_suspended_before_it_is_reversed_and_only_once() -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 1000)]
    state = paid(record(LBG, 1000, number="P-1", hub_known=True, channel=Channel.PAYMENT_HUB), rows)
    items = {"P-1": allocated(rows)}
    with pytest.raises(Refusal) as refused:
        reverse([state], items, reason="ENTRY_ERROR", date=TODAY)
    assert codes(refused.value) == ["SUSPENSION_REQUIRED"]
    state = fold(state, suspend([state], items, reason="MISDIRECTED", date=TODAY)["P-1"])
    events = reverse([state], {}, reason="ENTRY_ERROR", date=TODAY)["P-1"]
    assert not any(isinstance(event, PaymentUnallocated) for event in events)
    gone = fold(state, events)
    assert (gone.status, gone.suspended) == (PaymentStatus.REVERSED, 0)
    for again, code in ((reverse, "PAYMENT_NOT_REVERSIBLE"), (decline, "PAYMENT_NOT_DECLINABLE")):
        with pytest.raises(Refusal) as refused:
            again([gone], {}, reason="ENTRY_ERROR", date=TODAY)
        assert codes(refused.value) == [code]


@pytest.mark.rule("PAY-107", "PAY-108", "PAY-110")
def test_a_decline_needs_a_reason_of_the_method_and_takes_every_part() -> None:
    check = {"method": Method.CHECK, "check_number": "1", "check_date": TODAY, "reference": "R"}
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 600)]
    state = put(paid(record(LBI, 1000, **check), rows), Bucket.MEMBER_OVERPAYMENT, "MR-1", 300)
    items = {"PAY-00000001": allocated(rows)}
    for reason, text, expected in (
        (None, None, "REASON_REQUIRED"),
        ("CHARGEBACK", None, "REASON_NOT_FOR_METHOD"),
        ("OTHER", " ", "REASON_TEXT_REQUIRED"),
    ):
        with pytest.raises(Refusal) as refused:
            decline([state], items, reason=reason, text=text, date=TODAY)
        assert codes(refused.value) == [expected]
    after = fold(state, decline([state], items, reason="INSUFFICIENT_FUNDS", date=TODAY)["PAY-00000001"])
    assert (after.status, after.items_total, after.member_overpayment_total, after.unapplied) == (
        PaymentStatus.DECLINED,
        0,
        0,
        0,
    )
    with pytest.raises(Refusal) as refused:
        decline([], {}, reason="OTHER", date=TODAY)
    assert codes(refused.value) == ["PAYMENT_NOT_FOUND"]


@pytest.mark.rule("PAY-108")
@pytest.mark.parametrize(
    ("method", "reasons"),
    [
        (Method.CHECK, "INSUFFICIENT_FUNDS STOP_PAYMENT ACCOUNT_CLOSED SIGNATURE STALE_DATED"),
        (Method.EFT_ACH, "INSUFFICIENT_FUNDS ACCOUNT_CLOSED NO_ACCOUNT NOT_AUTHORISED"),
        (Method.CREDIT_CARD, "CARD_DECLINED CARD_EXPIRED CHARGEBACK"),
        (Method.CASH, "COUNTERFEIT ENTRY_ERROR"),
        (Method.INTERNAL, "SOURCE_CANCELLED ENTRY_ERROR"),
        (Method.CREDIT, "CREDIT_WITHDRAWN ENTRY_ERROR"),
    ],
)
def test_each_method_has_its_own_reasons_of_a_decline(method: Method, reasons: str) -> None:
    category = {Method.INTERNAL: Category.INTERNAL, Method.CREDIT: Category.CUSTOMER_CREDIT}.get(
        method, Category.BANKING
    )
    needed = {"check_number": "1", "check_date": TODAY, "reference": "R", "token_profile": "T", "account_holder": "H"}
    state = record(LBI, 1000, category=category, method=method, **needed)
    for reason in [*reasons.split(), "OTHER"]:
        events = decline([state], {}, reason=reason, text="because", date=TODAY)[state.known.record_id]
        assert fold(state, events).status is PaymentStatus.DECLINED
    with pytest.raises(Refusal) as refused:
        decline([state], {}, reason="UNHEARD_OF", date=TODAY)
    assert refused.value.problems[0].params["allowed"] == [*reasons.split(), "OTHER"]


# --- Transfer --------------------------------------------------------------------------------------------------------


E16_ROWS: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 60000)]


def e16() -> PaymentRecord:
    """PAY-E16: 1,000.00 on BA-A with a draft."""
    state = paid(record(LBI, 100000, number="P-1", account_number="BA-A"), E16_ROWS)
    state = put(state, Bucket.MEMBER_UNAPPLIED, "MR-1", 25000)
    return fold(state, save_draft(state, [Target(TargetKind.INVOICE, 100, invoice="INV-2")]))


def to(account_number: str, amount: int, ordinal: int) -> TransferRequest:
    return TransferRequest(account(LBI, account_number), amount, record_id("P-1", ordinal))


ALL_CONFIRMED = ("DRAFT_DELETION", "MEMBER_UNAPPLIED_MOVE", "UNALLOCATION", "RETAIN_REMAINDER")


@pytest.mark.rule("PAY-E16", "PAY-113", "PAY-114", "PAY-115", "PAY-116")
def test_a_transfer_asks_for_all_confirmations_then_moves_whole_records() -> None:
    state, items = e16(), allocated(E16_ROWS)
    targets = [to("BA-B", 70000, 2), to("BA-C", 20000, 3)]
    with pytest.raises(Refusal) as refused:
        transfer(state, items, targets, reason="MISAPPLIED", date=TODAY)
    assert refused.value.code == "CONFIRMATION_REQUIRED"
    assert refused.value.problems[0].params["confirmations"] == list(ALL_CONFIRMED)
    later = TODAY + dt.timedelta(days=5)
    events, arrivals = transfer(state, items, targets, reason="MISAPPLIED", confirmations=ALL_CONFIRMED, date=later)
    (moved,) = [event for event in events if isinstance(event, PaymentTransferred)]
    assert [(target.account, target.amount) for target in moved.targets] == [("BA-B", 70000), ("BA-C", 20000)]
    assert (moved.amount, moved.remainder, moved.reason, moved.date) == (90000, 10000, "MISAPPLIED", later)
    after = fold(state, events)
    assert (after.amount, after.status, after.draft) == (10000, PaymentStatus.UNAPPLIED, None)
    arrived = {name: received(stream) for name, stream in arrivals.items()}
    assert {name: (one.known.account, one.unapplied, one.status) for name, one in arrived.items()} == {
        "P-1/2": ("BA-B", 70000, PaymentStatus.UNAPPLIED),
        "P-1/3": ("BA-C", 20000, PaymentStatus.UNAPPLIED),
    }
    for one in arrived.values():
        assert (one.known.payment_number, one.transaction_date, one.effective_date) == ("P-1", TODAY, TODAY)
        assert one.stated == state.stated
    assert after.unapplied + sum(one.unapplied for one in arrived.values()) == 100000


@pytest.mark.rule("PAY-E16", "PAY-112")
def test_a_transfer_never_exceeds_the_payment_and_a_full_one_leaves_it_transferred() -> None:
    state, items = e16(), allocated(E16_ROWS)
    with pytest.raises(Refusal) as refused:
        transfer(state, items, [to("BA-B", 70000, 2), to("BA-C", 40000, 3)], reason="MISAPPLIED", date=TODAY)
    assert codes(refused.value) == ["TRANSFER_EXCEEDS_PAYMENT"]
    events, _ = transfer(
        state, items, [to("BA-B", 100000, 2)], reason="MISAPPLIED", confirmations=ALL_CONFIRMED, date=TODAY
    )
    after = fold(state, events)
    assert (after.status, after.amount) == (PaymentStatus.TRANSFERRED, 0)


@pytest.mark.rule("PAY-112")
def test_an_impossible_target_is_named_with_every_reason() -> None:
    state = record(LBI, 1000, account_number="BA-A")
    closed = TransferRequest(account(AccountKind.SELF_BILL, "BA-A"), 100, "X")
    with pytest.raises(Refusal) as refused:
        transfer(
            state,
            AllocatedItems(),
            [closed, TransferRequest(account(LBI, "BA-A"), 0, "Y")],
            reason="OTHER",
            incompatible={(LBI, AccountKind.SELF_BILL)},
            date=TODAY,
        )
    assert codes(refused.value) == ["TARGET_INVALID", "TARGET_INVALID", "AMOUNT_INVALID", "REASON_TEXT_REQUIRED"]
    assert refused.value.problems[0].params["reasons"] == ["SOURCE_ACCOUNT", "INCOMPATIBLE_TYPES"]
    assert refused.value.problems[1].params["reasons"] == ["SOURCE_ACCOUNT", "NAMED_TWICE"]


# --- Reallocation ----------------------------------------------------------------------------------------------------


E19_ROWS: list[tuple[str, int, str | None, int]] = [
    ("INV-1", 1, "MR-1", 30000),
    ("INV-1", 2, "MR-2", 40000),
    ("INV-2", 1, "MR-1", 15000),
]


def e19() -> tuple[PaymentRecord, OpenAccount]:
    state = put(paid(record(LBI, 90000), E19_ROWS), Bucket.MEMBER_OVERPAYMENT, "MR-1", 5000)
    rows = [
        Row("INV-1", 0, member="MR-1"),
        Row("INV-1", 0, member="MR-2"),
        Row("INV-2", 0, member="MR-1"),
        Row("INV-2", 3000, member="MR-2"),
    ]
    return state, OpenAccount(open_items(rows), open_invoices("INV-1", "INV-2"), SpreadSettings(True))


@pytest.mark.rule("PAY-E19", "PAY-097", "PAY-098")
def test_reallocating_members_takes_overpayment_and_young_items_first_and_pays_old_items_first() -> None:
    state, open_account = e19()
    done = reallocate_members(
        state,
        allocated(E19_ROWS),
        {"MR-1": 30000, "MR-2": 45000},
        open_account,
        confirm_remainder=True,
        date=TODAY,
    )
    after = fold(state, done.events)
    assert dict(after.items) == {"INV-1": 70000, "INV-2": 3000}
    assert dict(after.member_overpayment) == {"MR-2": 2000}
    assert (after.unapplied, after.status) == (15000, PaymentStatus.PARTIALLY_ALLOCATED)
    taken = [event for event in done.events if isinstance(event, PaymentUnallocated)]
    assert [by_invoice(event.lines) for event in taken] == [{"INV-2": 15000}]
    given = [event for event in done.events if isinstance(event, PaymentAllocated)]
    assert [by_invoice(event.lines) for event in given] == [{"INV-2": 3000}]
    assert [warning.code for warning in done.warnings] == ["DIFFERS_FROM_DUE"]


@pytest.mark.rule("PAY-E19", "PAY-097")
@pytest.mark.parametrize(
    ("targets", "confirmed", "code"),
    [
        ({"MR-1": 0, "MR-2": 0}, True, "REALLOCATION_ALL_ZERO"),
        ({"MR-1": 60000, "MR-2": 40000}, True, "REALLOCATION_EXCEEDS_ALLOCATED"),
        ({"MR-1": 10000}, False, "REMAINDER_CONFIRMATION_REQUIRED"),
        ({"MR-1": -1}, True, "AMOUNT_NEGATIVE"),
    ],
)
def test_impossible_member_targets_are_refused(targets: dict[str, int], confirmed: bool, code: str) -> None:
    state, open_account = e19()
    with pytest.raises(Refusal) as refused:
        reallocate_members(state, allocated(E19_ROWS), targets, open_account, confirm_remainder=confirmed, date=TODAY)
    assert codes(refused.value) == [code]


@pytest.mark.rule("PAY-E19", "PAY-097")
def test_targets_that_change_nothing_write_nothing() -> None:
    state, open_account = e19()
    same = {"MR-1": 50000, "MR-2": 40000}
    done = reallocate_members(state, allocated(E19_ROWS), same, open_account, confirm_remainder=False, date=TODAY)
    assert done.events == ()


@pytest.mark.rule("PAY-100")
def test_a_payment_is_reallocated_to_new_targets_of_exactly_the_freed_amount() -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 1000), ("INV-2", 1, "MR-1", 500)]
    state = paid(record(LBG, 1500), rows)
    written_off = ActiveWriteOff("WO-1", "INV-1", WriteOffKind.MANUAL, 1, (1,), (50,))
    open_account = OpenAccount(
        open_items([Row("INV-1", 0), Row("INV-2", 0), Row("INV-3", 800)]),
        open_invoices("INV-1", "INV-2", "INV-3"),
        SpreadSettings(),
        (written_off,),
    )
    named = {number: NamedInvoice(number, "BA-1", False) for number in ("INV-1", "INV-2", "INV-3")}
    facts = TargetFacts("BA-1", LBG, open_account, named)
    ask = {"invoices": ["INV-1"], "reason": "ERROR", "date": TODAY}
    with pytest.raises(Refusal) as refused:
        reallocate_payment(
            state,
            allocated(rows),
            [Target(TargetKind.INVOICE, 800, invoice="INV-3")],
            facts,
            **ask,
        )
    assert codes(refused.value) == ["REALLOCATION_NOT_EQUAL"]
    targets = [Target(TargetKind.INVOICE, 800, invoice="INV-3"), Target(TargetKind.UNAPPLIED, 200)]
    done = reallocate_payment(state, allocated(rows), targets, facts, **ask)
    after = fold(state, done.events)
    assert (dict(after.items), after.unapplied) == ({"INV-2": 500, "INV-3": 800}, 200)
    assert done.reversed_write_offs == ("WO-1",)


@pytest.mark.rule("PAY-099")
def test_a_changed_status_is_told_before_any_other_change() -> None:
    both = submission_problems(status_seen="ALLOCATED", status_now="UNAPPLIED", version_seen=1, version_now=2)
    assert [problem.code for problem in both] == ["PAYMENT_STATUS_CHANGED"]
    moved = submission_problems(status_seen="ALLOCATED", status_now="ALLOCATED", version_seen=1, version_now=2)
    assert [problem.code for problem in moved] == ["CONCURRENT_CHANGE"]


# --- Drafts, suspense, refunds, configuration ------------------------------------------------------------------------


@pytest.mark.rule("PAY-070", "PAY-072", "PAY-074")
def test_each_save_is_a_version_and_a_cleared_draft_cannot_be_applied() -> None:
    state = record(LBG, 1000)
    targets = [Target(TargetKind.INVOICE, 1000, invoice="INV-1")]
    state = fold(state, save_draft(state, targets))
    state = fold(state, save_draft(state, targets, warnings=["OVER_ALLOCATED"]))
    assert state.draft is not None
    assert state.draft.version == 2
    assert (state.status, state.unapplied) == (PaymentStatus.UNAPPLIED, 1000)
    assert draft_to_apply(state) == tuple(targets)
    cleared = fold(state, clear_draft(state, confirmed=True))
    with pytest.raises(Refusal) as refused:
        draft_to_apply(cleared)
    assert codes(refused.value) == ["DRAFT_EMPTY"]
    deleted = fold(state, delete_draft_allocation(state, confirmed=True))
    assert (deleted.draft, deleted.status, deleted.unapplied) == (None, PaymentStatus.UNAPPLIED, 1000)
    with pytest.raises(Refusal) as refused:
        delete_draft_allocation(paid(record(LBG, 10), [("INV-1", 1, None, 10)]), confirmed=True)
    assert codes(refused.value) == ["ALLOCATION_POSTED"]


@pytest.mark.rule("PAY-075")
@pytest.mark.parametrize("what", ["unallocation", "reallocation", "transfer", "suspension", "reversal", "decline"])
def test_a_draft_goes_with_the_money_it_was_made_for(what: str) -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, "MR-1", 600)]
    state, items = paid(record(LBG, 1000, number="P-1", account_number="BA-A"), rows), allocated(rows)
    state = fold(state, save_draft(state, [Target(TargetKind.INVOICE, 400, invoice="INV-2")]))
    known = TargetFacts("BA-A", LBG, OpenAccount(open_items([Row("INV-1", 0)]), open_invoices("INV-1")))
    unapplied = [Target(TargetKind.UNAPPLIED, 600)]
    events = {
        "unallocation": lambda: unallocate_payment(state, items, invoices=None, reason="ERROR", date=TODAY),
        "reallocation": lambda: (
            reallocate_payment(state, items, unapplied, known, invoices=["INV-1"], reason="ERROR", date=TODAY).events
        ),
        "transfer": lambda: transfer(
            state, items, [to("BA-B", 1000, 2)], reason="MISAPPLIED", confirmations=ALL_CONFIRMED, date=TODAY
        )[0],
        "suspension": lambda: suspend([state], {"P-1": items}, reason="MISDIRECTED", date=TODAY)["P-1"],
        "reversal": lambda: reverse([state], {"P-1": items}, reason="ENTRY_ERROR", date=TODAY)["P-1"],
        "decline": lambda: decline([state], {"P-1": items}, reason="ENTRY_ERROR", date=TODAY)["P-1"],
    }[what]()
    assert [event.version for event in events if isinstance(event, DraftAllocationDeleted)] == [1]
    assert fold(state, events).draft is None


@pytest.mark.rule("PAY-085", "PAY-086")
def test_a_suspense_entry_is_resolved_when_its_money_has_found_a_home() -> None:
    state = record(LBG, 1000)
    opened = open_entry(state, reference="SUS-00000001", reason=Explanation.NO_OPEN_INVOICE, receipt_date=TODAY)
    assert opened == [
        SuspenseEntryOpened(
            record=state.known, reference="SUS-00000001", amount=1000, receipt_date=TODAY, reason="NO_OPEN_INVOICE"
        )
    ]
    state = fold(state, opened)
    known = TargetFacts(
        "BA-1",
        LBG,
        OpenAccount(open_items([Row("INV-1", 1000)]), open_invoices("INV-1")),
        {"INV-1": NamedInvoice("INV-1", "BA-1", False)},
    )
    half = distribute_to_targets(
        1000, [Target(TargetKind.INVOICE, 400, invoice="INV-1")], Remainder.KEEP_UNAPPLIED, known
    )
    events = allocate(state, half, cause=Cause.MANUAL, date=TODAY)
    assert not any(isinstance(event, SuspenseEntryResolved) for event in events)
    state = fold(state, events)
    rest = distribute_to_targets(600, [Target(TargetKind.INVOICE, 600, invoice="INV-1")], None, known)
    events = allocate(state, rest, cause=Cause.MANUAL, date=TODAY)
    assert [event.reference for event in events if isinstance(event, SuspenseEntryResolved)] == ["SUS-00000001"]
    assert fold(state, events).suspense == ()
    with pytest.raises(Refusal) as refused:
        open_entry(fold(state, events), reference="", reason="X", receipt_date=TODAY)
    assert refused.value.problems[0].params["fields"] == ["reference", "amount"]
    with pytest.raises(Refusal) as refused:
        hold_internal_payment(state, reference="SUS-2", reason=None, receipt_date=TODAY)
    assert codes(refused.value) == ["NOT_INTERNAL", "REASON_REQUIRED"]
    internal = record(LBG, 700, category=Category.INTERNAL)
    (held,) = hold_internal_payment(internal, reference="SUS-00000002", reason="to be asked", receipt_date=TODAY)
    assert (held.amount, held.reason) == (700, "INTERNAL_HELD")


@pytest.mark.rule("PAY-011")
def test_a_fully_refunded_record_is_refunded_and_a_restored_one_unapplied() -> None:
    state = record(LBG, 1000)
    gone = fold(
        state,
        [PaymentRefunded(record=state.known, refund="RF-1", source=Bucket.UNAPPLIED, amount=1000, date=TODAY)],
    )
    assert (gone.status, gone.transferable) == (PaymentStatus.REFUNDED, 0)
    back = fold(
        gone,
        [PaymentRefundRestored(record=state.known, refund="RF-1", to=Bucket.UNAPPLIED, amount=1000, date=TODAY)],
    )
    assert (back.status, back.unapplied) == (PaymentStatus.UNAPPLIED, 1000)


@pytest.mark.rule("PAY-034", "PAY-035", "PAY-036", "PAY-038")
def test_a_configuration_row_is_refused_with_everything_that_is_wrong_with_it() -> None:
    wrong = ConfigurationRequest(
        row="R-1",
        strategy="S",
        bill_type="LIST_BILL",
        allocation_mode=None,
        automated=True,
        approaches=("remittanceFile",),
        category_order=("BANKING", "BANKING", "INTERNAL"),
    )
    row, problems = configure(wrong, ["R-1"])
    assert row is None
    assert [problem.code for problem in problems] == [
        "CONFIGURATION_DUPLICATE",
        "MODE_REQUIRED",
        "APPROACH_INVALID",
        "CATEGORY_ORDER_INCOMPLETE",
    ]
    assert problems[1].params["allowed"] == ["TRUE_GROUP", "INDIVIDUAL"]
    individual = ConfigurationRequest(
        row="R-2",
        strategy="S",
        bill_type="LIST_BILL",
        allocation_mode="INDIVIDUAL",
        automated=True,
        approaches=("remittanceFile", "allocationRules"),
        permissions={"allowAllocationWithGaps": True},
        autoconsumption=("invoiceGeneration",),
    )
    row, problems = configure(individual, [])
    assert [problem.code for problem in problems] == ["RULES_INCOMPLETE", "AUTOCONSUMPTION_NOT_ALLOWED"]
    assert problems[0].params["missing"] == ["allowAllocationOfMismatchedAmounts", "allowPartialInvoiceCoverage"]


@pytest.mark.rule("PAY-034")
def test_a_named_strategy_is_of_the_accounts_own_bill_type_and_mode() -> None:
    assert strategy_problems(default_configuration(LBG), LBG) == []
    for strategy in (None, default_configuration(LBI)):
        assert [one.code for one in strategy_problems(strategy, LBG)] == ["STRATEGY_NOT_FOR_ACCOUNT"]


@pytest.mark.rule("PAY-038")
def test_the_category_orders_start_with_credits_for_use_and_with_bank_money_for_unallocation() -> None:
    assert default_configuration(LBG).category_order == ("CUSTOMER_CREDIT", "INTERNAL", "BANKING")
    assert EXCESS_ORDER == ("BANKING", "INTERNAL", "CUSTOMER_CREDIT")


@pytest.mark.rule("PAY-034", "PAY-035", "PAY-036")
def test_a_complete_configuration_row_is_taken_as_stated() -> None:
    request = ConfigurationRequest(
        row="R-3",
        strategy="S",
        bill_type="SELF_BILL",
        allocation_mode="TRUE_GROUP",
        automated=True,
        approaches=("allocationRules",),
        permissions={
            "allowAllocationWithGaps": True,
            "allowAllocationOfMismatchedAmounts": False,
            "allowPartialInvoiceCoverage": True,
        },
        autoconsumption=("recurringPayments",),
        category_order=("BANKING", "INTERNAL", "CUSTOMER_CREDIT"),
    )
    row, problems = configure(request, [])
    assert problems == []
    assert row is not None
    assert (row.kind, row.approaches) == (AccountKind.SELF_BILL, (Approach.ALLOCATION_RULES,))
    assert row.permissions == Permissions(gaps=True, mismatched_amounts=False, partial_coverage=True)
    assert row.consumes_at(Autoconsumption.RECURRING_PAYMENTS)
    assert not row.consumes_at(Autoconsumption.INVOICE_GENERATION)


@pytest.mark.rule("PAY-037", "PAY-033")
def test_with_automation_off_money_stays_unapplied_also_when_it_names_an_invoice() -> None:
    off = replace(default_configuration(LBG), automated=False)
    plan = allocate_automatically(
        off, 1000, [Instruction(1000, "INV-1")], OpenAccount(open_items([Row("INV-1", 1000)]), open_invoices("INV-1"))
    )
    assert (plan.lines, plan.unapplied, plan.explanation) == ((), 1000, Explanation.AUTOMATION_DISABLED)


@pytest.mark.rule("PAY-119")
def test_an_internal_payment_that_reached_a_self_bill_account_does_little() -> None:
    rows: list[tuple[str, int, str | None, int]] = [("INV-1", 1, None, 400)]
    state = paid(record(AccountKind.SELF_BILL, 1000), rows)
    stranded = replace(state, identity=replace(state.known, category=Category.INTERNAL))
    assert action_problems(stranded, "TRANSFER") == action_problems(state, "REVERSAL") == []
    for refused_action in (
        lambda: unallocate_payment(stranded, allocated(rows), invoices=None, reason="ERROR", date=TODAY),
        lambda: reverse([stranded], {"PAY-00000001": allocated(rows)}, reason="ERROR", date=TODAY),
    ):
        with pytest.raises(Refusal) as refused:
            refused_action()
        assert codes(refused.value) == ["ACTION_NOT_ALLOWED"]
    declined = decline([stranded], {"PAY-00000001": allocated(rows)}, reason="COUNTERFEIT", date=TODAY)
    assert fold(stranded, declined["PAY-00000001"]).status is PaymentStatus.DECLINED


@pytest.mark.rule("PAY-017")
def test_a_saved_method_must_be_active_the_payers_and_of_the_stated_type() -> None:
    stated = details(method=Method.CREDIT_CARD, token_profile="T", account_holder="H", payment_method="PM-1")
    good = RegisteredMethod(True, "C-1", "CREDIT_CARD")
    assert method_problems(stated, good, "C-1") == method_problems(details(), None, "C-1") == []
    for wrong in (None, replace(good, active=False), replace(good, owner="C-2"), replace(good, type="EFT_ACH")):
        assert [problem.code for problem in method_problems(stated, wrong, "C-1")] == ["PAYMENT_METHOD_INVALID"]


@pytest.mark.rule("PAY-032")
def test_a_designation_stays_within_the_payment_and_within_each_invoices_due() -> None:
    asked = [Instruction(600, "INV-1"), Instruction(500, "INV-2")]
    known = {number: NamedInvoice(number, "BA-1", False) for number in ("INV-1", "INV-2")}
    problems = designation_problems("BA-1", 1000, asked, known, {"INV-1": 600, "INV-2": 400})
    assert [(problem.code, problem.pointer) for problem in problems] == [
        ("OVER_ALLOCATED", "/targets"),
        ("AMOUNT_EXCEEDS_INVOICE_DUE", "/targets/1/amount"),
    ]
    assert designation_problems("BA-1", 1000, asked[:1], known, {"INV-1": 600}) == []
    twice = [Instruction(400, "INV-1"), Instruction(300, "INV-1")]
    [too_much] = designation_problems("BA-1", 1000, twice, known, {"INV-1": 600})
    assert (too_much.code, too_much.pointer) == ("AMOUNT_EXCEEDS_INVOICE_DUE", "/targets/1/amount")


@pytest.mark.rule("PAY-027", "PAY-032")
def test_a_designated_invoice_is_a_live_one_of_the_account() -> None:
    asked = [Instruction(100, f"INV-{number}") for number in (1, 2, 3)]
    known = {"INV-1": NamedInvoice("INV-1", "BA-2", False), "INV-2": NamedInvoice("INV-2", "BA-1", True)}
    assert [problem.code for problem in designation_problems("BA-1", 1000, asked, known, {})] == [
        "INVOICE_ACCOUNT_MISMATCH",
        "INVOICE_NOT_ELIGIBLE",
        "INVOICE_NOT_FOUND",
    ]


@pytest.mark.rule("PAY-032", "PAY-033")
def test_money_designated_as_unapplied_stays_so() -> None:
    plan = allocate_automatically(
        default_configuration(LBG),
        1000,
        [],
        OpenAccount(open_items([Row("INV-1", 1000)]), open_invoices("INV-1")),
        designated_unapplied=True,
    )
    assert (plan.lines, plan.explanation) == ((), Explanation.NO_ALLOCATION_DETAILS)


@pytest.mark.rule("PAY-051")
def test_money_left_over_by_rules_is_never_a_members_overpayment() -> None:
    state = record(LBI, 5000)
    account_open = OpenAccount(open_items([Row("INV-1", 1000)]), open_invoices("INV-1"), SpreadSettings(True))
    plan = allocate_automatically(default_configuration(LBI), 5000, [], account_open)
    after = fold(state, allocate(state, of_plan(plan), cause=Cause.RULES, date=TODAY))
    assert (after.unapplied, after.member_overpayment_total, after.explanation) == (4000, 0, Explanation.EXCESS)


@pytest.mark.rule("PAY-118", "PAY-073", "PAY-121")
def test_a_draft_payment_has_no_effect_and_is_deleted_once_confirmed() -> None:
    with pytest.raises(Refusal) as refused:
        initiate(
            offer(1000, details(Category.INTERNAL, subtype=None)),
            account(LBI),
            number="INT-1",
            record="INT-1",
            today=TODAY,
        )
    assert codes(refused.value) == ["RELATED_ENTITY_REQUIRED"]
    draft = received(
        initiate(offer(1000, details(Category.INTERNAL)), account(LBI), number="INT-1", record="INT-1", today=TODAY)
    )
    assert (draft.status, draft.came_in, draft.amount) == (PaymentStatus.INITIATED, 0, 1000)
    draft = fold(draft, save_draft(draft, [Target(TargetKind.INVOICE, 1000, invoice="INV-1")]))
    with pytest.raises(Refusal) as refused:
        delete_draft_payment(record(LBI, 1000), confirmed=False, date=TODAY)
    assert codes(refused.value) == ["PAYMENT_NOT_DRAFT", "CONFIRMATION_REQUIRED"]
    assert (draft.status, draft.came_in) == (PaymentStatus.INITIATED, 0)
    deleted = fold(draft, delete_draft_payment(draft, confirmed=True, date=TODAY))
    assert (deleted.status, deleted.draft) == (PaymentStatus.DELETED, None)


@pytest.mark.rule("PAY-076")
def test_a_preset_may_be_replaced_until_the_money_is_in_force() -> None:
    pending = received(receive(offer(500, details(**CARD)), account(LBG), number="PAY-1", record="PAY-1", today=TODAY))
    targets = [Target(TargetKind.INVOICE, 500, invoice="INV-1")]
    pending = fold(pending, preset_allocation(pending, targets, Remainder.DISTRIBUTE))
    assert (pending.preset, pending.preset_remainder) == (tuple(targets), Remainder.DISTRIBUTE)
    with pytest.raises(Refusal) as refused:
        preset_allocation(fold(pending, settle(pending, TODAY)), targets)
    assert codes(refused.value) == ["PRESET_NOT_POSSIBLE"]


@pytest.mark.rule("PAY-006", "PAY-010", "PAY-011")
@pytest.mark.parametrize(
    ("places", "status"),
    [
        ({"items_total": 5}, PaymentStatus.ALLOCATED),
        ({"member_overpayment_total": 5}, PaymentStatus.ALLOCATED),
        ({"items_total": 5, "refunded": 3}, PaymentStatus.ALLOCATED),
        ({"items_total": 5, "member_unapplied_total": 1}, PaymentStatus.PARTIALLY_ALLOCATED),
        ({"member_overpayment_total": 5, "unapplied": 1}, PaymentStatus.PARTIALLY_ALLOCATED),
        ({"unapplied": 1}, PaymentStatus.UNAPPLIED),
        ({"member_unapplied_total": 1}, PaymentStatus.UNAPPLIED),
        ({"refunded": 3}, PaymentStatus.REFUNDED),
        ({}, PaymentStatus.TRANSFERRED),
    ],
)
def test_the_status_of_a_record_in_force_follows_from_its_parts(places: dict[str, int], status: PaymentStatus) -> None:
    assert replace(PaymentRecord(), phase=Phase.IN_FORCE, **places).status is status
    assert {*Phase} - {Phase.IN_FORCE} == {"INITIATED", "PENDING", "SUSPENDED", "DECLINED", "REVERSED", "DELETED"}
    for phase in Phase:
        if phase is not Phase.IN_FORCE:
            assert replace(PaymentRecord(), phase=phase, **places).status == phase
            assert not replace(PaymentRecord(), phase=phase).in_force


# --- Conservation ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("PAY-002", "BAL-008")
def test_an_event_that_would_make_or_lose_money_is_never_accepted() -> None:
    state = record(LBG, 1000)
    too_much = move_to_items(state, [InvoiceLines("INV-1", (1,), (1001,))], cause=Cause.MANUAL, date=TODAY)
    with pytest.raises(InvariantError):
        fold(state, too_much)
    other_invoice = PaymentUnallocated(
        record=state.known,
        lines=(InvoiceLines("INV-2", (1,), (10,)),),
        to=Bucket.UNAPPLIED,
        members=MemberAmounts(),
        cause=Cause.MANUAL,
        date=TODAY,
    )
    with pytest.raises(InvariantError):
        fold(paid(state, [("INV-1", 1, None, 10)]), [other_invoice])


@pytest.mark.rule("PAY-002", "BAL-008")
@pytest.mark.parametrize(
    "wrong",
    [{"unapplied": 1001}, {"came_in": 999}, {"suspended": 1}, {"items": {"INV-1": 1}}, {"member_unapplied": {"M": 1}}],
)
def test_a_state_whose_places_do_not_add_up_is_a_defect(wrong: dict[str, object]) -> None:
    state = record(LBI, 1000)
    assert check_conservation(state, thoroughly=True) is state
    with pytest.raises(InvariantError):
        check_conservation(replace(state, **wrong), thoroughly=True)


@pytest.mark.rule("BAL-009", "PAY-013")
def test_a_group_account_never_keeps_money_by_member() -> None:
    state = put(record(LBG, 1000), Bucket.MEMBER_OVERPAYMENT, "MR-1", 1000)
    nothing = allocate_automatically(default_configuration(LBG), 0, [], OpenAccount(open_items([]), []))
    with pytest.raises(InvariantError):
        allocate(state, of_plan(nothing), cause=Cause.RULES, date=TODAY)


@pytest.mark.rule("PAY-088")
def test_thousands_of_lines_are_written_as_events_of_at_most_a_thousand_each() -> None:
    lines = [
        InvoiceLines("INV-1", tuple(range(1, 1501)), (1,) * 1500),
        InvoiceLines("INV-2", tuple(range(1, 1101)), (2,) * 1100),
    ]
    portions = list(in_chunks(lines))
    assert [sum(len(part.lines) for part in portion) for portion in portions] == [1000, 1000, 600]
    assert sum(part.total for portion in portions for part in portion) == 1500 + 2200
    state = record(LBG, 3700)
    after = fold(state, move_to_items(state, lines, cause=Cause.MANUAL, date=TODAY))
    assert (dict(after.items), after.allocations) == ({"INV-1": 1500, "INV-2": 2200}, 1)
