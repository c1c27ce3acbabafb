"""Allocation to named targets, with its refusals in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import Refusal
from domain.payments.allocation import ActiveWriteOff, OpenAccount, SpreadSettings, WriteOffKind
from domain.payments.classification import AccountKind, Bucket, Cause, Explanation, PaymentStatus
from domain.payments.distribution import allocate, allocate_by_command
from domain.payments.drafts import save_draft
from domain.payments.manual_allocation import TargetFacts, distribute_to_targets, execute_preset, target_warnings
from domain.payments.payment import RefundLockSet, fold
from domain.payments.receiving import NamedInvoice
from domain.payments.targets import Remainder, Target, TargetKind
from tests.domain.payments.builders import (
    TODAY,
    Row,
    by_invoice,
    by_line,
    open_invoices,
    open_items,
    record,
)

ON = SpreadSettings(use_priority_rules=True)


def facts(
    kind: AccountKind,
    rows: list[Row],
    write_offs: tuple[ActiveWriteOff, ...] = (),
    elsewhere: tuple[NamedInvoice, ...] = (),
) -> TargetFacts:
    numbers = sorted({row.invoice for row in rows})
    named = {number: NamedInvoice(number, "BA-1", False) for number in numbers}
    named |= {one.number: one for one in elsewhere}
    settings = ON if kind.member_level else SpreadSettings()
    account = OpenAccount(open_items(rows), open_invoices(*numbers), settings, write_offs)
    return TargetFacts("BA-1", kind, account, named, {row.member for row in rows})


def invoice(number: str, amount: int) -> Target:
    return Target(TargetKind.INVOICE, amount, invoice=number)


def member(number: str, amount: int) -> Target:
    return Target(TargetKind.MEMBER, amount, member_record=number)


def codes(refusal: Refusal) -> list[str]:
    return [problem.code for problem in refusal.problems]


LBG = AccountKind.LIST_BILL_TRUE_GROUP
LBI = AccountKind.LIST_BILL_INDIVIDUAL


@pytest.mark.rule("PAY-E10", "PAY-067", "PAY-071")
def test_targets_above_the_amount_are_saved_with_a_warning_and_refused_when_applied() -> None:
    known = facts(LBG, [Row("INV-1", 15000), Row("INV-2", 6000)])
    targets = [invoice("INV-1", 15000), invoice("INV-2", 6000)]
    assert target_warnings(20000, targets, known) == ("OVER_ALLOCATED",)
    assert target_warnings(15001, [invoice("INV-1", 15001)], known) == ("AMOUNT_EXCEEDS_INVOICE_DUE",)
    before = record(LBG, 20000)
    after = fold(before, save_draft(before, targets, warnings=["OVER_ALLOCATED"]))
    assert after.draft is not None
    assert replace(after, draft=None, draft_versions=0) == before, "a draft moves nothing"
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(20000, targets, None, known)
    assert codes(refused.value) == ["OVER_ALLOCATED"]


@pytest.mark.rule("PAY-E10", "PAY-065")
def test_an_invoice_takes_no_more_than_it_is_due() -> None:
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(26000, [invoice("INV-1", 26000)], None, facts(LBG, [Row("INV-1", 25000)]))
    assert codes(refused.value) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]


@pytest.mark.rule("PAY-E10", "PAY-067", "PAY-011")
def test_what_no_target_takes_needs_a_choice() -> None:
    known = facts(LBG, [Row("INV-1", 25000), Row("INV-2", 8000)])
    targets = [invoice("INV-2", 8000)]
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(30000, targets, None, known)
    (problem,) = refused.value.problems
    assert problem.code == "REMAINDER_CHOICE_REQUIRED"
    assert problem.params == {"amount": 22000, "choices": ["DISTRIBUTE", "KEEP_UNAPPLIED"]}

    walked = distribute_to_targets(30000, targets, Remainder.DISTRIBUTE, known)
    assert by_invoice(walked.lines) == {"INV-1": 22000, "INV-2": 8000}
    payment = record(LBG, 30000)
    after = fold(payment, allocate_by_command(payment, walked, date=TODAY))
    assert after.status is PaymentStatus.ALLOCATED

    kept = distribute_to_targets(30000, targets, Remainder.KEEP_UNAPPLIED, known)
    after = fold(payment, allocate_by_command(payment, kept, date=TODAY))
    assert (after.unapplied, after.explanation) == (22000, Explanation.USER_DECISION)


@pytest.mark.rule("PAY-067")
def test_with_nothing_left_to_pay_only_keeping_is_offered_and_empty_targets_add_to_unapplied() -> None:
    known = facts(LBG, [Row("INV-1", 0)])
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(100, [], None, known)
    assert refused.value.problems[0].params["choices"] == ["KEEP_UNAPPLIED"]
    assert distribute_to_targets(100, [], Remainder.KEEP_UNAPPLIED, known).rest == 100


@pytest.mark.rule("PAY-E10", "PAY-045")
def test_a_small_balance_write_off_is_reversed_before_the_money_takes_its_place() -> None:
    written_off = ActiveWriteOff("WO-1", "INV-1", WriteOffKind.SMALL_BALANCE, 1, (1,), (200,))
    known = facts(LBG, [Row("INV-1", 0)], (written_off,))
    done = distribute_to_targets(200, [invoice("INV-1", 200)], None, known)
    assert (by_invoice(done.lines), done.reversed_write_offs) == ({"INV-1": 200}, ("WO-1",))
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(201, [invoice("INV-1", 201)], None, known)
    assert codes(refused.value) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]


@pytest.mark.rule("PAY-045")
def test_manual_write_offs_give_way_newest_first_and_only_as_far_as_needed() -> None:
    older = ActiveWriteOff("WO-1", "INV-1", WriteOffKind.MANUAL, 1, (1,), (300,))
    newer = ActiveWriteOff("WO-2", "INV-1", WriteOffKind.MANUAL, 2, (1,), (200,))
    known = facts(LBG, [Row("INV-1", 500)], (older, newer))
    assert distribute_to_targets(500, [invoice("INV-1", 500)], None, known).reversed_write_offs == ()
    assert distribute_to_targets(501, [invoice("INV-1", 501)], None, known).reversed_write_offs == ("WO-2",)
    assert distribute_to_targets(701, [invoice("INV-1", 701)], None, known).reversed_write_offs == ("WO-2", "WO-1")


@pytest.mark.rule("PAY-064", "PAY-039")
def test_every_wrong_target_is_named_with_its_reason() -> None:
    known = facts(
        LBG,
        [Row("INV-1", 0, offset=500), Row("INV-2", 0, held=700), Row("INV-3", 0), Row("INV-4", 100)],
        elsewhere=(NamedInvoice("INV-8", "BA-2", False), NamedInvoice("INV-9", "BA-1", True)),
    )
    targets = [
        invoice("INV-1", 100),
        invoice("INV-2", 100),
        invoice("INV-3", 100),
        invoice("INV-8", 100),
        invoice("INV-9", 100),
        invoice("INV-7", 100),
        member("MR-1", 100),
        invoice("INV-4", 0),
    ]
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(1000, targets, Remainder.KEEP_UNAPPLIED, known)
    assert [(problem.code, problem.pointer) for problem in refused.value.problems] == [
        ("ITEM_RECONCILED", "/targets/0/invoice"),
        ("ITEM_HELD", "/targets/1/amount"),
        ("INVOICE_SETTLED", "/targets/2/invoice"),
        ("INVOICE_ACCOUNT_MISMATCH", "/targets/3/invoice"),
        ("INVOICE_NOT_ELIGIBLE", "/targets/4/invoice"),
        ("INVOICE_NOT_FOUND", "/targets/5/invoice"),
        ("CAPABILITY_NOT_AVAILABLE", "/targets/6/kind"),
        ("AMOUNT_INVALID", "/targets/7/amount"),
    ]


@pytest.mark.rule("PAY-065")
def test_a_member_takes_any_amount_and_keeps_what_is_over() -> None:
    known = facts(LBI, [Row("INV-1", 5000, member="MR-1"), Row("INV-2", 3000, member="MR-1")])
    done = distribute_to_targets(10000, [member("MR-1", 10000)], None, known)
    assert by_invoice(done.lines) == {"INV-1": 5000, "INV-2": 3000}
    assert done.overpayments.members == ("MR-1",)
    assert done.overpayments.amounts == (2000,)
    assert [warning.code for warning in done.warnings] == ["DIFFERS_FROM_DUE"]
    payment = record(LBI, 10000)
    after = fold(payment, allocate_by_command(payment, done, date=TODAY))
    assert (after.status, dict(after.member_overpayment)) == (PaymentStatus.ALLOCATED, {"MR-1": 2000})


@pytest.mark.rule("PAY-065")
def test_a_members_part_of_an_invoice_is_capped_also_when_it_is_nothing() -> None:
    known = facts(LBI, [Row("INV-1", 5000, member="MR-1"), Row("INV-1", 0, member="MR-2")])
    for number, amount in (("MR-1", 5001), ("MR-2", 1)):
        target = Target(TargetKind.INVOICE_MEMBER, amount, invoice="INV-1", member_record=number)
        with pytest.raises(Refusal) as refused:
            distribute_to_targets(amount, [target], None, known)
        assert codes(refused.value) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]


@pytest.mark.rule("PAY-066")
def test_each_target_stands_on_the_dues_left_by_those_before() -> None:
    known = facts(LBI, [Row("INV-1", 5000, member="MR-1"), Row("INV-1", 1000, member="MR-2")])
    targets = [member("MR-1", 5000), invoice("INV-1", 1000)]
    assert by_line(distribute_to_targets(6000, targets, None, known).lines) == {("INV-1", 1): 5000, ("INV-1", 2): 1000}
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(6001, [member("MR-1", 5000), invoice("INV-1", 1001)], None, known)
    assert codes(refused.value) == ["AMOUNT_EXCEEDS_INVOICE_DUE"]


@pytest.mark.rule("PAY-063")
def test_a_members_unapplied_money_serves_that_member_only() -> None:
    known = facts(LBI, [Row("INV-1", 5000, member="MR-1"), Row("INV-1", 1000, member="MR-2")])
    from_member = {"source": Bucket.MEMBER_UNAPPLIED, "member": "MR-1"}
    with pytest.raises(Refusal) as refused:
        distribute_to_targets(2000, [member("MR-2", 1000), invoice("INV-1", 1000)], None, known, **from_member)
    assert codes(refused.value) == ["SOURCE_NOT_FOR_MEMBER", "SOURCE_NOT_FOR_MEMBER"]
    done = distribute_to_targets(6000, [], Remainder.DISTRIBUTE, known, **from_member)
    assert (by_line(done.lines), done.rest) == ({("INV-1", 1): 5000}, 1000)


@pytest.mark.rule("PAY-065")
def test_a_master_policy_is_walked_and_its_rest_stays_unapplied_with_the_reference() -> None:
    rows = [Row("INV-1", 5000, master_policy="MP-1"), Row("INV-1", 5000, master_policy="MP-2")]
    known = facts(AccountKind.SELF_BILL, rows)
    target = Target(TargetKind.MASTER_POLICY, 6000, master_policy="MP-2")
    done = distribute_to_targets(6000, [target], None, known)
    assert (by_line(done.lines), done.rest, done.master_policies) == ({("INV-1", 2): 5000}, 1000, ("MP-2",))
    payment = record(AccountKind.SELF_BILL, 6000)
    events = allocate_by_command(payment, done, date=TODAY)
    explained = [event for event in events if type(event).__name__ == "UnappliedExplained"]
    assert [event.master_policy for event in explained] == ["MP-2"]


@pytest.mark.rule("PAY-E07", "PAY-076", "PAY-020")
def test_a_preset_serves_what_its_targets_still_take_and_keeps_the_rest() -> None:
    known = facts(LBG, [Row("INV-1", 30000)], elsewhere=(NamedInvoice("INV-2", "BA-1", True),))
    targets = [invoice("INV-1", 30000), invoice("INV-2", 20000)]
    done = execute_preset(50000, targets, Remainder.KEEP_UNAPPLIED, known)
    payment = record(LBG, 50000)
    after = fold(payment, allocate(payment, done, cause=Cause.PRESET, date=TODAY))
    assert by_invoice(done.lines) == {"INV-1": 30000}
    assert (after.unapplied, after.explanation) == (20000, Explanation.TARGET_CHANGED)
    assert after.status is PaymentStatus.PARTIALLY_ALLOCATED


@pytest.mark.rule("PAY-063")
def test_money_locked_by_a_refund_or_not_in_force_is_not_allocated() -> None:
    payment = record(LBG, 1000)
    locked = fold(payment, [RefundLockSet(record=payment.known, refund="RF-1")])
    done = distribute_to_targets(1000, [], Remainder.KEEP_UNAPPLIED, facts(LBG, [Row("INV-1", 1)]))
    with pytest.raises(Refusal) as refused:
        allocate_by_command(locked, done, date=TODAY)
    assert codes(refused.value) == ["PAYMENT_LOCKED_BY_REFUND"]
    with pytest.raises(Refusal) as refused:
        allocate_by_command(payment, done, date=TODAY, source=Bucket.MEMBER_UNAPPLIED, member="MR-1")
    assert codes(refused.value) == ["PAYMENT_NOT_ALLOCATABLE"]
