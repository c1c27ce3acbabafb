"""Credits and what was paid before: every example of the rulebook, and the law that no cent appears twice."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.balances.balances import Buckets, account_balance
from domain.balances.items import ItemFigures, invoice_figures
from domain.balances.reconciliation import (
    Allocation,
    FreedBefore,
    ItemId,
    NegativeItem,
    PositiveItem,
    Reconciliation,
    WriteOffPortion,
    after_reconciliation,
    flexibill_key,
    hold,
    member_key,
    reconcile,
    self_bill_key,
    undo,
)
from domain.errors import Refusal
from domain.payments.classification import AccountKind, Bucket, Category

LBG = AccountKind.LIST_BILL_TRUE_GROUP
LBI = AccountKind.LIST_BILL_INDIVIDUAL
JANUARY = dt.date(2025, 1, 1)
KEY = member_key("MR-1", "DENTAL", "EE", "S1", JANUARY)
WRITE_OFF_KEY = ("MR-1", "DENTAL", JANUARY, "")


def positive(invoice: str, billed: int, paid: int = 0, **overrides: object) -> PositiveItem:
    number = int(invoice.rsplit("-", 1)[1])
    values: dict[str, object] = {
        "item": ItemId(invoice, 1),
        "key": KEY,
        "write_off_key": WRITE_OFF_KEY,
        "member": "MR-1",
        "issue_position": number,
        "due_date": dt.date(2025, number, 1),
        "billed": billed,
        "paid": paid,
    }
    return PositiveItem(**(values | overrides))


def negative(invoice: str, credit: int, line: int = 9, **overrides: object) -> NegativeItem:
    values: dict[str, object] = {
        "item": ItemId(invoice, line),
        "key": KEY,
        "write_off_key": WRITE_OFF_KEY,
        "member": "MR-1",
        "covered_start": JANUARY,
        "coverage": "DENTAL",
        "tier": "EE",
        "sequence": 1,
        "open_credit": credit,
    }
    return NegativeItem(**(values | overrides))


def paid_by(
    record: str, invoice: str, amount: int, order: int, category: Category = Category.BANKING, line: int = 1
) -> Allocation:
    return Allocation(record, category, ItemId(invoice, line), "MR-1", amount, order)


def freed_by_record(outcome: Reconciliation) -> dict[tuple[str, Bucket], int]:
    totals: dict[tuple[str, Bucket], int] = {}
    for one in outcome.freed:
        totals[(one.record, one.to)] = totals.get((one.record, one.to), 0) + one.amount
    return totals


@pytest.mark.rule("BAL-E14", "BAL-061", "BAL-063")
@pytest.mark.parametrize(
    ("paid", "excess", "paid_after", "due_after"),
    [(10000, 4000, 6000, 0), (8000, 2000, 6000, 0), (5000, 0, 5000, 1000), (0, 0, 0, 6000)],
)
def test_the_excess_is_what_was_paid_beyond_the_item_not_the_size_of_the_credit(
    paid: int, excess: int, paid_after: int, due_after: int
) -> None:
    items = [positive("INV-1", 10000, paid)]
    money = [paid_by("P1", "INV-1", paid, 1)] if paid else []
    outcome = reconcile([negative("INV-3", 4000)], items, money, [], kind=LBG)
    after = after_reconciliation(items, outcome)[ItemId("INV-1", 1)]
    assert sum(one.amount for one in outcome.freed) == excess
    assert (after.paid, after.offset) == (paid_after, 4000)
    assert after.billed - after.paid - after.offset == due_after
    assert outcome.credits == {ItemId("INV-3", 9): 0}


@pytest.mark.rule("BAL-E02", "BAL-065")
def test_a_true_groups_excess_becomes_unapplied() -> None:
    items = [positive("INV-1", 30000, 30000), positive("INV-2", 120000, key=("other",))]
    outcome = reconcile([negative("INV-2", 15000)], items, [paid_by("P1", "INV-1", 30000, 1)], [], kind=LBG)
    assert freed_by_record(outcome) == {("P1", Bucket.UNAPPLIED): 15000}
    assert outcome.set_offs == ()


@pytest.mark.rule("BAL-E15", "BAL-059", "BAL-060")
def test_self_bill_credits_correct_the_newest_invoice_of_their_key_first() -> None:
    key = self_bill_key("MP1", "Dental-PPO", JANUARY, ("A",))
    items = [positive("INV-1", 10000, 10000, key=key), positive("INV-2", 2000, 2000, key=key)]
    money = [paid_by("P1", "INV-1", 10000, 1), paid_by("P2", "INV-2", 2000, 2)]
    outcome = reconcile([negative("INV-3", 5000, key=key)], items, money, [], kind=AccountKind.SELF_BILL)
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.offsets] == [("INV-2", 2000), ("INV-1", 3000)]
    assert freed_by_record(outcome) == {("P2", Bucket.UNAPPLIED): 2000, ("P1", Bucket.UNAPPLIED): 3000}
    after = after_reconciliation(items, outcome)[ItemId("INV-1", 1)]
    assert (after.paid, after.billed - after.paid - after.offset) == (7000, 0)
    for other in (
        self_bill_key("MP1", "Dental-PPO", dt.date(2025, 2, 1), ("A",)),
        self_bill_key("MP1", "Dental-PPO", JANUARY, ("B",)),
    ):
        nothing = reconcile([negative("INV-3", 5000, key=other)], items, money, [], kind=AccountKind.SELF_BILL)
        assert (nothing.offsets, nothing.freed) == ((), ())


E16_ITEM = positive("INV-1", 10000, 10000)
E16_MONEY = [
    paid_by("B1", "INV-1", 4000, 1),
    paid_by("I1", "INV-1", 2000, 2, Category.INTERNAL),
    paid_by("B2", "INV-1", 3000, 3),
    paid_by("C1", "INV-1", 1000, 4, Category.CUSTOMER_CREDIT),
]


@pytest.mark.rule("BAL-E16", "BAL-064", "BAL-065", "BAL-067")
@pytest.mark.parametrize(
    ("credit", "freed"),
    [
        (5500, {("B2", Bucket.MEMBER_UNAPPLIED): 3000, ("B1", Bucket.MEMBER_UNAPPLIED): 2500}),
        (
            8000,
            {
                ("B2", Bucket.MEMBER_UNAPPLIED): 3000,
                ("B1", Bucket.MEMBER_UNAPPLIED): 4000,
                ("I1", Bucket.MEMBER_UNAPPLIED): 1000,
            },
        ),
        (
            9500,
            {
                ("B2", Bucket.MEMBER_UNAPPLIED): 3000,
                ("B1", Bucket.MEMBER_UNAPPLIED): 4000,
                ("I1", Bucket.MEMBER_UNAPPLIED): 2000,
                ("C1", Bucket.UNAPPLIED): 500,
            },
        ),
    ],
)
def test_bank_money_is_freed_before_internal_money_and_credits_youngest_first(
    credit: int, freed: dict[tuple[str, Bucket], int]
) -> None:
    outcome = reconcile([negative("INV-2", credit)], [E16_ITEM], E16_MONEY, [], kind=LBI)
    assert freed_by_record(outcome) == freed


@pytest.mark.rule("BAL-066")
def test_an_amendments_excess_may_become_the_members_overpayment_except_for_credits() -> None:
    outcome = reconcile(
        [negative("INV-2", 9500, amendment=True)],
        [E16_ITEM],
        E16_MONEY,
        [],
        kind=LBI,
        amendment_to_overpayment=True,
    )
    assert freed_by_record(outcome) == {
        ("B2", Bucket.MEMBER_OVERPAYMENT): 3000,
        ("B1", Bucket.MEMBER_OVERPAYMENT): 4000,
        ("I1", Bucket.MEMBER_OVERPAYMENT): 2000,
        ("C1", Bucket.UNAPPLIED): 500,
    }


def e17() -> tuple[list[PositiveItem], list[Allocation], list[WriteOffPortion]]:
    rows = [("MR-1", "EE", 6000, 5500, 500), ("MR-1", "SP", 4000, 3700, 300), ("MR-2", "EE", 5000, 4600, 400)]
    items, money, portions = [], [], []
    for line, (member, coverage, billed, paid, written_off) in enumerate(rows, start=1):
        key = member_key(member, coverage, "", "S1", JANUARY)
        item = ItemId("INV-1", line)
        items.append(
            positive(
                "INV-1",
                billed,
                paid,
                item=item,
                key=key,
                write_off_key=(member, coverage, JANUARY, ""),
                member=member,
                written_off=written_off,
            )
        )
        money.append(Allocation("P1", Category.BANKING, item, member, paid, line))
        portions.append(WriteOffPortion("WO-1", item, written_off))
    return items, money, portions


@pytest.mark.rule("BAL-E17", "BAL-062")
def test_only_the_matching_write_off_portion_is_reversed_before_the_excess_is_freed() -> None:
    items, money, portions = e17()
    credit = negative(
        "INV-2",
        4000,
        key=member_key("MR-1", "SP", "", "S1", JANUARY),
        write_off_key=("MR-1", "SP", JANUARY, ""),
        coverage="SP",
    )
    outcome = reconcile([credit], items, money, portions, kind=LBI)
    assert outcome.reversed_portions == (WriteOffPortion("WO-1", ItemId("INV-1", 2), 300),)
    assert freed_by_record(outcome) == {("P1", Bucket.MEMBER_UNAPPLIED): 3700}
    after = after_reconciliation(items, outcome)
    assert len(after) == 3
    assert all(one.billed - one.paid - one.offset - one.written_off == 0 for one in after.values())


@pytest.mark.rule("BAL-068")
def test_what_is_left_of_a_credit_is_set_off_against_the_oldest_unpaid_due() -> None:
    items = [positive("INV-1", 10000, 8000), positive("INV-2", 10000, key=("other",))]
    outcome = reconcile([negative("INV-2", 15000)], items, [paid_by("P1", "INV-1", 8000, 1)], [], kind=LBG)
    assert sum(one.amount for one in outcome.freed) == 8000
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.offsets] == [("INV-1", 10000)]
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.set_offs] == [("INV-2", 5000)]


@pytest.mark.rule("BAL-068")
def test_on_list_bill_individual_a_credit_is_set_off_against_its_own_member_only() -> None:
    items = [
        positive("INV-1", 1000, member="MR-2", key=("a",)),
        positive("INV-2", 1000, member="MR-1", key=("b",)),
        positive("INV-3", 1000, member="MR-1", key=("c",), hold=400),
    ]
    individual = reconcile([negative("INV-3", 2500)], items, [], [], kind=LBI)
    assert [(pair.positive.invoice, pair.amount) for pair in individual.set_offs] == [("INV-2", 1000), ("INV-3", 600)]
    assert individual.credits == {ItemId("INV-3", 9): 900}
    group = reconcile([negative("INV-3", 2500)], items, [], [], kind=LBG)
    assert [pair.positive.invoice for pair in group.set_offs] == ["INV-1", "INV-2", "INV-3"]


@pytest.mark.rule("BAL-E20", "BAL-059", "BAL-068")
def test_a_flexibill_credit_is_paired_set_off_and_waits_with_its_rest() -> None:
    p9, p8 = flexibill_key("P9"), flexibill_key("P8")
    items = [positive("INV-1", 4000, key=p9), positive("INV-2", 1500, key=p8)]
    credit = negative("INV-2", 6000, key=p9)
    outcome = reconcile([credit], items, [], [], kind=AccountKind.FLEXIBILL)
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.offsets] == [("INV-1", 4000)]
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.set_offs] == [("INV-2", 1500)]
    assert outcome.credits[credit.item] == 500
    waiting = replace(credit, open_credit=500)
    later = reconcile(
        [],
        [positive("INV-3", 1500, key=p8)],
        [],
        [],
        kind=AccountKind.FLEXIBILL,
        older_credits=[waiting],
    )
    assert [(pair.positive.invoice, pair.amount) for pair in later.set_offs] == [("INV-3", 500)]
    assert later.credits[credit.item] == 0


@pytest.mark.rule("BAL-059", "BAL-060")
def test_flexibill_candidates_come_by_latest_transaction_date() -> None:
    p9 = flexibill_key("P9")
    items = [
        positive("INV-1", 1000, key=p9, transaction_date=dt.date(2025, 3, 1)),
        positive("INV-2", 1000, key=p9, transaction_date=dt.date(2025, 2, 1)),
    ]
    outcome = reconcile([negative("INV-3", 1500, key=p9)], items, [], [], kind=AccountKind.FLEXIBILL)
    assert [(pair.positive.invoice, pair.amount) for pair in outcome.offsets] == [("INV-1", 1000), ("INV-2", 500)]


@pytest.mark.rule("BAL-E18", "BAL-072", "BAL-073", "BAL-074", "BAL-055")
def test_separate_frees_at_the_transaction_and_sets_off_at_issue_with_the_same_end() -> None:
    item = positive("INV-3", 20000, 20000)
    money = [paid_by("P1", "INV-3", 20000, 1)]
    prospective = negative("ANYB", 20000, covered_start=dt.date(2025, 3, 1))
    stage_1 = hold([prospective], [item], money, [], kind=LBG)
    assert stage_1.holds == {item.item: 20000}
    assert [(one.record, one.amount, one.to) for one in stage_1.freed] == [("P1", 20000, Bucket.UNAPPLIED)]
    waiting = invoice_figures([ItemFigures(20000, hold=20000).checked()])
    assert (waiting.remaining_due, waiting.collectible_due, waiting.status) == (20000, 0, "PAID")
    assert account_balance(LBG, 20000, Buckets(20000)) == 0
    # At issue: the hold is released, the pair recorded, and nothing is in excess any more.
    freed = replace(item, paid=0)
    stage_2 = reconcile([negative("INV-4", 20000)], [freed], [], [], kind=LBG)
    assert (stage_2.freed, [pair.amount for pair in stage_2.offsets]) == ((), [20000])
    combined = reconcile([negative("INV-4", 20000)], [item], money, [], kind=LBG)
    assert combined.offsets == stage_2.offsets
    assert sum(one.amount for one in combined.freed) == 20000


@pytest.mark.rule("BAL-E24", "BAL-073", "BAL-064")
def test_a_smaller_excess_takes_back_what_was_freed_last() -> None:
    item = positive("INV-1", 12000, 12000)
    money = [paid_by("P1", "INV-1", 8000, 1), paid_by("P2", "INV-1", 4000, 2)]
    first = hold([negative("ANYB", 7000)], [item], money, [], kind=LBG)
    assert [(one.record, one.amount) for one in first.freed] == [("P2", 4000), ("P1", 3000)]
    held = replace(item, paid=5000, hold=7000)
    before = [
        FreedBefore("P2", Category.BANKING, item.item, "MR-1", Bucket.UNAPPLIED, 4000, 1),
        FreedBefore("P1", Category.BANKING, item.item, "MR-1", Bucket.UNAPPLIED, 3000, 2),
    ]
    available = {("P1", Bucket.UNAPPLIED, None): 3000, ("P2", Bucket.UNAPPLIED, None): 4000}
    second = hold(
        [negative("ANYB", 5000)],
        [held],
        [paid_by("P1", "INV-1", 5000, 1)],
        [],
        kind=LBG,
        freed_before=before,
        available=available,
    )
    assert second.holds == {item.item: 5000}
    assert [(one.record, one.amount) for one in second.returned] == [("P1", 2000)]
    assert second.freed == ()


@pytest.mark.rule("BAL-073")
def test_holds_of_members_without_credit_any_more_are_released() -> None:
    held = positive("INV-1", 12000, 7000, hold=5000)
    released = hold([], [held], [paid_by("P1", "INV-1", 7000, 1)], [], kind=LBG)
    assert released.holds == {held.item: 0}


@pytest.mark.rule("BAL-E19", "BAL-075")
def test_discarding_a_credit_puts_its_freed_money_back_if_it_is_still_there() -> None:
    item = positive("INV-4", 10000, 10000)
    outcome = reconcile([negative("INV-5", 5000)], [item], [paid_by("P1", "INV-4", 10000, 1)], [], kind=LBG)
    stands = after_reconciliation([item], outcome)[item.item]
    before = [
        FreedBefore(one.record, one.category, one.item, one.member, one.to, one.amount, order)
        for order, one in enumerate(outcome.freed)
    ]
    back = undo(
        "INV-5",
        outcome.offsets,
        [stands],
        freed_before=before,
        available={("P1", Bucket.UNAPPLIED, None): 5000},
    )
    assert back.removed == outcome.offsets
    assert [(one.record, one.item.invoice, one.amount) for one in back.returned] == [("P1", "INV-4", 5000)]
    used_elsewhere = undo("INV-5", outcome.offsets, [stands], freed_before=before, available={})
    assert used_elsewhere.returned == ()
    again = reconcile([negative("INV-6", 5000)], [item], [paid_by("P1", "INV-4", 10000, 2)], [], kind=LBG)
    assert freed_by_record(again) == {("P1", Bucket.UNAPPLIED): 5000}


@pytest.mark.rule("BAL-076")
def test_discarding_an_offset_item_opens_the_credit_again_for_other_candidates() -> None:
    items = [positive("INV-1", 3000), positive("INV-2", 4000)]
    credit = negative("INV-3", 5000)
    outcome = reconcile([credit], items, [], [], kind=LBG)
    pairs = [pair for pair in outcome.offsets if pair.positive.invoice == "INV-2"]
    opened = undo("INV-2", pairs, [])
    assert opened.released == {credit.item: 4000}
    stands = after_reconciliation(items, outcome)
    again = reconcile([replace(credit, open_credit=4000)], [stands[ItemId("INV-1", 1)]], [], [], kind=LBG)
    assert [(pair.positive.invoice, pair.amount) for pair in again.offsets] == [("INV-1", 2000)]
    assert again.credits[credit.item] == 2000


@pytest.mark.rule("BAL-077")
def test_an_item_paid_by_more_than_its_allocations_aborts_the_reconciliation() -> None:
    with pytest.raises(Refusal) as refused:
        reconcile([negative("INV-2", 5000)], [positive("INV-1", 10000, 10000)], [], [], kind=LBG)
    assert refused.value.code == "RECONCILIATION_OUT_OF_BALANCE"


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[NegativeItem], list[PositiveItem], list[Allocation]]:
    keys = [("a",), ("b",)]
    positives, allocations = [], []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        billed = draw(st.integers(1, 500))
        parts = draw(st.lists(st.integers(1, 200), max_size=3))
        paid, offset = 0, 0
        for order, part in enumerate(parts):
            take = min(part, billed - paid)
            if take:
                category = draw(st.sampled_from(Category))
                allocations.append(
                    Allocation(f"P{order}", category, ItemId(f"INV-{number}", 1), "MR-1", take, number * 10 + order)
                )
                paid += take
        offset = draw(st.integers(0, billed - paid))
        positives.append(
            positive(
                f"INV-{number}",
                billed,
                paid,
                key=draw(st.sampled_from(keys)),
                member=draw(st.sampled_from(["MR-1", "MR-2"])),
                offset=offset,
            )
        )
    negatives = [
        negative("INV-9", draw(st.integers(1, 600)), line, key=draw(st.sampled_from(keys)))
        for line in range(draw(st.integers(1, 3)))
    ]
    return negatives, positives, allocations


@given(situations(), st.sampled_from([LBG, LBI, AccountKind.SELF_BILL]))
@settings(max_examples=150, deadline=None)
@pytest.mark.rule("BAL-077", "BAL-002", "BAL-061", "BAL-063")
def test_a_credit_is_given_exactly_once_and_moves_no_balance_but_its_own(
    situation: tuple[list[NegativeItem], list[PositiveItem], list[Allocation]], kind: AccountKind
) -> None:
    negatives, positives, allocations = situation
    outcome = reconcile(negatives, positives, allocations, [], kind=kind)
    after = after_reconciliation(positives, outcome)
    assert all(one.billed - one.paid - one.offset >= 0 for one in after.values())
    assert all(one.paid <= one.billed - one.offset for one in after.values())
    given_credit = sum(pair.amount for pair in (*outcome.offsets, *outcome.set_offs))
    assert given_credit + sum(outcome.credits.values()) == sum(one.open_credit for one in negatives)
    freed = sum(one.amount for one in outcome.freed)
    due_before = sum(one.billed - one.paid - one.offset for one in positives)
    due_after = sum(one.billed - one.paid - one.offset for one in after.values())
    assert due_after == due_before - given_credit + freed
    # The account balance (due − open credit − money in buckets) is the same before and after.
    credit_before, credit_after = sum(one.open_credit for one in negatives), sum(outcome.credits.values())
    assert due_after - credit_after - freed == due_before - credit_before
