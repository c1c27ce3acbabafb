"""Balance formulas, statements and member figures by the rulebook's examples."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.balances.balances import (
    Buckets,
    InvoicePosition,
    MinimumDueMode,
    ProductState,
    Totals,
    account_balance,
    account_balance_with_anyb,
    account_from_members,
    added,
    check_paid_amount,
    contradictions,
    discrepancies,
    due_and_unpaid,
    due_figures,
    member_balance,
    minimum_current,
    minimum_due_at_issue,
    minimum_due_settings,
    newest,
    not_yet_billed,
    product_state,
)
from domain.balances.items import ItemFigures, invoice_figures
from domain.balances.member_figures import (
    InvoicedPeriod,
    MemberItem,
    MemberTransaction,
    billable_position,
    member_scope,
    member_totals,
    request_problems,
)
from domain.balances.paid_to_date import DayKind, RateSegment, daily_annual
from domain.balances.statement import (
    AfterIssue,
    Movement,
    NewCharges,
    OpenItemsSide,
    StatementDetail,
    Window,
    payments_received,
    statement,
)
from domain.errors import InvariantError, Refusal
from domain.payments.classification import AccountKind

LBG = AccountKind.LIST_BILL_TRUE_GROUP
LBI = AccountKind.LIST_BILL_INDIVIDUAL


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.mark.rule("BAL-E01", "BAL-016", "BAL-017", "BAL-014")
@pytest.mark.parametrize(
    ("kind", "buckets", "balance"),
    [
        (LBG, Buckets(15000), 85000),
        (AccountKind.SELF_BILL, Buckets(15000), 85000),
        (AccountKind.FLEXIBILL, Buckets(15000), 85000),
        (AccountKind.INDIVIDUAL_DIRECT, Buckets(15000, 0, 6000), 79000),
        (LBI, Buckets(15000, 4000, 6000), 75000),
    ],
)
def test_account_balance_by_account_kind(kind: AccountKind, buckets: Buckets, balance: int) -> None:
    assert account_balance(kind, 100000, buckets) == balance
    assert account_balance_with_anyb(balance, 20000) == balance + 20000


@pytest.mark.rule("BAL-002", "BAL-003", "BAL-005", "BAL-006", "BAL-007", "BAL-013")
def test_an_invoices_figures_follow_from_its_items() -> None:
    items = [
        ItemFigures(10000, paid=4000, offset=1000, written_off=500, hold=4500).checked(),
        ItemFigures(2000, paid=2000).checked(),
        ItemFigures(-3000, applied=1000).checked(),
    ]
    figures = invoice_figures(items)
    assert (figures.remaining_due, figures.open_credit, figures.payable) == (4500, 2000, 2500)
    assert figures.collectible_due == 0
    assert figures.status == "PAID"
    assert due_and_unpaid(figures.remaining_due, figures.open_credit) == 2500
    assert invoice_figures([ItemFigures(10000)]).status == "ISSUED"
    assert invoice_figures([ItemFigures(10000, paid=1)]).status == "PARTIALLY_PAID"
    assert invoice_figures([ItemFigures(-10000)]).status == "PAID"
    with pytest.raises(InvariantError):
        ItemFigures(1000, paid=900, offset=200).checked()
    with pytest.raises(InvariantError):
        ItemFigures(-1000, paid=1).checked()


E05 = [
    InvoicePosition("I1", day("2025-01-01"), 1, day("2025-02-01"), 0, 10000, 10000, paid=10000),
    InvoicePosition("I2", day("2025-02-01"), 2, day("2025-03-01"), 3000, 10000, 10000, paid=7000),
]


def i3(minimum: int) -> InvoicePosition:
    return InvoicePosition("I3", day("2025-03-01"), 3, day("2025-04-01"), 7000, 10000, minimum, paid=3000)


@pytest.mark.rule("BAL-E05", "BAL-029", "BAL-031", "BAL-032", "BAL-033", "BAL-034")
def test_minimum_past_due_and_prepaid_of_a_product() -> None:
    full = minimum_current(MinimumDueMode.FULL, 0, 10000)
    fixed = minimum_current(MinimumDueMode.FIXED_AMOUNT, 5000, 10000)
    assert (full, fixed) == (10000, 5000)
    assert minimum_due_at_issue(E05, full) == 13000
    march = due_figures([*E05, i3(full)], day("2025-03-15"), member_overpayment=1500)
    assert (march.newest_invoice_due, march.prior_due, march.total_due) == (7000, 3000, 10000)
    assert (march.prepaid, march.past_due, march.minimum_due) == (4500, 3000, 10000)
    assert due_figures([*E05, i3(fixed)], day("2025-03-15")).minimum_due == 5000
    april = due_figures([*E05, i3(full)], day("2025-04-02"), member_overpayment=1500)
    assert (april.past_due, april.prepaid) == (10000, 1500)
    assert due_figures([*E05, i3(fixed)], day("2025-04-02")).past_due == 5000


@pytest.mark.rule("BAL-029")
def test_the_newest_invoice_is_that_of_the_latest_period_then_of_the_latest_issue() -> None:
    again = InvoicePosition("I4", day("2025-01-01"), 9, day("2025-02-01"), 1, 1, 1)
    assert newest([*E05, again]) is E05[1]
    assert newest([]) is None


@pytest.mark.rule("BAL-031", "BAL-012")
def test_impossible_amounts_are_refused() -> None:
    with pytest.raises(Refusal) as refused:
        minimum_due_settings(MinimumDueMode.FIXED_AMOUNT, -1)
    assert refused.value.code == "MINIMUM_DUE_NEGATIVE"
    with pytest.raises(Refusal) as refused:
        minimum_due_settings(MinimumDueMode.FIXED_AMOUNT, None)
    assert refused.value.code == "AMOUNT_REQUIRED"
    with pytest.raises(Refusal) as refused:
        check_paid_amount(500, -501)
    assert refused.value.code == "PAID_AMOUNT_NEGATIVE"
    assert check_paid_amount(500, -500) == 0
    assert not_yet_billed(120000, 40000) == 80000


@pytest.mark.rule("BAL-027", "BAL-028")
def test_a_products_state_follows_from_its_signed_total_over_amount_types() -> None:
    premium, tax = Totals(10000, 10000, 0), Totals(600, 0, 100)
    total = added([premium, tax])
    assert (total.remaining_due, product_state(total.remaining_due)) == (500, ProductState.PAYMENT_REQUIRED)
    assert product_state(0) is ProductState.FULLY_PAID
    assert product_state(-1) is ProductState.OVERPAID


@pytest.mark.rule("BAL-020", "BAL-021")
def test_the_account_is_the_sum_of_its_members_and_what_belongs_to_none() -> None:
    members = [member_balance(5000, Buckets(0, 1000, 500)), member_balance(-200, Buckets(0, 0, 300))]
    whole = account_balance(LBI, 5000 - 200 + 70, Buckets(900, 1000, 800))
    assert account_from_members(members, 70, 900) == whole


@pytest.mark.rule("BAL-015", "BAL-035", "BAL-020")
def test_suspense_is_unapplied_money_and_a_member_has_no_account_level_part_of_it() -> None:
    assert Buckets(900, 1000, 800).suspense == 1900
    assert member_balance(5000, Buckets(900, 1000, 800)) == member_balance(5000, Buckets(0, 1000, 800)) == 3200


@pytest.mark.rule("BAL-013", "BAL-018")
def test_a_write_off_lowers_what_is_due_by_its_amount_and_leaves_what_was_paid() -> None:
    items = [ItemFigures(10000, paid=9000), ItemFigures(4000, paid=500), ItemFigures(-300)]
    before = invoice_figures(items)
    after_write_off = invoice_figures([replace(items[0], written_off=700), *items[1:]])
    assert due_and_unpaid(before.remaining_due, before.open_credit) == 4200
    assert due_and_unpaid(after_write_off.remaining_due, after_write_off.open_credit) == 3500
    assert (before.paid, after_write_off.paid, after_write_off.written_off) == (9500, 9500, 700)
    # Total billed, signed, less total paid less total written off.
    assert after_write_off.billed - after_write_off.paid - after_write_off.written_off == 3500


@pytest.mark.rule("BAL-025")
def test_three_computations_that_differ_are_reported_and_not_corrected() -> None:
    same = {"due_and_unpaid": 5}
    assert discrepancies("ACCOUNT", "BA-1", same, same, same) == []
    (found,) = discrepancies("ACCOUNT", "BA-1", {"unapplied": 140}, {"unapplied": 100}, {"unapplied": 100})
    assert (found.figure, found.difference) == ("unapplied", 40)


# --- Statements ------------------------------------------------------------------------------------------------------


def after(kind: AccountKind, due: int, buckets: Buckets) -> AfterIssue:
    details = (StatementDetail("P1", "PREMIUM", due - 100), StatementDetail("P1", "TAX", 100))
    return AfterIssue(due, account_balance(kind, due, buckets), buckets.unapplied, buckets.member_overpayment, details)


@pytest.mark.rule("BAL-E02", "BAL-045", "BAL-046", "BAL-047", "BAL-048")
def test_a_statement_carries_the_balance_forward_and_equals_the_live_balance() -> None:
    issued = statement(
        LBG,
        Window(previous_balance=100000, payments_received=90000),
        NewCharges(120000, retro_credit=15000),
        OpenItemsSide(),
        after(LBG, 130000, Buckets(15000)),
        minimum_due=130000,
        minimum_current=120000,
    )
    assert (issued.current_due, issued.adjustments, issued.total_due) == (105000, -15000, 115000)
    with pytest.raises(Refusal) as refused:
        statement(
            LBG,
            Window(previous_balance=100000, payments_received=90000),
            NewCharges(120000, retro_credit=15000),
            OpenItemsSide(),
            after(LBG, 130001, Buckets(15000)),
            minimum_due=0,
            minimum_current=0,
        )
    assert refused.value.code == "STATEMENT_NOT_RECONCILED"
    assert refused.value.problems[0].params == {"total_due": 115000, "account_balance": 115001, "details": 115001}


@pytest.mark.rule("BAL-E03", "BAL-049")
def test_on_list_bill_individual_the_statement_lists_what_is_open_and_ignores_unapplied_money() -> None:
    issued = statement(
        LBI,
        Window(),
        NewCharges(120000, retro_added=5000),
        OpenItemsSide(earlier_remaining_due=10000, overpayment_to_new=15000),
        after(LBI, 120000, Buckets(50000)),
        minimum_due=120000,
        minimum_current=110000,
    )
    assert (issued.outstanding_balance, issued.overpayment_allocated, issued.total_due) == (10000, 15000, 120000)
    assert issued.previous_balance is None
    assert issued.adjustments is None
    with pytest.raises(Refusal) as refused:
        statement(
            LBI,
            Window(),
            NewCharges(120000, retro_added=5000),
            OpenItemsSide(earlier_remaining_due=10001, overpayment_to_new=15000),
            after(LBI, 120000, Buckets(50000)),
            minimum_due=0,
            minimum_current=0,
        )
    assert refused.value.code == "STATEMENT_NOT_RECONCILED"


@pytest.mark.rule("BAL-050")
def test_on_list_bill_individual_what_is_kept_for_information_is_no_part_of_the_total() -> None:
    issued = statement(
        LBI,
        Window(written_off=90),
        NewCharges(120000, retro_credit=400),
        OpenItemsSide(earlier_remaining_due=10000, overpayment_to_new=15000, payments_allocated_to_invoices=7000),
        after(LBI, 115000, Buckets()),
        minimum_due=0,
        minimum_current=0,
    )
    assert (issued.payments_allocated_to_invoices, issued.retro_credit, issued.balance_written_off) == (7000, 400, 90)
    assert issued.total_due == 115000


@pytest.mark.rule("BAL-E04", "BAL-045", "BAL-047")
def test_a_reversed_write_off_comes_back_as_a_negative_balance_written_off() -> None:
    march = statement(
        LBG,
        Window(50000, 48800, written_off=1200),
        NewCharges(50000),
        OpenItemsSide(),
        after(LBG, 50000, Buckets()),
        minimum_due=0,
        minimum_current=0,
    )
    april = statement(
        LBG,
        Window(march.total_due, 50000, written_off=-1200),
        NewCharges(50000),
        OpenItemsSide(),
        after(LBG, 51200, Buckets()),
        minimum_due=0,
        minimum_current=0,
    )
    assert (march.total_due, april.total_due, april.balance_written_off) == (50000, 51200, -1200)


@pytest.mark.rule("BAL-045")
def test_an_invoice_discarded_since_the_last_statement_is_an_adjustment() -> None:
    issued = statement(
        LBG,
        Window(previous_balance=10000, discarded_billed=10000),
        NewCharges(12000),
        OpenItemsSide(),
        after(LBG, 12000, Buckets()),
        minimum_due=0,
        minimum_current=0,
    )
    assert (issued.adjustments, issued.total_due) == (-10000, 12000)


@pytest.mark.rule("BAL-046")
def test_money_received_counts_what_came_less_what_was_taken_back() -> None:
    movements = [
        (Movement.ACCEPTED, 1000),
        (Movement.TRANSFERRED_IN, 200),
        (Movement.RELEASED, 30),
        (Movement.REFUND_RESTORED, 4),
        (Movement.DECLINED, 500),
        (Movement.REVERSED, 60),
        (Movement.SUSPENDED, 7),
        (Movement.TRANSFERRED_OUT, 100),
        (Movement.REFUND_APPROVED, 1),
    ]
    assert payments_received(movements) == 1234 - 668


# --- Member figures --------------------------------------------------------------------------------------------------


def item(invoice: str, issued: str, due: str, amount: int) -> MemberItem:
    return MemberItem((invoice, 1), day(issued), day(due), amount, day(issued), day(due))


E21_ITEMS = [
    item("A-1", "2025-01-15", "2025-02-01", 10000),
    item("A-2", "2025-02-15", "2025-03-01", 10000),
    item("B-1", "2025-03-15", "2025-04-01", 12000),
]
E21_PAID = [
    MemberTransaction(("A-1", 1), day("2025-02-03"), paid=10000),
    MemberTransaction(("A-2", 1), day("2025-03-20"), paid=6000),
]


@pytest.mark.rule("BAL-E21", "BAL-104", "BAL-105", "BAL-106", "LED-E22", "LED-067")
@pytest.mark.parametrize(
    ("as_of", "end", "due", "paid"),
    [
        ("2025-03-16", "2025-04-01", 22000, 10000),
        ("2025-03-16", "2025-03-31", 10000, 10000),
        ("2025-03-31", "2025-03-31", 4000, 16000),
        ("2025-03-31", "2025-02-15", 0, 16000),
        ("2025-01-10", "2025-12-31", 0, 0),
    ],
)
def test_member_totals_as_of_a_date_over_all_accounts(as_of: str, end: str, due: int, paid: int) -> None:
    totals = member_totals(E21_ITEMS, E21_PAID, day(as_of), day(end))
    assert (totals.total_remaining_due, totals.total_paid) == (due, paid)


@pytest.mark.rule("BAL-105")
def test_open_credit_lowers_what_a_member_owes_and_a_discarded_invoice_counts_until_its_discard() -> None:
    discarded = MemberItem(
        ("A-3", 1), day("2025-02-20"), day("2025-03-01"), 500, day("2025-03-01"), day("2025-04-01"), day("2025-03-10")
    )
    credit = item("A-2", "2025-02-15", "2025-03-01", -3000)
    used = [MemberTransaction(("A-2", 1), day("2025-03-01"), offset=1000)]
    early = member_totals([credit, discarded], used, day("2025-03-09"), day("2025-12-31"))
    late = member_totals([credit, discarded], used, day("2025-03-10"), day("2025-12-31"))
    assert (early.total_remaining_due, late.total_remaining_due) == (-1500, -2000)


E22_ITEMS = [
    MemberItem(
        (f"INV-{month}", 1),
        dt.date(2024, 12, 20),
        dt.date(2025, month, 1),
        9300,
        dt.date(2025, month, 1),
        dt.date(2025, month + 1, 1),
    )
    for month in (1, 2, 3)
]
E22_DONE = [
    MemberTransaction(("INV-1", 1), day("2025-01-05"), paid=9300),
    MemberTransaction(("INV-2", 1), day("2025-02-05"), paid=8700),
    MemberTransaction(("INV-2", 1), day("2025-02-20"), written_off=600),
    MemberTransaction(("INV-3", 1), day("2025-03-01"), paid=9300),
]


@pytest.mark.rule("BAL-E22", "BAL-109", "BAL-110", "BAL-111", "LED-069")
@pytest.mark.parametrize(
    ("on", "due", "projected", "position"),
    [("2025-03-10", 18000, 3058, 6242), ("2025-03-30", 18000, 9173, 127), ("2025-03-31", 27300, 0, 0)],
)
def test_the_billable_position_weighs_what_was_paid_against_what_was_earned(
    on: str, due: int, projected: int, position: int
) -> None:
    rate = RateSegment(day("2025-01-01"), day("2026-01-01"), DayKind.CHARGED, daily_annual(111600))
    march = InvoicedPeriod(day("2025-03-01"), day("2025-04-01"), 9300, (rate,))
    answer = billable_position(E22_ITEMS, E22_DONE, [march], 0, day(on))
    assert (answer.total_due, answer.projected_due, answer.total_billable_amount) == (due, projected, position)


@pytest.mark.rule("BAL-112")
def test_without_a_complete_or_running_period_the_position_is_nothing() -> None:
    answer = billable_position(E22_ITEMS, E22_DONE, [], 500, day("2024-12-01"))
    assert (answer.total_billable_amount, answer.member_overpayment) == (0, 0)


@pytest.mark.rule("BAL-107", "LED-068")
def test_a_members_scope_is_the_accounts_that_keep_figures_by_member() -> None:
    with pytest.raises(Refusal) as refused:
        member_scope(False, [])
    assert refused.value.code == "MEMBER_RECORD_NOT_FOUND"
    with pytest.raises(Refusal) as refused:
        member_scope(True, [LBG, AccountKind.SELF_BILL])
    assert refused.value.code == "MEMBER_SCOPE_UNSUPPORTED"
    assert [warning.code for warning in member_scope(True, [LBG, LBI])] == ["PARTIAL_SCOPE"]
    assert member_scope(True, [LBI, AccountKind.INDIVIDUAL_DIRECT]) == member_scope(True, []) == ()
    problems = request_problems(day("2025-01-02"), None, day("2025-01-01"))
    assert [(problem.code, problem.pointer) for problem in problems] == [
        ("REQUEST_INVALID", "/as_of"),
        ("REQUEST_INVALID", "/end_date"),
    ]


positions = st.lists(
    st.builds(
        lambda period, issue, due, at_issue, paid, minimum: InvoicePosition(
            f"I{issue}",
            dt.date(2025, period, 1),
            issue,
            dt.date(2025, due, 1),
            at_issue - min(paid, at_issue),
            at_issue,
            min(minimum, at_issue),
        ),
        st.integers(1, 12),
        st.integers(1, 99),
        st.integers(1, 12),
        st.integers(0, 9999),
        st.integers(0, 9999),
        st.integers(0, 9999),
    ),
    max_size=6,
    unique_by=lambda one: one.issue_position,
)


@given(positions, st.integers(1, 12))
@settings(max_examples=100, deadline=None)
@pytest.mark.rule("BAL-033")
def test_past_due_never_leaves_the_minimum_due(invoices: list[InvoicePosition], month: int) -> None:
    figures = due_figures(invoices, dt.date(2025, month, 2))
    assert 0 <= figures.past_due <= figures.minimum_due <= sum(one.remaining_due for one in invoices)


@pytest.mark.rule("BAL-053")
@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        # An invoice of credits alone, and a credit that was used: less due, less credit.
        ({"remaining_due": 0, "open_credit": 500, "total_billed": -500, "total_paid": 0, "written_off": 0}, []),
        ({"remaining_due": 5_000, "open_credit": 0}, []),
        ({"remaining_due": 6_001}, ["due_and_unpaid"]),
        ({"total_paid": 0}, ["due_and_unpaid"]),
        ({"remaining_due": -1, "open_credit": -5_001}, ["remaining_due", "open_credit"]),
        ({"buckets": Buckets(-1, 0, 7)}, ["unapplied"]),
    ],
)
def test_figures_of_an_account_that_cannot_be_right_are_named(changed: dict[str, Any], wrong: list[str]) -> None:
    figures: dict[str, Any] = {
        "remaining_due": 6_000,
        "open_credit": 1_000,
        "total_billed": 9_000,
        "total_paid": 3_500,
        "written_off": 500,
        "buckets": Buckets(100, 0, 0),
    }
    assert contradictions(**(figures | changed)) == wrong
